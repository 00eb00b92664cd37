package intake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// people are the keyed digests by which requests of one person are found. A
// name is left out: people share names.
func (r *Room) people(ids []request.Identifier) [][]byte {
	var out [][]byte
	for _, id := range ids {
		if id.Kind == request.Name {
			continue
		}
		mac := hmac.New(sha256.New, r.Pepper)
		for _, part := range []string{"habeas person v1", string(id.Kind), id.Reveal()} {
			mac.Write([]byte(part))
			mac.Write([]byte{0})
		}
		out = append(out, mac.Sum(nil))
	}
	return out
}

// pasts returns the other requests of the person a request is about.
func (r *Room) pasts(ctx context.Context, id request.ID) ([]request.Past, error) {
	digests, err := r.Store.PeopleOf(ctx, id)
	if err != nil {
		return nil, err
	}
	related, err := r.Store.Related(ctx, digests)
	if err != nil {
		return nil, err
	}
	return onceEach(related, id), nil
}

// onceEach drops the request itself and those found by several digests.
func onceEach(related []store.Related, self request.ID) []request.Past {
	var out []request.Past
	seen := map[request.ID]bool{self: true}
	for _, p := range related {
		if !seen[p.ID] {
			seen[p.ID] = true
			out = append(out, p.Past)
		}
	}
	return out
}

// orderMargin is how long before an erasure is due it stops waiting for others.
const orderMargin = 5 * 24 * time.Hour

// order sees to it that several rights of one person are done in the order in
// which all of them can be: an erasure waits until what the same person asked to
// know, and their opt-outs, are answered, since what is erased can't be copied
// any more. It is called before requests are stored, where it holds those that
// come after, and again afterwards, because two that arrive at once don't see
// each other before: of the two, the one that looks last sees both.
func (r *Room) order(ctx context.Context, news []store.New, stored bool) error {
	var digests [][]byte
	for i := range news {
		if right := news[i].Request.Right(); right == request.Delete || request.Precedes(right) {
			digests = append(digests, news[i].People...)
		}
	}
	related, err := r.Store.Related(ctx, digests)
	if err != nil {
		return err
	}
	byDigest := make(map[string][]store.Related, len(related))
	for _, p := range related {
		byDigest[string(p.Digest)] = append(byDigest[string(p.Digest)], p)
	}
	for i := range news {
		mine := &news[i]
		right := mine.Request.Right()
		var sharing []store.Related
		for _, d := range mine.People {
			sharing = append(sharing, byDigest[string(d)]...)
		}
		for _, p := range onceEach(sharing, mine.Request.ID) {
			switch {
			case !p.Open():
			case right == request.Delete && request.Precedes(p.Right) && !stored:
				r.waitFor(mine.Request.Request, p.ID)
			case right == request.Delete && request.Precedes(p.Right):
				r.holdStored(ctx, mine.Request.ID, p.ID)
			case request.Precedes(right) && p.Right == request.Delete && stored:
				r.holdStored(ctx, p.ID, mine.Request.ID)
			}
		}
	}
	return nil
}

// waitFor holds a deletion until another request is answered, but not until it
// is too late for the deletion itself. It reports whether it does.
func (r *Room) waitFor(req *request.Request, other request.ID) bool {
	now := r.Now().UTC()
	last := req.RespondByLatest()
	if last.IsZero() || !last.Add(-orderMargin).After(now) || slices.ContainsFunc(req.Case.Holds, func(h request.Hold) bool {
		return h.Kind == request.OrderHold && h.Ref == string(other)
	}) {
		return false
	}
	return req.Hold(request.Hold{
		ID: request.NewID(), Kind: request.OrderHold, Ref: string(other), Since: now, Until: last.Add(-orderMargin), Look: now.Add(time.Minute), By: Name,
	}) == nil
}

// holdStored is waitFor for a deletion that is stored and has not begun to
// erase. It is the best that can be done: an erasure that has begun is not
// undone by a request that came after it.
func (r *Room) holdStored(ctx context.Context, id, other request.ID) {
	held := false
	err := r.change(ctx, id, func(s *store.Snapshot) error {
		held = false
		switch s.Request.State() {
		case request.Received, request.AwaitingVerification, request.Accepted, request.Held:
		default:
			return nil
		}
		if held = r.waitFor(s.Request.Request, other); held {
			s.Changed = true
		}
		return nil
	})
	if err == nil && held {
		err = r.change(ctx, other, func(s *store.Snapshot) error {
			if !slices.Contains(s.Request.Case.Blocks, id) {
				s.Request.Case.Blocks, s.Changed = append(slices.Clip(s.Request.Case.Blocks), id), true
			}
			return nil
		})
	}
	if err != nil {
		r.Logger.WarnContext(ctx, "putting an erasure behind another request", slog.String("request", string(id)), slog.Any("error", err))
	}
}

// Choice tells what the person of the identifiers has chosen about sale and
// sharing, and whether they may be asked to opt in (Civ. Code 1798.135(c)(4)).
func (r *Room) Choice(ctx context.Context, regime string, ids []request.Identifier) (request.Choice, error) {
	var errs request.FieldErrors
	normal := make([]request.Identifier, 0, len(ids))
	for _, id := range ids {
		n, err := id.Normalize()
		if err != nil {
			errs = append(errs, request.FieldError{Field: "identifiers", Problem: "one cannot be used", Fix: err.Error()})
			continue
		}
		normal = append(normal, n)
	}
	if len(errs) == 0 && len(r.people(normal)) == 0 {
		errs = append(errs, request.FieldError{Field: "identifiers", Problem: "is empty or has only a name", Fix: "send at least one that is the person's alone"})
	}
	if len(errs) > 0 {
		return request.Choice{}, errs
	}
	if regime == "" {
		regime = r.Regime
	}
	today, err := r.Regimes.ReceiptDate(regime, r.Now())
	if err != nil {
		return request.Choice{}, request.FieldErrors{{Field: "regime", Problem: "is unknown", Fix: "name one that is configured, such as us-ca-ccpa"}}
	}
	related, err := r.Store.Related(ctx, r.people(normal))
	if err != nil {
		return request.Choice{}, err
	}
	return request.ChoiceOf(onceEach(related, ""), today), nil
}

// ChoseElsewhere reports whether the person opted out by a form, a letter or a
// call, or is known to be under 16, and did not opt in since. Opt-outs by signal
// are left out: whoever heard them remembers them, and what undid them.
func (r *Room) ChoseElsewhere(ctx context.Context, ids []request.Identifier) (bool, error) {
	related, err := r.Store.Related(ctx, r.people(ids))
	if err != nil {
		return false, err
	}
	past := slices.DeleteFunc(onceEach(related, ""), func(p request.Past) bool {
		return p.Right == request.OptOutSaleShare && p.Channel == request.ChannelGPC
	})
	return request.ChoiceOf(past, request.Date{}).OptedOut, nil
}
