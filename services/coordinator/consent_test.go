package coordinator

import (
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/suppression"
)

// consented is an opt-in as it stands after its second step.
func (r *rig) consented(email string) request.ID {
	r.t.Helper()
	n := r.fresh(request.OptInSaleShare, id("email", email))
	base := *n.Request.Request
	base.Ending = &request.Ending{Result: request.ResultComplete}
	base.Spawn(request.OptInSaleShare, request.FromConsent, time.Now(), "")
	var err error
	if n.Request.Request, err = request.Restore(base, request.OptInSaleShare, request.Closing, nil); err != nil {
		r.t.Fatal(err)
	}
	return r.submit(n)[0]
}

// Who opts in after an opt-out is opted in wherever that can be done, once, by a
// request that follows from the consent; it is nothing the person is told of.
func TestOptInResumes_OO6(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		system := newPeople()
		ads := standin.Join(t, r.bus.JS, standin.Script{Name: "ads", Accepts: acceptsEmail, Do: system.do, Abilities: []habeasv1.Action{
			habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_OPT_OUT, habeasv1.Action_ACTION_OPT_IN,
		}})
		lake := standin.Join(t, r.bus.JS, standin.Script{Name: "lake", Accepts: acceptsEmail, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_ERASE}})
		for range 2 {
			r.start(nil)
		}
		r.known("ads", "lake")
		out, stays := r.fresh(request.OptOutSaleShare, id("email", "jane@example.com")), r.fresh(request.OptOutSaleShare, id("email", "stays@example.com"))
		r.closed(request.ResultComplete, r.submit(out, stays)...)
		if !system.out("jane@example.com") {
			t.Fatal("not opted out")
		}
		r.told()
		in := r.consented("jane@example.com")
		r.closed(request.ResultComplete, in)
		child := r.lookOf(in, 0)
		r.closed(request.ResultComplete, child)
		if system.out("jane@example.com") || !system.out("stays@example.com") {
			t.Errorf("opted out: jane %v, the other %v", system.out("jane@example.com"), system.out("stays@example.com"))
		}
		if n := len(ads.Acts()); n != 3 || len(lake.Acts()) != 0 {
			t.Errorf("%d jobs where it can be done and %d where not, want 3 and 0", n, len(lake.Acts()))
		}
		req, jobs := r.get(child)
		if len(jobs) != 1 || jobs[0].Action != request.ActionOptIn || len(req.Sealed) != 0 {
			t.Errorf("%d jobs, %d bytes of identifiers", len(jobs), len(req.Sealed))
		}
		list := suppression.List{Store: r.store, Vault: r.vault}
		if got, err := list.Check(t.Context(), []request.Identifier{id("email", "jane@example.com")}); err != nil || got[0] != suppression.None {
			t.Errorf("the list says %v, %v", got, err)
		}
		notices, err := r.store.Notices(t.Context(), 10)
		if err != nil || len(notices) != 1 || notices[0].RequestID != in {
			t.Errorf("to be told: %+v, %v", notices, err)
		}
	})
}

// Where nothing can resume, nobody is waited for and nobody has to look.
func TestOptInNobodyToTell_OO6(t *testing.T) {
	r := newRig(t)
	standin.Join(t, r.bus.JS, standin.Script{Name: "lake", Accepts: acceptsEmail, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE}})
	r.start(nil)
	r.known("lake")
	r.closed(request.ResultComplete, r.lookOf(r.consented("jane@example.com"), 0))
}
