package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// A recipient that is silent beyond its deadline, and one that can't be reached,
// are things that wait for a person.
func TestTodayTellsOfRecipients_DE3(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, waiting())
	if a := d.fetch(t, "/today"); strings.Contains(a.text(), "Recipients overdue") || strings.Contains(a.text(), "Recipients not reached") {
		t.Error("recipients are shown and there are none")
	}
	row := func(recipient string, state request.OnwardState, deadline time.Time, failed string) store.Onward {
		return store.Onward{
			ID: request.NewID(), RequestID: id, Recipient: recipient, State: state, Failed: failed, DecidedAt: now.AddDate(0, 0, -10), Deadline: deadline,
		}
	}
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Onward = append(snaps[0].Onward,
			row("mailer", request.OnwardTold, now.Add(-time.Hour), ""), row("host", request.OnwardTold, now.Add(time.Hour), ""),
			row("adnet", request.OnwardWaiting, now.Add(time.Hour), "no_channel"), row("buyer", request.OnwardAcknowledged, now.Add(-time.Hour), ""))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/today").says(t, "Recipients overdue 1", "Recipients not reached 1")
}

// vendors is a company's file, and the desk for those it names.
type vendors struct{ act *actor }

func (v vendors) All() []disclosure.Recipient {
	flow := func(from string, as tenant.Disclosed, categories ...string) []disclosure.Flow {
		return []disclosure.Flow{{Connector: from, Stores: []string{"contacts"}, Categories: categories, Purpose: "sending newsletters", As: as, Since: now.AddDate(-2, 0, 0)}}
	}
	return []disclosure.Recipient{
		{
			ID: "mailer", Name: "Mailer Inc.", Kind: "e-mail services", Role: tenant.ServiceProvider, Contract: "DPA-2025-014", Flows: flow("crm", tenant.ForBusiness, "A", "B"),
			Tell: tenant.Tell{Email: "privacy@mailer.example", Identifiers: []string{"email"}},
		},
		{
			ID: "adnet", Name: "Ad Network", Kind: "advertising", Role: tenant.ThirdParty, Flows: flow("adtech", tenant.Sold, "F", "K"),
			Tell: tenant.Tell{Webhook: "https://adnet.example/hooks/secret-path"},
		},
		{ID: "mute", Name: "Mute Ltd.", Kind: "printing", Role: tenant.Contractor, Contract: "C-1"},
	}
}

func (v vendors) Again(_ context.Context, id request.ID) error { return v.act.note("again %s", id) }

func (v vendors) Note(_ context.Context, id request.ID, by, note string) error {
	return v.act.note("note %s by %s %q", id, by, note)
}

// told stores a request whose recipients are in every state, and returns their
// notices by recipient.
func (d *desk) told(t testing.TB) (request.ID, map[string]store.Onward) {
	t.Helper()
	id := d.add(t, deletion())
	rows := make(map[string]store.Onward)
	for _, o := range []store.Onward{
		{Recipient: "mailer", Channel: "email", State: request.OnwardTold, ToldAt: now.AddDate(0, 0, -11), Deadline: now.Add(-time.Hour), Reminders: 2},
		{Recipient: "adnet", Channel: "webhook", State: request.OnwardWaiting, Failed: "refused", Deadline: now.AddDate(0, 0, 3), NextAt: now.Add(time.Hour)},
		{Recipient: "host", Channel: "email", State: request.OnwardAcknowledged, AcknowledgedAt: now.Add(-time.Hour), AcknowledgedBy: "dana", Note: "by phone", Deadline: now.AddDate(0, 0, 3)},
		{Recipient: "broker", State: request.OnwardExcused, Code: "impossible", Explanation: "It went out of business.", Deadline: now},
		{Recipient: "network", Channel: "connector", State: request.OnwardTold, Deadline: now.AddDate(0, 0, 5)},
	} {
		o.ID, o.RequestID, o.Letters, o.DecidedAt, o.Role, o.Basis = request.NewID(), id, "AB", now.AddDate(0, 0, -11), "service_provider", "flow"
		rows[o.Recipient] = o
	}
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Changed, snaps[0].Request.Case.Onward = true, &request.Onward{Look: now}
		for _, o := range rows {
			snaps[0].Onward = append(snaps[0].Onward, o)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return id, rows
}

// Who gets data, how far each is, and what to do next.
func TestRecipientsTell_DE3(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/disclosures").says(t, "Mute Ltd. Contractor, C-1 – nothing says how 0 0 0 0 Fill in tell in the company's file")
	id, _ := d.told(t)
	for path, want := range map[string][]string{
		"/disclosures": {
			"Mailer Inc. Service provider, DPA-2025-014 A, B by e-mail to privacy@mailer.example 1 1 0 0 1 late: ask it, and send again or write down what it says.",
			"Ad Network Third party F, K by webhook at adnet.example 1 0 1 0 1 could not be sent: see why.",
			"host not in the company's file – – 0 0 0 1 Nothing.", "network not in the company's file – – 1 0 0 0 It is not in the company's file any more",
		},
		"/disclosures/mailer": {
			"Counts as Service provider, DPA-2025-014", "crm: contacts A, B sending newsletters for a business purpose 15 Jun 2024",
			string(id) + " Late Email", "reminded 2 times", "late", "Ask it by phone.", "Send it again", "It has confirmed",
		},
		"/disclosures/adnet":                    {"Third party, no contract", "Not reached", "Put the address right in the company's file, then send it again."},
		"/disclosures/host?show=all":            {"Acknowledged", "by the word of dana. “by phone”"},
		"/disclosures/host":                     {"Nothing here."},
		"/disclosures/broker?show=all":          {"Not told, with a reason", "It went out of business."},
		"/disclosures/mailer?show=late":         {"Late"},
		"/disclosures/mailer?show=acknowledged": {"Nothing here."},
		"/disclosures/adnet?show=unsent":        {"Not reached"},
		"/requests/" + string(id):               {"Who else was told", "mailer Late", "adnet Not reached", "host Acknowledged", "broker Not told, with a reason", "network Told"},
		"/disclosures/live":                     {"Mailer Inc."},
		"/disclosures/mailer/live?show=late":    {"Late"},
	} {
		a := d.fetch(t, path)
		if a.status != http.StatusOK {
			t.Errorf("%s: status %d", path, a.status)
		}
		a.says(t, want...)
		a.decent(t, !strings.Contains(path, "/live"))
		if strings.Contains(a.body, "secret-path") {
			t.Errorf("%s shows the address of a webhook", path)
		}
	}
	for path, status := range map[string]int{"/disclosures/nobody": http.StatusNotFound, "/disclosures/mailer?show=x": http.StatusBadRequest, "/disclosures/mailer?after=x": http.StatusBadRequest} {
		if a := d.fetch(t, path); a.status != status {
			t.Errorf("%s: status %d, want %d", path, a.status, status)
		}
	}
}

// Staff step in, on record; who may only look is offered nothing and refused.
func TestStaffStepInForRecipients_DE3(t *testing.T) {
	d := newDesk(t)
	id, rows := d.told(t)
	notice := "/disclosures/notices/" + string(rows["mailer"].ID)
	if a := d.post(t, notice+"/again", url.Values{"back": {"request"}}); a.path != "/requests/"+string(id) {
		t.Errorf("sending again led to %s, status %d", a.path, a.status)
	}
	if a := d.post(t, notice+"/note", url.Values{"note": {"by phone"}}); a.path != "/disclosures/mailer" || a.status != http.StatusOK {
		t.Errorf("taking its word led to %s, status %d", a.path, a.status)
	}
	if want := []string{"again " + string(rows["mailer"].ID), "note " + string(rows["mailer"].ID) + ` by console "by phone"`}; !slices.Equal(d.act.calls, want) {
		t.Errorf("asked %q, want %q", d.act.calls, want)
	}
	looks, err := d.looks(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"console: send again notice " + string(rows["mailer"].ID) + " to mailer", "console: take as acknowledged notice " + string(rows["mailer"].ID) + " to mailer"} {
		if !slices.ContainsFunc(looks, func(a store.Access) bool { return a.Purpose == want && a.Who == Name }) {
			t.Errorf("not on record: %s", want)
		}
	}
	viewer := d.as(t, "eve", access.Viewer)
	a := d.do(t, viewer, http.MethodGet, "/disclosures/mailer", nil, nil)
	if a.says(t, "Late"); strings.Contains(a.body, "/again") || strings.Contains(a.body, "/note") {
		t.Error("who only looks is offered to step in")
	}
	if a := d.do(t, viewer, http.MethodPost, notice+"/again", nil, http.Header{"Sec-Fetch-Site": {"same-origin"}}); a.status != http.StatusForbidden {
		t.Errorf("who only looks steps in: status %d", a.status)
	}
	for _, bad := range []string{"/disclosures/notices/x/again", "/disclosures/notices/" + string(request.NewID()) + "/note"} {
		if a := d.post(t, bad, url.Values{"note": {"x"}}); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d", bad, a.status)
		}
	}
	d.act.err = request.ErrOnwardAcknowledged
	if a := d.post(t, notice+"/again", nil); a.status != http.StatusConflict {
		t.Errorf("too late: status %d", a.status)
	} else {
		a.says(t, "The recipient has acknowledged: there is nothing to send. Nothing was changed.")
	}
	d.act.err = request.FieldErrors{{Field: "note", Problem: "is empty", Fix: "say how"}}
	if a := d.post(t, notice+"/note", nil); a.status != http.StatusUnprocessableEntity {
		t.Errorf("without a note: status %d", a.status)
	}
}

func TestRecipientsInABrowser_DE3(t *testing.T) {
	d := newDesk(t)
	id, rows := d.told(t)
	b := browsertest.New(t)
	enter(b, d)
	looks(b, "recipients", d.server.URL+"/disclosures")
	looks(b, "recipient", d.server.URL+"/disclosures/mailer")
	looks(b, "request-told", d.server.URL+"/requests/"+string(id))
	b.Width(browsertest.Desktop)
	b.Run(chromedp.Navigate(d.server.URL + "/disclosures/mailer"))
	const settled = `document.readyState === "complete" && document.querySelector("#live-status")?.textContent === "Live"`
	b.Wait(settled)
	b.Run(chromedp.Click("#again-" + string(rows["mailer"].ID)))
	d.act.asked(t, "again "+string(rows["mailer"].ID))
	b.Wait(settled)
	b.Run(chromedp.Click("details > summary"), chromedp.SendKeys("#note-"+string(rows["mailer"].ID), "by phone"+kb.Enter))
	d.act.asked(t, "note "+string(rows["mailer"].ID)+` by console "by phone"`)
	b.Wait(settled)
	// The page follows what happens.
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		for i := range snaps[0].Onward {
			if o := &snaps[0].Onward[i]; o.Recipient == "mailer" {
				o.State, o.AcknowledgedAt, o.AcknowledgedBy = request.OnwardAcknowledged, now, "recipient"
				snaps[0].TouchOnward(i)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.hint(t, wire.HintSubject(Name), id)
	b.Wait(`document.querySelector("#recipient").textContent.includes("Nothing here.")`)
}
