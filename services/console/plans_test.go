package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// planned is a deletion whose plan waits to be approved, with what was found.
func planned() made {
	return made{right: request.Delete, state: request.Held, received: now.AddDate(0, 0, -1), attention: "plan_approval", edit: func(r *store.Request) {
		r.Case.Holds = []request.Hold{{ID: request.NewID(), Kind: request.ApprovalHold, Since: now.AddDate(0, 0, -1), By: "coordinator"}}
	}, jobs: []store.Job{{
		Connector: "crm", Action: request.ActionLocate, State: request.JobDone, Attempt: 1, Purpose: store.PurposeSurvey,
		Outcome: outcome(&habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: []*habeasv1.StoreCount{counted("crm.contacts", "A", 41, 41, 0)}}),
	}}}
}

// A plan that waits is on Today, shown with what was found and what will be asked,
// and approved alone or with others by who may decide.
func TestPlansAreApprovedInTheConsole(t *testing.T) {
	d := newDesk(t)
	d.connect(t, &habeasv1.Manifest{Name: "crm", Accepts: []string{"email"}, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_ERASE, habeasv1.Action_ACTION_LOCATE}})
	id := string(d.add(t, planned()))
	path := "/requests/" + id
	d.fetch(t, "/today").says(t, "On hold for a person, as to approve a plan 1", "The plan waits to be approved")
	list := d.fetch(t, "/?state=held&attention=1&sort=due")
	list.says(t, "The plan waits to be approved", "Approve plans")
	page := d.fetch(t, path)
	page.decent(t, true)
	page.says(t, "The plan waits to be approved since 14 Jun 2026", "Approve the plan: go ahead", "crm.contacts", "41", "crm : erase by email", "Nothing was done yet but look.")
	if strings.Contains(page.body, "/unhold") {
		t.Error("the plan can be let go without an approval")
	}
	if a := d.post(t, path+"/plan", nil); a.path != path || a.status != http.StatusOK {
		t.Errorf("approving: status %d at %s", a.status, a.path)
	}
	other := d.add(t, planned())
	d.post(t, "/bulk/plans", url.Values{"request": {id, string(other)}}).says(t, "Approved: 1 of 2")
	if want := []string{"approve plans 1 " + id, "approve plans 2 " + id}; !slices.Equal(d.act.calls, want) {
		t.Errorf("asked %q, want %q", d.act.calls, want)
	}
	looks, err := d.looks(t)
	if err != nil || !slices.ContainsFunc(looks, func(a store.Access) bool { return a.Purpose == "console: approve the plan of request "+id }) {
		t.Errorf("the approval is not on record: %v", err)
	}
	for _, role := range []access.Role{access.Viewer, access.Operator, access.Auditor} {
		client := d.as(t, "eve", role)
		for _, to := range []string{path + "/plan", "/bulk/plans"} {
			if a := d.do(t, client, http.MethodPost, to, url.Values{"request": {id}}, http.Header{"Sec-Fetch-Site": {"same-origin"}}); a.status != http.StatusForbidden {
				t.Errorf("%s approves at %s: status %d", role, to, a.status)
			}
		}
	}
	if a := d.do(t, d.as(t, "eve", access.Viewer), http.MethodGet, path, nil, nil); strings.Contains(a.body, "Approve the plan") {
		t.Error("a viewer is offered to approve")
	}
	d.act.err = request.ErrSecond
	if a := d.post(t, path+"/plan", nil); a.status != http.StatusAccepted {
		t.Errorf("by the first of two: status %d", a.status)
	}
}

// Who approved first is shown to the second.
func TestPlanTakesTwo(t *testing.T) {
	d := newDesk(t)
	m := planned()
	edit := m.edit
	m.edit = func(r *store.Request) {
		edit(r)
		if ok, err := r.ApprovePlan("ana", true, now); ok || err != nil {
			t.Fatalf("%t, %v", ok, err)
		}
	}
	path := "/requests/" + string(d.add(t, m))
	for who, want := range map[string]string{"ana": "That is you: somebody else must agree as well.", "bob": "A second person must agree."} {
		d.do(t, d.as(t, who, access.Approver), http.MethodGet, path, nil, nil).says(t, "ana agreed to approve the plan. "+want)
	}
	done := planned()
	edit = done.edit
	done.state = request.Running
	done.edit = func(r *store.Request) {
		edit(r)
		if ok, err := r.ApprovePlan("ana", false, now); !ok || err != nil {
			t.Fatalf("%t, %v", ok, err)
		}
	}
	a := d.fetch(t, "/requests/"+string(d.add(t, done)))
	a.says(t, "ana agreed to approve the plan")
	if strings.Contains(a.text(), "A second person must agree") {
		t.Error("one was enough, and a second is asked for")
	}
}

func TestPlanLooks(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, planned())
	b := browsertest.New(t)
	enter(b, d)
	looks(b, "request-plan", d.server.URL+"/requests/"+string(id))
}
