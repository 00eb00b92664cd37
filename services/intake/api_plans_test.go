package intake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// planned is a deletion whose plan waits to be approved.
func (r *rig) planned() request.ID {
	r.t.Helper()
	id := r.submit(deletion)
	_, err := r.store.Store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, false, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		s.Request.Attention, s.Changed = "plan_approval", true
		return s.Request.Hold(request.Hold{ID: request.NewID(), Kind: request.ApprovalHold, Since: r.room.Now(), By: "coordinator"})
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// results reads the results of a decision about many.
func (a answer) results() (results []DecidedItem) {
	a.t.Helper()
	a.want(http.StatusOK)
	var body struct {
		Results []DecidedItem `json:"results"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return body.Results
}

// many is a body that names requests.
func many(more string, ids ...string) string {
	return `{"requests":["` + strings.Join(ids, `","`) + `"]` + more + `}`
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// A plan is approved by a call, once, however often the call is repeated; it is on
// record as when it is approved in the console.
func TestPlanIsApprovedByAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.planned()
		path := "/v1/requests/" + string(id) + "/approve-plan"
		r.post(path, "").problem(http.StatusUnprocessableEntity).names(t, "header.Habeas-Actor")
		for range 2 {
			if v := r.post(path, "", HeaderActor, "ana").view(http.StatusOK); v.Attention != "" || len(v.Approvals) != 1 || v.Approvals[0].By != "ana" {
				t.Errorf("approved: attention %q, %+v", v.Attention, v.Approvals)
			}
		}
		if got := r.decisionsOf(id); count(got, "plan_approved") != 1 {
			t.Errorf("on record are %v", got)
		}
		r.post(path, "", HeaderActor, "ben").problem(http.StatusConflict)
		r.post("/v1/requests/"+string(r.submit(deletion))+"/approve-plan", "", HeaderActor, "ana").problem(http.StatusConflict)
		r.post("/v1/requests/"+string(request.NewID())+"/approve-plan", "", HeaderActor, "ana").problem(http.StatusNotFound)
		r.post("/v1/requests/x/approve-plan", "", HeaderActor, "ana").problem(http.StatusNotFound)
	})
}

// With two approvers one person's yes is noted, however often they say it.
func TestPlanTakesTwoByAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.room.PlanApprovers = 2
		id := r.planned()
		path := "/v1/requests/" + string(id) + "/approve-plan"
		for range 2 {
			if v := r.post(path, "", HeaderActor, "ana").view(http.StatusOK); v.Attention != "plan_approval" || len(v.Approvals) != 1 {
				t.Errorf("by one of two: attention %q, %+v", v.Attention, v.Approvals)
			}
		}
		for range 2 {
			if v := r.post(path, "", HeaderActor, "ben").view(http.StatusOK); v.Attention != "" || len(v.Approvals) != 2 {
				t.Errorf("by two: attention %q, %+v", v.Attention, v.Approvals)
			}
		}
		if got := r.decisionsOf(id); count(got, "plan_approval_asked") != 1 || count(got, "plan_approved") != 1 {
			t.Errorf("on record are %v", got)
		}
	})
}

// Many plans are approved or denied by one call; each has a result of its own, in
// order, and one that is refused keeps none of the others back.
func TestPlansInBulkByAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		one, other, idle := string(r.planned()), string(r.planned()), string(r.submit(deletion))
		nobody := string(request.NewID())
		body := many("", idle, one, "planted@example.com", nobody, other)
		for range 2 {
			got := r.post("/v1/requests:approve-plans", body, HeaderActor, "ana").results()
			if i := slices.IndexFunc(got, func(d DecidedItem) bool { return strings.Contains(d.ID+d.Message, "planted") }); i >= 0 {
				t.Errorf("what is no id is repeated: %+v", got[i])
			}
			want := []DecidedItem{{ID: idle, Result: "refused"}, {ID: one, Result: "done"}, {Result: "refused"}, {ID: nobody, Result: "refused"}, {ID: other, Result: "done"}}
			for i := range got {
				if (got[i].Message == "") != (got[i].Result == "done") {
					t.Errorf("a refusal that says nothing, or more: %+v", got[i])
				}
				got[i].Message = ""
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("approving many (-want +got):\n%s", diff)
			}
		}
		r.post("/v1/requests:approve-plans", many(""), HeaderActor, "ana").results() // "" is no request, and says so
		r.post("/v1/requests:approve-plans", `{"requests":[]}`, HeaderActor, "ana").problem(http.StatusUnprocessableEntity)

		r.room.PlanApprovers = 2
		late := string(r.planned())
		if got := r.post("/v1/requests:approve-plans", many("", late), HeaderActor, "ana").results(); got[0].Result != "second_needed" {
			t.Errorf("the first of two: %+v", got)
		}

		denial := `,"code":"unverified_delete","reason":"We could not verify who asks."`
		for range 2 {
			if got := r.post("/v1/requests:deny", many(denial, late, nobody), HeaderActor, "ana").results(); got[0].Result != "done" || got[1].Result != "refused" {
				t.Errorf("denying: %+v", got)
			}
		}
		req, _ := r.get(request.ID(late))
		if req.State() != request.Closing || req.Ending.Result != request.ResultDenied || req.Ending.Code != "unverified_delete" {
			t.Errorf("it is %s, %+v", req.State(), req.Ending)
		}
		if got := r.decisionsOf(request.ID(late)); count(got, "denied unverified_delete") != 1 {
			t.Errorf("on record are %v", got)
		}
		if got := r.post("/v1/requests:deny", many(`,"code":"nonsense","reason":"x"`, one), HeaderActor, "ana").results(); got[0].Result != "refused" || !strings.Contains(got[0].Message, "use one of") {
			t.Errorf("a code that the law has not: %+v", got)
		}

		unfounded := `,"code":"unfounded","reason":"It is unfounded.","evidence":{"facts":"The same form came 400 times in one night."}`
		for _, c := range []struct{ who, result string }{{"ana", "second_needed"}, {"ana", "second_needed"}, {"ben", "done"}} {
			if got := r.post("/v1/requests:deny", many(unfounded, other), HeaderActor, c.who).results(); got[0].Result != c.result {
				t.Errorf("%s denies as unfounded: %+v, want %s", c.who, got, c.result)
			}
		}
	})
}

// A whole bulk is decided or none of it, whatever is lost, and can be repeated.
func TestPlansInBulkAndTheStoreFails(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		one, other := r.planned(), r.planned()
		for _, lost := range []bool{false, true} {
			r.store.down, r.store.lost = !lost, lost
			r.post("/v1/requests:approve-plans", many("", string(one), string(other)), HeaderActor, "ana").problem(http.StatusServiceUnavailable)
			r.store.down, r.store.lost = false, false
			for _, id := range []request.ID{one, other} {
				if req, _ := r.get(id); (req.PlanWaits() == nil) != lost {
					t.Errorf("with a lost answer %t the plan waits: %t", lost, req.PlanWaits() != nil)
				}
			}
		}
		for _, d := range r.post("/v1/requests:approve-plans", many("", string(one), string(other)), HeaderActor, "ana").results() {
			if d.Result != "done" {
				t.Errorf("again: %+v", d)
			}
		}
		if got := r.decisionsOf(one); count(got, "plan_approved") != 1 {
			t.Errorf("on record are %v", got)
		}
	})
}
