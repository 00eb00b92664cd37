package console

import (
	"net/http"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// What one person agreed to is shown to the second, who agrees with one button;
// the first is told that it takes somebody else.
func TestTwoPeople(t *testing.T) {
	d := newDesk(t)
	m := tooMany()
	m.edit = func(r *store.Request) {
		if _, err := r.Approve("cap/analytics/250000", "ana", now); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Approve("deny/fraud", "ana", now); err != nil {
			t.Fatal(err)
		}
	}
	path := "/requests/" + string(d.add(t, m))
	for who, want := range map[string]string{"ana": "That is you: somebody else must agree as well.", "bob": "A second person must agree. Agree: up to 250000 records"} {
		a := d.do(t, d.as(t, who, access.Approver), http.MethodGet, path, nil, nil)
		a.decent(t, true)
		a.says(t, "ana agreed to let analytics act on up to 250000 records. "+want, "ana agreed to deny it as fraud.")
	}
}

// Before an erasure there is a pause, in which the page says what will be done,
// and lets go ahead at once or cancel.
func TestPauseBeforeErasure(t *testing.T) {
	d := newDesk(t)
	d.connect(t, &habeasv1.Manifest{Name: "crm", Accepts: []string{"email"}, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_ERASE}},
		&habeasv1.Manifest{Name: "lake", Accepts: []string{"device_id"}, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_ERASE}},
		&habeasv1.Manifest{Name: "books", Accepts: []string{"user_id"}, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE}})
	id := d.add(t, made{right: request.Delete, state: request.Held, received: now.AddDate(0, 0, -1), edit: func(r *store.Request) {
		r.Case.Holds = []request.Hold{{ID: request.NewID(), Kind: request.CoolingHold, Since: now.Add(-time.Hour), Until: now.Add(47 * time.Hour), By: "coordinator"}}
	}})
	path := "/requests/" + string(id)
	a := d.fetch(t, path)
	a.decent(t, true)
	a.says(t, "Waiting period before erasure since 15 Jun 2026, 17:00 UTC. It goes on by itself, or when somebody ends the hold. 17 Jun 2026, 17:00 UTC",
		"Approve: go ahead now", "Until then nothing is erased, and the request can be cancelled", "What it will ask", "crm : erase by email",
		"lake : not asked, unless another finds device_id", "books : look by user_id: it has no ability for more", "Cancel this request")
	a = d.do(t, d.as(t, "eve", access.Viewer), http.MethodGet, path, nil, nil)
	for _, n := range elements(a.doc, "form") {
		if attr(n, "action") != "/logout" {
			t.Errorf("somebody who only looks is offered %s", attr(n, "action"))
		}
	}
}

// What a person was told, and could not be told, is on the page.
func TestNotices(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, waiting())
	for _, kind := range []store.NoticeKind{store.NoticeReceipt, store.NoticeVerifyAgain} {
		if _, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, false, func(snaps []*store.Snapshot) error {
			snaps[0].Notices = []store.Notice{{RequestID: id, Kind: kind, CreatedAt: now}}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.store.Noticed(t.Context(), []store.Notice{{RequestID: id, Kind: store.NoticeReceipt}}); err != nil {
		t.Fatal(err)
	}
	if err := d.store.PutOffNotice(t.Context(), store.Notice{RequestID: id, Kind: store.NoticeVerifyAgain}, now.Add(time.Hour), "mail_refused"); err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/requests/"+string(id)).says(t, "Receipt confirmed Told", "A surer verification is needed Not told after 1 try: mail refused 15 Jun 2026, 18:00 UTC , next try 15 Jun 2026, 19:00 UTC")
}
