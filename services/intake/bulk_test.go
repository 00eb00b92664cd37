package intake

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Each of many requests is answered for itself, nothing of those refused is
// written, and doing it again is harmless.
func TestManyAtOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		failed, idle, gone := r.submit(deletion), r.submit(strings.ReplaceAll(deletion, "jane@", "bob@")), request.NewID()
		r.running(failed, store.Job{Connector: "crm", Action: request.ActionErase, State: request.JobFailed, Failures: 3})
		r.running(idle, store.Job{Connector: "crm", Action: request.ActionErase, State: request.JobDone})
		ctx := request.WithActor(t.Context(), "ana")

		answers, err := r.room.RetryAll(ctx, []request.ID{idle, gone, failed, failed})
		if err != nil || !errors.Is(answers[0], request.ErrNothingToRetry) || !errors.Is(answers[1], store.ErrNotFound) || answers[2] != nil || answers[3] != nil {
			t.Fatalf("retrying answers %v, %v", answers, err)
		}
		if _, jobs := r.get(failed); jobs[0].State != request.JobPlanned || jobs[0].Failures != 0 {
			t.Errorf("the job is %s after %d failures", jobs[0].State, jobs[0].Failures)
		}
		if got := r.decisionsOf(failed); !slices.Contains(got, "retried") {
			t.Errorf("on record are %v", got)
		}
		if got := r.decisionsOf(idle); slices.Contains(got, "retried") {
			t.Errorf("what was refused is on record: %v", got)
		}

		for i, want := range []error{nil, request.ErrExtension} {
			answers, err = r.room.ExtendAll(ctx, []request.ID{failed, idle}, "many systems")
			if err != nil || !errors.Is(answers[0], want) || !errors.Is(answers[1], want) {
				t.Errorf("extending, time %d: %v, %v", i+1, answers, err)
			}
		}
		if req, _ := r.get(idle); req.Extension == nil || !req.RespondBy.Equal(req.RespondByLatest()) {
			t.Errorf("it is extended by %+v to %s", req.Extension, req.RespondBy)
		}
		if answers, err = r.room.ExtendAll(ctx, []request.ID{failed}, ""); err != nil || !errors.Is(answers[0], request.ErrNoReason) {
			t.Errorf("without a reason: %v, %v", answers, err)
		}

		for range 2 {
			if answers, err = r.room.AssignAll(ctx, []request.ID{failed, idle}, "ana"); err != nil || errors.Join(answers...) != nil {
				t.Errorf("assigning: %v, %v", answers, err)
			}
		}
		if req, _ := r.get(failed); req.Assignee != "ana" {
			t.Errorf("it is %q's", req.Assignee)
		}
		n := 0
		for _, d := range r.decisionsOf(failed) {
			if d == "assigned" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("assigning twice to one is on record %d times", n)
		}
		var fields request.FieldErrors
		if _, err := r.room.AssignAll(ctx, []request.ID{failed}, "an\na"); !errors.As(err, &fields) {
			t.Errorf("a name of two lines: %v", err)
		}
		if _, err := r.room.RetryAll(ctx, make([]request.ID, BulkMost+1)); !errors.As(err, &fields) {
			t.Errorf("too many: %v", err)
		}
		if err := r.room.Stop(ctx, idle, request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "by phone"}); err != nil {
			t.Fatal(err)
		}
		if answers, err = r.room.AssignAll(ctx, []request.ID{idle}, "bob"); err != nil || !errors.Is(answers[0], request.ErrTransition) {
			t.Errorf("assigning what has ended: %v, %v", answers, err)
		}
		if got := r.decisionsOf(idle); !slices.Contains(got, "cancelled withdrawn") {
			t.Errorf("on record are %v", got)
		}
	})
}

// A whole bulk is done or none of it, whatever is lost.
func TestManyAtOnceAndTheStoreFails(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(deletion)
		for _, lost := range []bool{false, true} {
			r.store.down, r.store.lost = !lost, lost
			if _, err := r.room.AssignAll(t.Context(), []request.ID{id}, "ana"); !errors.Is(err, errDown) {
				t.Errorf("error %v", err)
			}
			r.store.down, r.store.lost = false, false
			if req, _ := r.get(id); (req.Assignee == "ana") != lost {
				t.Errorf("with a lost answer %v it is %q's", lost, req.Assignee)
			}
		}
		if answers, err := r.room.AssignAll(t.Context(), []request.ID{id}, "ana"); err != nil || answers[0] != nil {
			t.Errorf("again: %v, %v", answers, err)
		}
	})
}

func TestDenialsAndDigests(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(deletion)
		req, _ := r.get(id)
		codes, err := r.room.Denials(&req)
		if err != nil || !slices.ContainsFunc(codes, func(c request.RefusalCode) bool {
			return c.Code == "unverified_delete" && c.Text != "" && c.Citation != ""
		}) {
			t.Errorf("it can be refused as %v, %v", codes, err)
		}
		digests, err := r.room.Digests([]request.Identifier{request.NewIdentifier(request.Email, " Jane@Example.com ")})
		if err != nil || len(digests) != 1 {
			t.Fatalf("%d digests, %v", len(digests), err)
		}
		list, err := r.store.List(t.Context(), store.Filter{Person: digests[0]})
		if err != nil || len(list) != 1 || list[0].ID != id {
			t.Errorf("the person's requests are %d, %v", len(list), err)
		}
		var fields request.FieldErrors
		if _, err := r.room.Digests([]request.Identifier{request.NewIdentifier(request.Email, "planted")}); !errors.As(err, &fields) || strings.Contains(err.Error(), "planted") {
			t.Errorf("what is no address: %v", err)
		}
	})
}

// Plans are approved many at once, by one or by two, each on record; what waits for
// no approval is refused.
func TestPlansAreApproved(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		ana, bob := request.WithActor(t.Context(), "ana"), request.WithActor(t.Context(), "bob")
		one, other, idle := r.planned(), r.planned(), r.submit(deletion)
		req, _ := r.get(one)
		if err := r.room.EndHold(ana, one, req.PlanWaits().ID); !errors.Is(err, request.ErrHold) {
			t.Errorf("the plan is let go without an approval: %v", err)
		}
		if _, err := r.room.Hold(ana, idle, request.Hold{Kind: request.ApprovalHold}); !errors.Is(err, request.ErrHold) {
			t.Errorf("staff put a request to approval: %v", err)
		}
		answers, err := r.room.ApprovePlans(ana, []request.ID{one, idle})
		if err != nil || answers[0] != nil || !errors.Is(answers[1], request.ErrHold) {
			t.Fatalf("approving: %v, %v", answers, err)
		}
		if req, _ := r.get(one); req.PlanWaits() != nil || req.Attention != "" || req.Case.Holds[0].EndedBy != "ana" {
			t.Errorf("approved: %+v, attention %q", req.Case.Holds, req.Attention)
		}
		if got := r.decisionsOf(one); !slices.Contains(got, "plan_approved") {
			t.Errorf("on record are %v", got)
		}
		if answers, err = r.room.ApprovePlans(bob, []request.ID{one}); err != nil || !errors.Is(answers[0], request.ErrHold) {
			t.Errorf("approving twice: %v, %v", answers, err)
		}
		if answers, err = r.room.ApprovePlans(ana, []request.ID{one}); err != nil || answers[0] != nil {
			t.Errorf("saying so again: %v, %v", answers, err)
		}

		r.room.PlanApprovers = 2
		for _, c := range []struct {
			ctx  context.Context
			want error
		}{{ana, request.ErrSecond}, {ana, request.ErrSamePerson}, {bob, nil}} {
			if answers, err = r.room.ApprovePlans(c.ctx, []request.ID{other}); err != nil || !errors.Is(answers[0], c.want) {
				t.Errorf("approving by two: %v, %v, want %v", answers, err, c.want)
			}
			if req, _ := r.get(other); (req.PlanWaits() == nil) != (c.want == nil) {
				t.Errorf("after %v it waits: %t", c.want, req.PlanWaits() != nil)
			}
		}
		if got := r.decisionsOf(other); !slices.Contains(got, "plan_approval_asked") || !slices.Contains(got, "plan_approved") {
			t.Errorf("on record are %v", got)
		}
	})
}
