package intake

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// change applies fn to one request and its jobs and wakes the coordinator.
func (r *Room) change(ctx context.Context, id request.ID, fn func(*store.Snapshot) error) error {
	found := false
	_, err := r.Store.Advance(ctx, store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		found = len(snaps) == 1
		if !found {
			return nil
		}
		if err := fn(snaps[0]); err != nil {
			return err
		}
		if snaps[0].Changed {
			snaps[0].Request.UpdatedAt = r.Now().UTC()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("request %s: %w", id, store.ErrNotFound)
	}
	r.hint([]request.ID{id})
	return nil
}

// Attest records that somebody vouches for the requester, and lets the request
// go on. Saying the same again changes nothing.
func (r *Room) Attest(ctx context.Context, id request.ID, v request.Verified, by string) error {
	if !request.MayAttest(ctx) {
		return request.ErrAttest
	}
	var records []store.Record
	err := r.change(ctx, id, func(s *store.Snapshot) error {
		records = nil
		now := r.Now().UTC()
		if have, _ := s.Request.Verification(); have != nil {
			if done, ok := have.(request.Verified); ok && done.Method == v.Method && done.Level == v.Level && done.By == by {
				return nil
			}
		}
		if err := attest(s.Request.Request, v, now, by); err != nil {
			return err
		}
		rec, err := r.record(&s.Request, &habeasv1.VerifiedRecord{RequestId: string(id), Method: v.Method, Level: string(v.Level)}, now)
		if err != nil {
			return err
		}
		records, s.Records, s.Changed = []store.Record{rec}, []store.Record{rec}, true
		return nil
	})
	if err == nil {
		r.announce(ctx, id, records)
	}
	return err
}

// Stop ends a request as cancelled or denied, with a code and a reason; a denial
// that needs more is refused, see [Room.Deny].
func (r *Room) Stop(ctx context.Context, id request.ID, e request.Ending) error {
	if e.Result == request.ResultDenied {
		return r.Deny(ctx, id, Denial{Code: e.Code, Reason: e.Reason})
	}
	return r.personsOwn(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if err := s.Request.Close(e); err != nil {
			return nil, err
		}
		return &habeasv1.DecisionRecord{Decision: "cancelled", Code: e.Code, Reason: e.Reason, Approvals: 1}, nil
	})
}

// ErrNothingToRetry says that no job of the request stands where a retry would
// change anything.
var ErrNothingToRetry = request.ErrNothingToRetry

// Retry sends jobs again that failed, were refused or wait for their time; of
// one connector, or of all when connector is empty. limit, when not 0, lifts
// the connector's cap on how much one person may have.
//
// Lifting a cap takes two different people; the first is noted, and the error
// is [request.ErrSecond]. What they approve is one number of records for one connector.
func (r *Room) Retry(ctx context.Context, id request.ID, connector string, limit int64) error {
	second := false
	err := r.personsOwn(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		second = false
		retried, err := r.retry(s, connector, limit)
		if err != nil || limit == 0 {
			return retried, err
		}
		lifted := &habeasv1.DecisionRecord{Decision: "cap_lifted", Code: connector, Facts: map[string]string{"records": strconv.FormatInt(limit, 10)}, Approvals: 1}
		if r.Approvers < 2 {
			return lifted, nil
		}
		enough, err := s.Request.Approve(fmt.Sprintf("cap/%s/%d", connector, limit), request.ActorOf(ctx), r.Now())
		switch {
		case err != nil:
			return nil, err
		case enough:
			lifted.Approvals = 2
		default:
			second, s.ChangedJobs = true, nil // only the approval is written
			lifted.Decision = "cap_lift_asked"
		}
		return lifted, nil
	})
	if err == nil && second {
		return request.ErrSecond
	}
	return err
}

// retry makes the jobs of a request ready to be sent again; see [Room.Retry].
func (r *Room) retry(s *store.Snapshot, connector string, limit int64) (*habeasv1.DecisionRecord, error) {
	if state := s.Request.State(); state != request.Resolving && state != request.Running {
		return nil, ErrNothingToRetry
	}
	n := r.sendAgain(s, limit, func(j *store.Job) bool {
		return (connector == "" || j.Connector == connector) && (limit == 0 || j.State == request.JobOverLimit)
	})
	if n == 0 {
		return nil, ErrNothingToRetry
	}
	return retriedRecord(connector, n), nil
}

// sendAgain makes those of the wanted jobs ready to be sent that can be, and
// returns how many. What is history, because its connector was asked again
// since, stays so.
func (r *Room) sendAgain(s *store.Snapshot, limit int64, wanted func(*store.Job) bool) (n int) {
	for i := range s.Jobs {
		j := &s.Jobs[i]
		if !wanted(j) || askedAgain(s.Jobs, i) {
			continue
		}
		switch {
		case j.State == request.JobDeferred:
			j.NextAt, j.Failures = r.Now().UTC(), 0
		case j.State.Terminal() && request.CanMoveJob(j.State, request.JobPlanned):
			j.State, j.NextAt, j.Failures = request.JobPlanned, r.Now().UTC(), 0 // somebody looked: the failures begin anew
		default:
			continue
		}
		j.CapOverride = max(j.CapOverride, limit)
		s.Touch(i)
		n++
	}
	return n
}

// retriedRecord says that somebody had jobs sent again; connector is empty for
// those of all.
func retriedRecord(connector string, jobs int) *habeasv1.DecisionRecord {
	return &habeasv1.DecisionRecord{Decision: "retried", Code: connector, Facts: map[string]string{"jobs": strconv.Itoa(jobs)}}
}

// recordRetry puts on record that somebody had jobs sent again.
func (r *Room) recordRetry(s *store.Snapshot, connector string, jobs int) error {
	p := retriedRecord(connector, jobs)
	p.RequestId = string(s.Request.ID)
	rec, err := r.record(&s.Request, p, r.Now().UTC())
	if err == nil {
		s.Records, s.Changed = append(s.Records, rec), true // the coordinator's sweeper publishes it
	}
	return err
}

// askedAgain reports whether job i is history: its connector was asked the same
// later, with more identifiers.
func askedAgain(jobs []store.Job, i int) bool {
	resolving := jobs[i].Action == request.ActionResolve
	return slices.ContainsFunc(jobs[i+1:], func(j store.Job) bool {
		return j.Connector == jobs[i].Connector && (j.Action == request.ActionResolve) == resolving
	})
}
