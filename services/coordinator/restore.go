package coordinator

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// keepForRestores keeps apart what has to be done again when a system is
// restored, of requests that are about to be destroyed: for each connector whose
// backups still know the person, the identifiers it understands and no others,
// until its backups have forgotten by themselves (11 CCR 7022(d)-(e)).
func (r *Room) keepForRestores(ctx context.Context, now time.Time) error {
	q := r.shreddable(now)
	for more := r.Rules.ShredAfter >= 0; more; {
		parts, err := r.Store.Unkept(ctx, q)
		if err != nil {
			return err
		}
		kept, err := r.keep(ctx, parts)
		if err != nil {
			return err
		}
		if err := r.Store.PutKept(ctx, kept); err != nil {
			return err
		}
		more = len(parts) == q.Limit
	}
	return r.dropKept(ctx, now)
}

// keep seals parts of requests, those of one request under one new key.
func (r *Room) keep(ctx context.Context, parts []store.Unkept) ([]store.Kept, error) {
	var kept []store.Kept
	for len(parts) > 0 {
		n := 1
		for n < len(parts) && parts[n].RequestID == parts[0].RequestID {
			n++
		}
		of, err := r.Vault.Unwrap(ctx, parts[0].WrappedKey)
		if err != nil {
			return nil, err
		}
		ids, err := of.OpenIdentifiers(parts[0].RequestID, parts[0].Sealed)
		if err != nil {
			return nil, err
		}
		key, wrapped, err := r.Vault.NewDataKey(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range parts[:n] {
			c, _ := r.connectors.get(p.Connector)
			theirs := slices.DeleteFunc(slices.Clone(ids), func(id request.Identifier) bool { return !slices.Contains(c.Accepts, string(id.Kind)) })
			kept = append(kept, store.Kept{RequestID: p.RequestID, Connector: p.Connector, WrappedKey: wrapped, Sealed: key.SealKept(p.RequestID, p.Connector, theirs), Until: p.Until})
		}
		key.Destroy()
		of.Destroy()
		parts = parts[n:]
	}
	return kept, nil
}

// dropKept destroys what was kept for backups that are gone.
func (r *Room) dropKept(ctx context.Context, now time.Time) error {
	for {
		var records []store.Record
		n, err := r.Store.DropKept(ctx, now, sweepBatch, func(by map[string]int64) (_ []store.Record, err error) {
			records, err = r.droppedRecords(by, now)
			return records, err
		})
		if err != nil {
			return err
		}
		if n > 0 {
			r.publishRecords(ctx, records)
			r.Logger.InfoContext(ctx, "identifiers kept for restores are destroyed", slog.Int("parts", n))
		}
		if n < sweepBatch {
			return nil
		}
	}
}

func (r *Room) droppedRecords(by map[string]int64, now time.Time) ([]store.Record, error) {
	var out []store.Record
	for _, name := range slices.Sorted(maps.Keys(by)) {
		rule := "identifiers kept to erase again what a restore of " + name + " brings back, destroyed when its backups have forgotten by themselves (11 CCR 7022(d))"
		rec, err := r.Signer.Sign(&habeasv1.RetentionRecord{Rule: rule, EnvelopeCount: by[name]}, "", nil)
		if err != nil {
			return nil, err
		}
		out = append(out, store.Record{Digest: rec.Digest[:], Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now})
	}
	return out, nil
}

// How many jobs a replay goes through at once, and in one round of the sweeper.
const (
	replayBatch  = 250
	replayRounds = 8
)

// planReplays goes on with the replays that are under way.
func (r *Room) planReplays(ctx context.Context) error {
	open, err := r.Store.Unplanned(ctx)
	if err != nil {
		return err
	}
	for _, p := range open {
		for range replayRounds {
			more, err := r.planReplay(ctx, &p)
			if err != nil {
				return fmt.Errorf("replaying %s: %w", p.Connector, err)
			}
			if !more {
				break
			}
		}
	}
	return nil
}

// planReplay makes the next requests of a replay. They are made before the place
// is written, each under a key of the replay and the request it does again, so
// that a crash between the two, or another coordinator at the same place, makes
// them once.
func (r *Room) planReplay(ctx context.Context, p *store.Replay) (more bool, err error) {
	jobs, err := r.Store.Forgotten(ctx, p.Connector, p.Since, p.After, replayBatch)
	if err != nil {
		return false, err
	}
	now := r.Now().UTC()
	next := *p
	next.Planned += int64(len(jobs))
	looks := make(map[request.Action][]again)
	for i := range jobs {
		j := &jobs[i]
		ids, err := r.remembered(ctx, j)
		if err != nil {
			return false, err
		}
		if len(ids) == 0 {
			next.Lost++
			continue
		}
		looks[j.Action] = append(looks[j.Action], again{j, ids})
	}
	var news []store.New
	for _, action := range slices.Sorted(maps.Keys(looks)) {
		standing, err := r.standing(ctx, action, looks[action])
		if err != nil {
			return false, err
		}
		next.Released += int64(len(looks[action]) - len(standing))
		for _, a := range standing {
			n, err := r.againFor(ctx, p, a, now)
			if err != nil {
				return false, err
			}
			news = append(news, n)
		}
	}
	if _, err := r.make(ctx, news); err != nil {
		return false, err
	}
	more = len(jobs) == replayBatch
	if more {
		next.After = jobs[len(jobs)-1].JobID
	} else {
		next.PlannedAt = now
		r.Logger.InfoContext(ctx, "what a restored system forgot is planned again", slog.String("connector", p.Connector),
			slog.Int64("jobs", next.Planned), slog.Int64("lost", next.Lost), slog.Int64("released", next.Released))
	}
	mine, err := r.Store.AdvanceReplay(ctx, next, p.After)
	*p = next
	r.wake()
	return more && mine, err
}

// again is a forgotten job and whom it was about.
type again struct {
	*store.Forgotten
	ids []request.Identifier
}

// remembered are the identifiers of a forgotten job, from what was kept for it
// or from its request; none when both are destroyed.
func (r *Room) remembered(ctx context.Context, f *store.Forgotten) ([]request.Identifier, error) {
	switch {
	case len(f.Request.Sealed) > 0 && len(f.Request.WrappedKey) > 0:
		key, err := r.Vault.Unwrap(ctx, f.Request.WrappedKey)
		if err != nil {
			return nil, err
		}
		return key.OpenIdentifiers(f.Request.ID, f.Request.Sealed)
	case f.Kept != nil:
		key, err := r.Vault.Unwrap(ctx, f.Kept.WrappedKey)
		if err != nil {
			return nil, err
		}
		return key.OpenKept(f.Request.ID, f.Kept.Connector, f.Kept.Sealed)
	default:
		return nil, nil
	}
}

// limited leaves out those who took their limit back since, by everything they were
// limited by: no list has the limits in force, the person's own requests tell.
func (r *Room) limited(ctx context.Context, all []again) ([]again, error) {
	people, every := make([][][]byte, len(all)), [][]byte(nil)
	for i := range all {
		digests, err := r.Store.PeopleOf(ctx, all[i].Request.ID)
		if err != nil {
			return nil, err
		}
		people[i], every = digests, append(every, digests...)
	}
	related, err := r.Store.Related(ctx, every)
	if err != nil {
		return nil, err
	}
	of := make(map[string][]request.Past, len(every))
	for i := range related {
		of[string(related[i].Digest)] = append(of[string(related[i].Digest)], related[i].Past)
	}
	var out []again
	for i := range all {
		still := func(d []byte) bool { return request.ChoiceOf(of[string(d)], request.Date{}).Limited }
		if len(people[i]) == 0 || slices.ContainsFunc(people[i], still) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// standing leaves out those who are not to stay erased, opted out or limited any more. A
// request that is not closed has not put its person on the list yet.
func (r *Room) standing(ctx context.Context, action request.Action, all []again) ([]again, error) {
	if action == request.ActionLimit {
		return r.limited(ctx, all)
	}
	why, listed := map[request.Action]store.Why{request.ActionErase: store.WhyDeleted, request.ActionOptOut: store.WhyOptedOut}[action]
	if !listed {
		return all, nil
	}
	people := make([][]request.Identifier, len(all))
	for i := range all {
		people[i] = all[i].ids
	}
	ask := r.suppression.Has
	if why == store.WhyDeleted {
		ask = r.suppression.Whole // whoever came back by one identifier is not erased by another
	}
	on, err := ask(ctx, people, why)
	if err != nil {
		return nil, err
	}
	var out []again
	for i := range all {
		if on[i] || all[i].Request.State() != request.Closed {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// againFor makes the request that does a forgotten job again.
func (r *Room) againFor(ctx context.Context, p *store.Replay, a again, now time.Time) (store.New, error) {
	n, err := r.childAbout(ctx, &a.Request, request.Child{ID: request.NewID(), Right: a.Request.Right(), Origin: request.FromReplay, At: now}, now, a.ids)
	if err != nil {
		return n, err
	}
	req := &n.Request
	req.Case.Only, req.Case.Run = []string{p.Connector}, p.ID
	req.IdempotencyKey = "habeas:replay:" + p.ID + ":" + string(a.Request.ID)
	fingerprint := sha256.Sum256([]byte(req.IdempotencyKey))
	req.Fingerprint = fingerprint[:]
	return n, nil
}
