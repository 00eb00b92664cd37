package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// How the work goes on.
const (
	batch     = 64
	atOnce    = 8
	maxAsks   = 20               // questions about one request
	maxSends  = 8                // tries at sending one code
	firstWait = 30 * time.Second // before a system or server that was away is asked again
	lookAgain = 10 * time.Minute // at a case that waits for the person: it may be decided elsewhere
)

// Run works on cases until ctx ends.
func (r *Room) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	expired := time.NewTicker(time.Hour)
	defer expired.Stop()
	for {
		for {
			n, err := r.Work(ctx)
			if err != nil && ctx.Err() == nil {
				r.Logger.ErrorContext(ctx, "looking for cases; trying again", slog.Any("error", err))
			}
			if err != nil || n < batch {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.kicked:
		case <-tick.C:
		case <-expired.C:
			if _, err := r.Doors.ExpireDocuments(ctx, r.Now().UTC()); err != nil && ctx.Err() == nil {
				r.Logger.ErrorContext(ctx, "forgetting old documents; trying again", slog.Any("error", err))
			}
		}
	}
}

// Work looks at every case whose time has come, once, and returns how many
// there were.
func (r *Room) Work(ctx context.Context) (int, error) {
	ids, err := r.Doors.DueCases(ctx, r.Now().UTC(), batch)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, id := range ids {
		g.Go(func() error {
			if err := r.step(ctx, id); err != nil && !errors.Is(err, ErrGone) && ctx.Err() == nil {
				r.Logger.ErrorContext(ctx, "working on a case; trying again", slog.String("request", string(id)), slog.Any("error", err))
				return r.postpone(ctx, id, firstWait)
			}
			return nil
		})
	}
	return len(ids), g.Wait()
}

// postpone puts a case off, whatever is in it.
func (r *Room) postpone(ctx context.Context, id request.ID, by time.Duration) error {
	c, err := r.Doors.GetCase(ctx, id)
	if err != nil {
		return err
	}
	c.NextAt = r.Now().UTC().Add(by)
	if err := r.Doors.SaveCase(ctx, c); err != nil && !errors.Is(err, store.ErrStale) {
		return err
	}
	return nil
}

// step does what is next for one case. Every effect is stored before it
// happens or can happen twice.
func (r *Room) step(ctx context.Context, id request.ID) error {
	_, f, err := r.load(ctx, id)
	if err != nil {
		return err
	}
	req, err := r.Requests.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if s := req.State(); s != request.Received && s != request.AwaitingVerification {
		return r.purge(ctx, &req, f) // it was decided, here or elsewhere
	}
	if !f.Asked {
		if f, err = r.ask(ctx, &req, f); err != nil {
			return err
		}
	}
	level, method := r.decide(f, req.Level())
	sure := level.AtLeast(req.Level())
	if sure {
		if sure, err = r.vouched(ctx, &req, f, method); err != nil {
			return err
		}
	}
	if sure {
		err := r.Requests.Attest(ctx, id, request.Verified{Method: method, Level: level, Points: f.counted(method)}, By)
		if errors.Is(err, request.ErrSuspicious) { // staff hold it; they will lift that or decide
			return r.postpone(ctx, id, lookAgain)
		}
		if err != nil {
			return err
		}
		return r.purge(ctx, &req, f)
	}
	if level != "" && !level.AtLeast(req.Level()) && !req.Case.Reached.AtLeast(level) {
		if err := r.Requests.Reached(ctx, id, level); err != nil {
			return err
		}
	}
	return r.challenge(ctx, id, f)
}

// decide says how sure one can be.
func (r *Room) decide(f *file, needed request.Level) (request.Level, string) {
	if f.Confirm {
		if f.passed(viaMail) || f.passed(viaText) {
			return needed, MethodPermission
		}
		return "", ""
	}
	return r.Policy.Level(f.facts(), r.Now())
}

// ask asks the systems and remembers what they say.
func (r *Room) ask(ctx context.Context, req *store.Request, f *file) (*file, error) {
	others, err := r.others(ctx, req, f)
	if err != nil {
		return nil, err
	}
	answer, err := r.Matcher.Match(ctx, f.anchor(), append(f.asks(r.Policy, req.Regime), sameClaims(r.Policy, others)...))
	if err != nil {
		return nil, err
	}
	if answer.resides() && !req.Case.Resident {
		if err := r.Requests.Resides(ctx, req.ID); err != nil {
			return nil, err
		}
	}
	err = r.change(ctx, req.ID, func(c *store.Case, now *file) error {
		now.Asks++
		now.Known = now.Known || answer.Known
		now.MailHeld = now.MailHeld || answer.HoldsMail(f.anchor())
		now.Matched = slices.DeleteFunc(slices.Clone(answer.Matched), ours)
		// A system that was away is asked again for as long as it may matter, and
		// all are when the person has given more meanwhile.
		now.tie(others, answer.Matched)
		same := f.sameAsks(now)
		if same && now.Phone != nil {
			now.Phone.Held = now.Phone.Held || answer.Holds()
		}
		now.Asked = same && len(answer.Silent) == 0 || now.Asks >= maxAsks
		c.NextAt = r.Now().UTC().Add(firstWait * time.Duration(now.Asks))
		if now.Asked {
			c.NextAt = r.Now().UTC().Add(lookAgain)
		}
		f = now
		return nil
	})
	return f, err
}

// challenge sends the codes that are due, each to a channel that a system
// holds. Who is not known is sent nothing.
func (r *Room) challenge(ctx context.Context, id request.ID, f *file) error {
	due := slices.DeleteFunc(slices.Clone(ways), func(v via) bool { return !r.due(v, f) })
	if len(due) == 0 {
		if !f.Asked { // when to ask again is settled
			return nil
		}
		return r.postpone(ctx, id, lookAgain)
	}
	for _, v := range due {
		spare, err := r.spare(ctx, v, f)
		if err != nil {
			return err
		}
		if err := r.send(ctx, id, v, spare); err != nil && !errors.Is(err, errNotDue) {
			return err
		}
	}
	return nil
}

// send sends one code. It is stored before it is sent; after a crash the same
// one is sent again, as the same message. Whom to spare is sent none, and the
// code counts as sent.
func (r *Room) send(ctx context.Context, id request.ID, v via, spare bool) error {
	var f *file
	var ch *challenge
	err := r.change(ctx, id, func(c *store.Case, now *file) error {
		if !r.due(v, now) {
			return errNotDue
		}
		ch, f = r.begin(v, now), now
		ch.Sent = spare
		c.NextAt = r.Now().UTC().Add(backoff(ch))
		return nil
	})
	if err != nil || spare {
		return err
	}
	err = r.deliver(ctx, v, f)
	if errors.Is(err, mail.ErrUnavailable) || errors.Is(err, sms.ErrUnavailable) {
		r.Logger.WarnContext(ctx, "sending a code; trying again", slog.String("request", string(id)), slog.Any("error", err))
		if wait := sms.After(err); wait > backoff(ch) {
			return r.postpone(ctx, id, wait)
		}
		return nil
	}
	if err != nil {
		r.Logger.WarnContext(ctx, "a code can't be sent", slog.String("request", string(id)), slog.Any("error", err))
	}
	return r.change(ctx, id, func(c *store.Case, now *file) error {
		if sent := now.challenge(v); sent != nil && sent.ID == ch.ID {
			sent.Sent = true // or refused for good: the person can ask for another
		}
		if now.Asked {
			c.NextAt = r.Now().UTC().Add(r.nextSend(now))
		}
		return nil
	})
}

// backoff is how long to wait before a code is sent again.
func backoff(ch *challenge) time.Duration { return firstWait << min(max(ch.Sends-1, 0), 6) }

// nextSend is how long to leave a case alone: until the next code is due, if
// one waits to be sent, else until it may have been decided elsewhere.
func (r *Room) nextSend(f *file) time.Duration {
	wait := lookAgain
	for _, v := range ways {
		if !r.due(v, f) {
			continue
		}
		after := time.Duration(0)
		if ch := f.challenge(v); ch != nil && ch.Sends > 0 {
			after = backoff(ch)
		}
		wait = min(wait, after)
	}
	return wait
}

// Resend makes a new code for the channel by which the person is looked up,
// unless too many were sent.
func (r *Room) Resend(ctx context.Context, id request.ID) error {
	err := r.change(ctx, id, func(c *store.Case, f *file) error {
		if f.Anchor[0] == string(request.Phone) && f.Phone != nil && !f.passed(viaText) {
			f.Phone.Challenge, c.NextAt = nil, r.Now().UTC()
			return nil
		}
		if f.Challenge == nil || f.Challenge.Passed || f.sends(viaMail) >= maxSends {
			return nil // a code that is never sent can only be guessed
		}
		f.Challenge = &challenge{ID: newID(), Code: NewCode(), Expires: r.Now().UTC().Add(r.Policy.CodeLife), Sends: f.Challenge.Sends}
		c.NextAt = r.Now().UTC()
		return nil
	})
	if errors.Is(err, ErrGone) { // the same as for everybody else
		return nil
	}
	if err == nil {
		r.kick()
	}
	return err
}

// ruleDestroyed is the rule in the record that verification data is gone.
const ruleDestroyed = "verification data deleted after the decision (11 CCR 7060(d), Civ. Code 1798.130(a)(7))"

// keepMargin is added to the 24 months for which the record of a request is
// kept.
const keepMargin = 30 * 24 * time.Hour

// purge destroys the verification data of a decided request and puts that on
// record. The declaration is part of the record of the request (11 CCR
// 7062(c), 7101) and is kept apart from the rest.
func (r *Room) purge(ctx context.Context, req *store.Request, f *file) error {
	if f.Declaration.Check() == nil {
		text, err := json.Marshal(f.Declaration)
		if err != nil {
			return fmt.Errorf("keeping a declaration: %w", err)
		}
		if err := r.Keep(ctx, req, "declaration", text); err != nil {
			return err
		}
	}
	return r.Destroy(ctx, req.ID)
}

// Destroy destroys the verification data of a request, with a record of it.
func (r *Room) Destroy(ctx context.Context, id request.ID) error {
	c, err := r.Doors.GetCase(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now := r.Now().UTC()
	rec, err := r.Signer.Sign(&habeasv1.RetentionRecord{Rule: ruleDestroyed + ", request " + string(id), EnvelopeCount: 1}, "", nil)
	if err != nil {
		return err
	}
	_, err = r.Doors.PurgeCase(ctx, id, now, store.Record{
		Digest: rec.Digest[:], Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now,
	})
	r.Vault.Forget(c.WrappedKey)
	return err
}

// Keep keeps a document with the record of a request, sealed under a key of
// its own, until the record may go.
func (r *Room) Keep(ctx context.Context, req *store.Request, kind string, content []byte) error {
	until, err := req.Terms.Due.Instant(req.Terms.Due.KeepUntil)
	if err != nil {
		return err
	}
	key, wrapped, err := r.Vault.NewDataKey(ctx)
	if err != nil {
		return err
	}
	return r.Doors.KeepDocument(ctx, store.Document{
		RequestID: req.ID, Kind: kind, WrappedKey: wrapped, Sealed: key.Seal(content, []byte("kept_document/"+string(req.ID)+"/"+kind)), KeepUntil: until.Add(keepMargin),
	})
}

// Document opens a kept document.
func (r *Room) Document(ctx context.Context, d store.Document) ([]byte, error) {
	key, err := r.Vault.Unwrap(ctx, d.WrappedKey)
	if err != nil {
		return nil, err
	}
	return key.Open(d.Sealed, []byte("kept_document/"+string(d.RequestID)+"/"+d.Kind))
}
