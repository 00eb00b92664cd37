package coordinator

import (
	"crypto/sha256"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// consented is an opt-in as it stands after its second step.
func (r *rig) consented(right request.Right, email string) request.ID {
	r.t.Helper()
	n := r.of(right, email)
	base := *n.Request.Request
	base.Terms.Received = base.Terms.Received.Add(time.Hour) // after what it takes back
	base.Ending = &request.Ending{Result: request.ResultComplete}
	base.Spawn(right, request.FromConsent, time.Now(), "")
	var err error
	if n.Request.Request, err = request.Restore(base, right, request.Closing, nil); err != nil {
		r.t.Fatal(err)
	}
	return r.submit(n)[0]
}

// of is a request of the person with an address, known to be theirs as intake knows
// it.
func (r *rig) of(right request.Right, email string) store.New {
	r.t.Helper()
	n := r.fresh(right, id("email", email))
	digest := sha256.Sum256([]byte(email))
	n.People = [][]byte{digest[:]}
	return n
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
		in := r.consented(request.OptInSaleShare, "jane@example.com")
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
	r.closed(request.ResultComplete, r.lookOf(r.consented(request.OptInSaleShare, "jane@example.com"), 0))
}

// Who takes a limit back is let go wherever that can be done, and stays so when a
// system is restored; others stay limited, and whoever opted out stays out.
func TestLimitIsTakenBack_OO6(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		system := newPeople()
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: system.do, Backups: 200 * 24 * time.Hour, Abilities: []habeasv1.Action{
			habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_OPT_OUT, habeasv1.Action_ACTION_LIMIT, habeasv1.Action_ACTION_LIFT_LIMIT,
		}})
		only := standin.Join(t, r.bus.JS, standin.Script{Name: "ads", Accepts: acceptsEmail, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_LIMIT}})
		for range 2 {
			r.start(nil)
		}
		r.known("crm", "ads")
		backup := time.Now().UTC()
		const jane, stays = "jane@example.com", "stays@example.com"
		r.closed(request.ResultComplete, r.submit(r.of(request.LimitSPI, jane), r.of(request.OptOutSaleShare, jane), r.of(request.LimitSPI, stays))...)
		if !system.limited(jane) || !system.out(jane) || !system.limited(stays) {
			t.Fatal("the choices are not in force")
		}
		asked := len(only.Acts())

		lift := r.consented(request.OptInSPI, jane)
		r.closed(request.ResultComplete, lift)
		child := r.lookOf(lift, 0)
		r.closed(request.ResultComplete, child)
		if system.limited(jane) || !system.out(jane) || !system.limited(stays) {
			t.Errorf("limited: jane %v, the other %v; jane is opted out: %v", system.limited(jane), system.limited(stays), system.out(jane))
		}
		if len(only.Acts()) != asked {
			t.Error("a system that can only limit was asked something")
		}
		req, jobs := r.get(child)
		if len(jobs) != 1 || jobs[0].Action != request.ActionLiftLimit || req.Case.Origin != request.FromConsent {
			t.Errorf("%d jobs, %+v", len(jobs), jobs)
		}

		system.restore()
		if p, progress := r.replay("crm", backup); p.Released != 1 || progress.Requests != 2 {
			t.Errorf("the replay let %d go and did %d again, want 1 and 2", p.Released, progress.Requests)
		}
		if system.limited(jane) || !system.out(jane) || !system.limited(stays) {
			t.Errorf("after a restore: limited: jane %v, the other %v; jane is opted out: %v", system.limited(jane), system.limited(stays), system.out(jane))
		}
	})
}

// Where nothing can lift a limit, nobody is waited for and nobody has to look.
func TestLimitNobodyToTell_OO6(t *testing.T) {
	r := newRig(t)
	standin.Join(t, r.bus.JS, standin.Script{Name: "lake", Accepts: acceptsEmail, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_LIMIT}})
	r.start(nil)
	r.known("lake")
	r.closed(request.ResultComplete, r.lookOf(r.consented(request.OptInSPI, "jane@example.com"), 0))
}
