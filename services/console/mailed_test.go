package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// shelf is a delivery room with one answer for all.
type shelf struct{ act *actor }

const onPaper = "PK an answer on paper"

func (s shelf) Open(_ context.Context, id request.ID) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader(onPaper)), int64(len(onPaper)), s.act.note("open %s", id)
}

func (s shelf) Posted(_ context.Context, id request.ID, m request.Mailed) error {
	return s.act.note("posted %s on %s tracking %q by %s", id, m.On, m.Tracking, m.By)
}

// forMail is a request whose answer is made and has to be mailed.
func forMail() made {
	return made{right: request.KnowSpecific, state: request.Packaging, received: now.AddDate(0, 0, -6), attention: "mail_answer", edit: func(r *store.Request) {
		r.Case.Answer, r.Package = request.AnswerByMail, store.Package{Key: "a", SHA256: []byte("a"), Size: 9}
	}}
}

// KN-4: an answer on paper is printed and marked as mailed by who may, and each
// look at it is on record before it is given out.
func TestAnswerIsPrintedAndMailed_KN4(t *testing.T) {
	d := newDesk(t)
	id := string(d.add(t, forMail()))
	path := "/requests/" + id
	d.fetch(t, "/today").says(t, "The answer is to be printed and mailed")
	page := d.fetch(t, path)
	page.decent(t, true)
	page.says(t, "Answer by mail", "Download the answer to print", "Mailed on", "It is mailed: end the request", "Waiting for the mail")

	a := d.fetch(t, path+"/answer")
	if a.status != http.StatusOK || a.body != onPaper || a.header.Get("Content-Type") != "application/zip" ||
		a.header.Get("Content-Disposition") != `attachment; filename="answer-`+id+`.zip"` || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer: status %d, %v", a.status, a.header)
	}
	onRecord := func(who string, allowed bool) bool {
		looks, err := d.looks(t)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(looks, func(l store.Access) bool {
			return l.Purpose == "console: the answer to request "+id && l.Who == who && l.Allowed == allowed
		})
	}
	if !onRecord(Name, true) {
		t.Error("who took the answer is not on record")
	}
	for who, role := range map[string]access.Role{"eve": access.Viewer, "ann": access.Approver, "aud": access.Auditor} {
		client := d.as(t, who, role)
		if a := d.do(t, client, http.MethodGet, path+"/answer", nil, nil); a.status != http.StatusForbidden || !onRecord(who, false) {
			t.Errorf("%s takes the answer: status %d, or it is not on record", role, a.status)
		}
		if a := d.do(t, client, http.MethodPost, path+"/posted", url.Values{"on": {"2026-06-15"}}, http.Header{"Sec-Fetch-Site": {"same-origin"}}); a.status != http.StatusForbidden {
			t.Errorf("%s says that it was mailed: status %d", role, a.status)
		}
	}
	if a := d.do(t, d.as(t, "eve", access.Viewer), http.MethodGet, path, nil, nil); strings.Contains(a.body, "/answer") || strings.Contains(a.body, "/posted") {
		t.Error("a viewer is offered the answer")
	}

	for day, want := range map[string]string{"": "Give the day", "x": "give the day", "2026-06-01": "before the request came", "2026-06-20": "still to come"} {
		a := d.post(t, path+"/posted", url.Values{"on": {day}, "tracking": {"1Z"}})
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(strings.ToLower(a.text()), strings.ToLower(want)) || !strings.Contains(a.body, `value="1Z"`) {
			t.Errorf("mailed on %q: status %d", day, a.status)
		}
	}
	if a := d.post(t, path+"/posted", url.Values{"on": {"2026-06-14"}, "tracking": {" 1Z999 "}}); a.path != path || a.status != http.StatusOK {
		t.Errorf("status %d at %s", a.status, a.path)
	}
	if want := "posted " + id + ` on 2026-06-14 tracking "1Z999" by console`; !slices.Contains(d.act.calls, want) {
		t.Errorf("asked %q, want %q", d.act.calls, want)
	}

	d.act.err = errors.New("planted: the disk is gone")
	for _, a := range []answer{d.fetch(t, path+"/answer"), d.post(t, path+"/posted", url.Values{"on": {"2026-06-14"}})} {
		if a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "planted") {
			t.Errorf("without the delivery room: status %d", a.status)
		}
		a.says(t, "The delivery room does not answer")
	}
	d.act.err = request.ErrNotForMail
	if a := d.post(t, path+"/posted", url.Values{"on": {"2026-06-14"}}); a.status != http.StatusConflict {
		t.Errorf("mailed twice: status %d", a.status)
	}
}

// What does not wait to be mailed is not given out, and what was says when.
func TestOnlyWhatWaitsIsPrinted_KN4(t *testing.T) {
	d := newDesk(t)
	other := d.add(t, made{right: request.KnowSpecific, state: request.Packaging, received: now.AddDate(0, 0, -6)})
	if a := d.fetch(t, "/requests/"+string(other)+"/answer"); a.status != http.StatusConflict {
		t.Errorf("an answer that goes another way: status %d", a.status)
	}
	if a := d.fetch(t, "/requests/"+string(request.NewID())+"/answer"); a.status != http.StatusNotFound {
		t.Errorf("no request: status %d", a.status)
	}
	done := forMail()
	done.state, done.ending, done.attention = request.Closed, &request.Ending{Result: request.ResultComplete, Code: "mailed"}, ""
	edit := done.edit
	done.edit = func(r *store.Request) {
		edit(r)
		r.Case.Mailed = &request.Mailed{On: request.Date{Year: 2026, Month: 6, Day: 12}, Tracking: "1Z999", By: "ana"}
	}
	path := "/requests/" + string(d.add(t, done))
	d.fetch(t, path).says(t, "Mailed on 2026-06-12 by ana, tracking 1Z999 .")
	if a := d.fetch(t, path+"/answer"); a.status != http.StatusConflict {
		t.Errorf("an answer that was mailed: status %d", a.status)
	}
	if len(d.act.calls) != 0 {
		t.Errorf("asked %q", d.act.calls)
	}
	d.room.config.Answers = nil
	waits := "/requests/" + string(d.add(t, forMail()))
	d.fetch(t, waits).says(t, "This console knows of no delivery room")
	if a := d.fetch(t, waits+"/answer"); a.status != http.StatusServiceUnavailable {
		t.Errorf("without a delivery room: status %d", a.status)
	}
}

func TestMailInABrowser_KN4(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, forMail())
	b := browsertest.New(t)
	enter(b, d)
	url := d.server.URL + "/requests/" + string(id)
	looks(b, "request-mail", url)
	b.Width(browsertest.Desktop)
	b.Run(chromedp.Navigate(url))
	b.Wait(`document.readyState === "complete" && document.querySelector("#live-status")?.textContent === "Live" && document.querySelector("#mailed-on").value === "2026-06-15"`)
	b.Run(chromedp.SendKeys("#mailed-tracking", "1Z999"+kb.Enter))
	d.act.asked(t, "posted "+string(id)+` on 2026-06-15 tracking "1Z999" by console`)
}
