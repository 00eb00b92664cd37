package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// toReview is a request whose copy is made and waits for a look.
func toReview() made {
	return made{right: request.KnowSpecific, state: request.Packaging, received: now.AddDate(0, 0, -6), attention: store.AttentionReview, edit: func(r *store.Request) {
		r.Package = store.Package{Key: "a", SHA256: []byte{0xab, 0xcd}, Size: 9}
		r.Case.Review = &request.Review{Until: now.AddDate(0, 0, 20), Texts: []request.TextField{
			{FieldPlace: request.FieldPlace{Connector: "crm", Store: "notes", Field: "body"}, Count: 3},
			{FieldPlace: request.FieldPlace{Connector: "crm", Store: "notes", Field: "…"}, Count: 1},
			{FieldPlace: request.FieldPlace{Connector: "desk", Store: "tickets", Field: "two words"}, Count: 1},
		}}
	}}
}

// A copy is read by who may, which is on record, and then let go or made again.
func TestCopyIsLookedAt_KN10(t *testing.T) {
	d := newDesk(t)
	id := string(d.add(t, toReview()))
	path := "/requests/" + id
	d.fetch(t, "/today").says(t, "The copy waits for a look before it is handed over")
	page := d.fetch(t, path)
	page.decent(t, true)
	page.says(t, "A look at the copy", "Waiting for a look at the copy", "It can wait until 5 Jul 2026", "Take the copy and read it", "Leave out crm/notes/body 3 records", "Leave out desk/tickets/two words 1 record",
		"1 in fields that are not named here", "I have read it: hand it over")

	a := d.fetch(t, path+"/copy")
	if a.status != http.StatusOK || a.body != onPaper || a.header.Get("Content-Disposition") != `attachment; filename="copy-`+id+`.zip"` || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the copy: status %d, %v", a.status, a.header)
	}
	onRecord := func(who string, allowed bool) bool {
		looks, err := d.looks(t)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(looks, func(l store.Access) bool {
			return l.Purpose == "console: the copy of request "+id && l.Who == who && l.Allowed == allowed
		})
	}
	if !onRecord(Name, true) {
		t.Error("who took the copy is not on record")
	}
	approve := url.Values{"copy": {"abcd"}, "decision": {"approve"}}
	for who, role := range map[string]access.Role{"eve": access.Viewer, "ann": access.Approver, "aud": access.Auditor} {
		client := d.as(t, who, role)
		if a := d.do(t, client, http.MethodGet, path+"/copy", nil, nil); a.status != http.StatusForbidden || !onRecord(who, false) {
			t.Errorf("%s takes the copy: status %d, or it is not on record", role, a.status)
		}
		if a := d.do(t, client, http.MethodPost, path+"/copy", approve, http.Header{"Sec-Fetch-Site": {"same-origin"}}); a.status != http.StatusForbidden {
			t.Errorf("%s lets the copy go: status %d", role, a.status)
		}
	}
	if a := d.do(t, d.as(t, "eve", access.Viewer), http.MethodGet, path, nil, nil); strings.Contains(a.body, "/copy") {
		t.Error("a viewer is offered the copy")
	}
	calls := len(d.act.calls)

	// Marks and a yes do not go together: what was marked would go out.
	for _, marked := range []url.Values{{"mask": {"Rosa Delgado"}}, {"leave-out": {"crm/notes/body"}}} {
		marked["copy"], marked["decision"] = approve["copy"], approve["decision"]
		a := d.post(t, path+"/copy", marked)
		a.says(t, "would hand over what you marked")
		if a.status != http.StatusUnprocessableEntity || marked.Has("mask") && !strings.Contains(a.body, "Rosa Delgado</textarea>") {
			t.Errorf("status %d, or what was typed is lost", a.status)
		}
	}
	for _, bad := range []url.Values{{"decision": {"approve"}}, {"decision": {"again"}, "copy": {"zz"}}, {"decision": {"again"}, "copy": {"abcd"}, "leave-out": {"crm"}}} {
		if a := d.post(t, path+"/copy", bad); a.status != http.StatusConflict {
			t.Errorf("%v: status %d", bad, a.status)
		}
	}
	d.post(t, path+"/copy", url.Values{"decision": {"again"}, "copy": {"abcd"}, "mask": {"x"}}).says(t, "is no name or word")
	if len(d.act.calls) != calls {
		t.Errorf("asked %q", d.act.calls[calls:])
	}
	again := url.Values{"copy": {"abcd"}, "decision": {"again"}, "mask": {"Rosa Delgado\r\nCarl"}, "leave-out": {"crm/notes/body", "desk/tickets/two%20words"}}
	for want, form := range map[string]url.Values{
		"approve copy abcd of " + id: approve,
		"make copy abcd of " + id + ` again, mask ["Rosa Delgado" "Carl"], without [crm/notes/body desk/tickets/two words]`: again,
	} {
		if a := d.post(t, path+"/copy", form); a.path != path || a.status != http.StatusOK {
			t.Errorf("status %d at %s", a.status, a.path)
		}
		if !slices.Contains(d.act.calls, want) {
			t.Errorf("asked %q, want %q", d.act.calls, want)
		}
	}
	for why, want := range map[error]string{request.ErrNotForReview: "another one was made since", request.ErrCopyOver: "Have it made again"} {
		d.act.err = why
		a := d.post(t, path+"/copy", approve)
		a.says(t, want)
		if a.status != http.StatusConflict {
			t.Errorf("%v: status %d", why, a.status)
		}
	}
	d.act.err = errors.New("planted: the disk is gone")
	if a := d.fetch(t, path+"/copy"); a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "planted") {
		t.Errorf("without the delivery room: status %d", a.status)
	}
}

// How a look went is on the page, and what waits for none is not given out.
func TestOnlyWhatWaitsIsLookedAt_KN10(t *testing.T) {
	d := newDesk(t)
	with := func(state request.State, change func(*store.Request)) string {
		m := toReview()
		if state == request.Closed {
			m.ending = &request.Ending{Result: request.ResultComplete}
		}
		edit := m.edit
		m.state, m.attention, m.edit = state, "", func(r *store.Request) { edit(r); change(r) }
		return "/requests/" + string(d.add(t, m))
	}
	remade := with(request.Packaging, func(r *store.Request) {
		r.Package = store.Package{}
		r.Case.Review.Round, r.Case.Review.Words, r.Case.Review.LeftOut = 2, 1, []request.FieldPlace{{Connector: "crm", Store: "notes", Field: "body"}}
	})
	d.fetch(t, remade).says(t, "Made again 2 times, with 1 name or word masked, without crm/notes/body .", "It is being made again, and waits for another look then.")
	gone := with(request.Closed, func(r *store.Request) {
		r.Case.Review.Approved, r.Case.Review.By = now.AddDate(0, 0, -1), "ana"
	})
	d.fetch(t, gone).says(t, "Looked at and let go 14 Jun 2026", "by ana.")
	over := with(request.Packaging, func(r *store.Request) { r.Case.Review.Until = now })
	if a := d.fetch(t, over); strings.Contains(a.body, "hand it over</button>") || !strings.Contains(a.text(), "its time is over. Have it made again") {
		t.Errorf("one that waited too long: %s", a.text())
	}
	for _, path := range []string{remade, gone} {
		if a := d.fetch(t, path+"/copy"); a.status != http.StatusConflict {
			t.Errorf("status %d", a.status)
		}
	}
	d.room.config.Answers = nil
	waits := "/requests/" + string(d.add(t, toReview()))
	d.fetch(t, waits).says(t, "This console knows of no delivery room")
}

func TestReviewInABrowser_KN10(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, toReview())
	b := browsertest.New(t)
	enter(b, d)
	url := d.server.URL + "/requests/" + string(id)
	looks(b, "request-review", url)
	b.Width(browsertest.Desktop)
	b.Run(chromedp.Navigate(url))
	b.Wait(`document.readyState === "complete" && document.querySelector("#live-status")?.textContent === "Live"`)
	b.Run(chromedp.Click("#leave-out-2"), chromedp.SendKeys("#review-mask", "Rosa Delgado"), chromedp.Click("#review-again"))
	d.act.asked(t, "make copy abcd of "+string(id)+` again, mask ["Rosa Delgado"], without [desk/tickets/two words]`)
}
