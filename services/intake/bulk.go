package intake

import (
	"context"
	"fmt"
	"slices"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// BulkMost is how many requests one decision can be about.
const BulkMost = 500

// RetryAll is [Room.Retry] for many requests, with all that can be tried again
// of each. It answers each, in order; the error is for all of them, and then
// nothing was changed.
func (r *Room) RetryAll(ctx context.Context, ids []request.ID) ([]error, error) {
	return r.all(ctx, ids, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		return r.retry(s, "", 0)
	})
}

// ExtendAll is [Room.Extend] for many requests; answers and error are those of
// [Room.RetryAll].
func (r *Room) ExtendAll(ctx context.Context, ids []request.ID, reason string) ([]error, error) {
	if err := r.trained(ctx); err != nil {
		return nil, err
	}
	return r.all(ctx, ids, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) { return r.extend(s, reason) })
}

// ApprovePlans approves the plans that wait for it; a request of which none waits is
// refused with [request.ErrHold]. Where it takes two, the first is answered
// [request.ErrSecond]. Who approved a plan and says so again is answered as before, and
// nothing is done twice. Answers and error are those of [Room.RetryAll].
func (r *Room) ApprovePlans(ctx context.Context, ids []request.ID) ([]error, error) {
	if err := r.trained(ctx); err != nil {
		return nil, err
	}
	asked := make(map[request.ID]bool)
	answers, err := r.all(ctx, ids, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		delete(asked, s.Request.ID)
		if s.Request.PlanApprovedBy(request.ActorOf(ctx)) {
			return nil, nil
		}
		approved, err := s.Request.ApprovePlan(request.ActorOf(ctx), r.PlanApprovers > 1, r.Now())
		switch {
		case err != nil:
			return nil, err
		case !approved:
			asked[s.Request.ID] = true
			return &habeasv1.DecisionRecord{Decision: "plan_approval_asked", Approvals: 1}, nil
		}
		s.Request.Attention = ""
		return &habeasv1.DecisionRecord{Decision: "plan_approved", Approvals: int32(max(r.PlanApprovers, 1))}, nil //nolint:gosec // 1 or 2
	})
	return seconds(ids, answers, asked), err
}

// DenyAll is [Room.Deny] for many requests, with one code and reason for all of them;
// those that somebody else has yet to agree to are answered [request.ErrSecond].
// Answers and error are those of [Room.RetryAll].
func (r *Room) DenyAll(ctx context.Context, ids []request.ID, d Denial) ([]error, error) {
	if err := r.trained(ctx); err != nil {
		return nil, err
	}
	past := make(map[request.ID][]request.Past)
	if len(ids) <= BulkMost && looksBack(d.Code) {
		for _, id := range ids {
			var err error
			if past[id], err = r.pasts(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	asked := make(map[request.ID]bool)
	answers, err := r.all(ctx, ids, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		rec, second, err := r.deny(ctx, s, d, past[s.Request.ID])
		asked[s.Request.ID] = second
		return rec, err
	})
	return seconds(ids, answers, asked), err
}

// seconds answers [request.ErrSecond] where what was asked takes another person.
func seconds(ids []request.ID, answers []error, asked map[request.ID]bool) []error {
	for i := range answers {
		if answers[i] == nil && asked[ids[i]] {
			answers[i] = request.ErrSecond
		}
	}
	return answers
}

// AssignAll gives requests to a member of staff, or to nobody when who is empty.
// Giving one to whom it belongs changes nothing; a closed one is refused with
// [request.ErrTransition]. The record does not say who: staff are not named in
// evidence. Answers and error are those of [Room.RetryAll].
func (r *Room) AssignAll(ctx context.Context, ids []request.ID, who string) ([]error, error) {
	if err := request.CheckStaff(who); err != nil {
		return nil, err
	}
	return r.all(ctx, ids, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if s.Request.State() == request.Closing || s.Request.State() == request.Closed {
			return nil, fmt.Errorf("assigning a request that is %s: %w", s.Request.State(), request.ErrTransition)
		}
		if s.Request.Assignee == who {
			return nil, nil
		}
		s.Request.Assignee = who
		if who == "" {
			return &habeasv1.DecisionRecord{Decision: "unassigned"}, nil
		}
		return &habeasv1.DecisionRecord{Decision: "assigned"}, nil
	})
}

// all applies fn to many requests in one transaction and puts on record what it
// decided about each. A request that fn refuses stays as it is and keeps none of
// the others back.
func (r *Room) all(ctx context.Context, ids []request.ID, fn func(*store.Snapshot) (*habeasv1.DecisionRecord, error)) ([]error, error) {
	if len(ids) == 0 || len(ids) > BulkMost {
		return nil, request.FieldErrors{{Field: "requests", Problem: fmt.Sprintf("are %d", len(ids)), Fix: fmt.Sprintf("choose 1 to %d", BulkMost)}}
	}
	answers := make(map[request.ID]error, len(ids))
	records := make(map[request.ID][]store.Record, len(ids))
	once := slices.Compact(slices.Sorted(slices.Values(ids)))
	_, err := r.Store.Advance(ctx, store.Selector{IDs: once}, true, func(snaps []*store.Snapshot) error {
		clear(records)
		for _, id := range once {
			answers[id] = fmt.Errorf("request %s: %w", id, store.ErrNotFound)
		}
		for _, s := range snaps {
			id := s.Request.ID
			p, err := fn(s)
			if answers[id] = err; err != nil {
				s.Changed, s.ChangedJobs, s.Records, s.Notices = false, nil, nil, nil // nothing of it is written
				continue
			}
			if p == nil {
				continue
			}
			p.RequestId = string(id)
			rec, err := r.record(&s.Request, p, r.Now().UTC())
			if err != nil {
				return err
			}
			records[id] = []store.Record{rec}
			s.Records, s.Changed, s.Request.UpdatedAt = append(s.Records, rec), true, r.Now().UTC()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var changed []request.ID
	for _, id := range once {
		if len(records[id]) > 0 {
			changed = append(changed, id)
			r.announce(ctx, id, records[id])
		}
	}
	if len(changed) > 0 {
		r.hint(changed)
	}
	out := make([]error, len(ids))
	for i, id := range ids {
		out[i] = answers[id]
	}
	return out, nil
}
