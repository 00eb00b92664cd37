package console

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// asked waits until the actor was asked for something.
func (a *actor) asked(t testing.TB, want string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		a.mu.Lock()
		last := ""
		if n := len(a.calls); n > 0 {
			last = a.calls[n-1]
		}
		a.mu.Unlock()
		if strings.HasPrefix(last, want) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("nobody asked for %q; the last was %q", want, last)
		}
	}
}

// The pages of the day in a browser: how they look on a desk and on a phone, by
// day and by night, and every action that they offer.
func TestDeskInABrowser(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	for i := range 40 {
		d.add(t, made{right: request.Delete, state: request.Accepted, received: now.Add(-time.Duration(i*i) * 20 * time.Minute)})
	}
	held := d.add(t, made{right: request.Delete, state: request.Held, received: now.AddDate(0, 0, -1), edit: func(r *store.Request) {
		r.Case.Holds = []request.Hold{{ID: request.NewID(), Kind: request.CoolingHold, Since: now.Add(-time.Hour), Until: now.Add(47 * time.Hour)}}
	}})
	if err := d.store.SaveFilter(t.Context(), store.SavedFilter{Who: Name, Name: "Late ones", Query: "due=late&sort=due"}); err != nil {
		t.Fatal(err)
	}
	b := browsertest.New(t)
	enter(b, d)
	page := func(id request.ID) string { return d.server.URL + "/requests/" + string(id) }
	looks(b, "today", d.server.URL+"/today")
	looks(b, "requests", d.server.URL+"/?state=open&sort=due")
	looks(b, "request", page(ids["deletion"]))
	looks(b, "request-late", page(ids["late"]))
	looks(b, "request-pause", page(held))

	b.Width(browsertest.Desktop)
	// Once a page says that it is live, it has fetched what it shows, and nothing
	// is replaced under the hand until something changes.
	const settled = `document.readyState === "complete" && document.querySelector("#live-status")?.textContent === "Live"`
	do := func(id request.ID, want string, actions ...chromedp.Action) {
		t.Helper()
		b.Run(chromedp.Navigate(page(id)))
		b.Wait(settled)
		b.Text(`window.before = true`)
		b.Run(actions...)
		d.act.asked(t, want)
		// The answer's page, and not the one that was there before it.
		b.Wait(`window.before === undefined && document.readyState === "complete" && document.querySelector("#decide") !== null`)
	}
	open := func(id string) chromedp.Action { return chromedp.Click("#" + id + " > summary") }
	submit := func(action string) chromedp.Action {
		return chromedp.Click(`form[action$="/` + action + `"]:has(input[name=reason]) button, form[action$="/` + action + `"]:has(input[name=method]) button`)
	}
	late, deletion, waiting, over := ids["late"], ids["deletion"], ids["waiting"], ids["tooMany"]
	do(late, "retry "+string(late), chromedp.Click("#retry-all"))
	do(late, `assign all 1 "console"`, chromedp.Click("#take"))
	do(late, `assign all 1 "ana"`, chromedp.SendKeys("#assign-to", "ana"+kb.Enter))
	do(deletion, "extend "+string(deletion), open("extend"), chromedp.SendKeys("#extend-reason", "many systems"), submit("extend"))
	do(deletion, "hold "+string(deletion)+` legal "matter-17"`, open("hold"), chromedp.SendKeys("#hold-ref", "matter-17"), submit("hold"))
	do(deletion, "stop "+string(deletion)+" cancelled withdrawn", open("cancel"), chromedp.SendKeys("#cancel-code", "withdrawn"), chromedp.SendKeys("#cancel-reason", "by phone"), submit("cancel"))
	do(deletion, "deny "+string(deletion)+` fraud "we believe so" map[document:memo 7]`, open("deny"), chromedp.SetValue("#deny-code", "fraud"),
		chromedp.SendKeys("#need-document", "memo 7"), chromedp.SendKeys("#deny-reason", "we believe so"), submit("deny"))
	do(waiting, "attest "+string(waiting)+" account_login", chromedp.SendKeys("#method", "account_login"), submit("verify"))
	do(over, "retry "+string(over)+` "analytics" 250000`, chromedp.SendKeys("#cap-analytics", "250000"+kb.Enter))
	do(held, "unhold "+string(held), chromedp.Click(`[id^="unhold-"]`))

	// What was refused says so and keeps what was typed.
	d.act.mu.Lock()
	d.act.err = request.ErrExtension
	d.act.mu.Unlock()
	do(deletion, "extend "+string(deletion), open("extend"), chromedp.SendKeys("#extend-reason", "again"), submit("extend"))
	b.Wait(`document.querySelector("[role=alert]")?.textContent.includes("can't be prolonged") && document.querySelector("#extend-reason").value === "again"`)
	b.Accessible("console-request-refused")
	d.act.mu.Lock()
	d.act.err = nil
	d.act.mu.Unlock()

	// The list: choose by keyboard and by the box for all, decide about many.
	b.Run(chromedp.Navigate(d.server.URL + "/?state=running&sort=due"))
	b.Wait(settled + ` && document.querySelectorAll("input[name=request]").length === 5`)
	b.Run(chromedp.Focus("#r-"+string(late)), chromedp.KeyEvent("x"), chromedp.KeyEvent("j"), chromedp.KeyEvent("x"))
	b.Wait(`document.querySelectorAll("input[name=request]:checked").length === 2`)
	b.Run(chromedp.Click("#bulk-retry"))
	d.act.asked(t, "retry all 2")
	b.Wait(`document.querySelector("h1").textContent === "Tried again: 1 of 2"`)
	b.Accessible("console-bulk")
	b.Shot("console-bulk")
	for id, want := range map[string]string{"bulk-assign": `assign all 5 "ana"`, "bulk-extend": `extend all 5 "many systems"`} {
		b.Run(chromedp.Navigate(d.server.URL + "/?state=running"))
		b.Wait(settled)
		b.Run(chromedp.Click("#choose-all"), chromedp.SendKeys("#bulk-assignee", "ana"), chromedp.SendKeys("#bulk-reason", "many systems"), chromedp.Click("#"+id))
		d.act.asked(t, want)
	}

	// A filter is saved, used and removed.
	b.Run(chromedp.Navigate(d.server.URL + "/?right=correct"))
	b.Wait(settled)
	b.Run(chromedp.SendKeys("#save-name", "Corrections"+kb.Enter))
	b.Wait(`[...document.querySelectorAll(".chip a")].some(a => a.textContent === "Corrections" && a.getAttribute("aria-current"))`)
	b.Wait(settled)
	b.Run(chromedp.Click(`[aria-label="Remove the saved filter Corrections"]`))
	b.Wait(`location.search === "" && document.querySelectorAll(".chip a").length === 1`)

	// The request page follows what happens, and leaves alone what is typed.
	b.Run(chromedp.Navigate(page(late)))
	b.Wait(settled)
	b.Run(chromedp.SendKeys("#assign-to", "b"), chromedp.Focus(".fan a.lane"))
	if _, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{late}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Jobs[0].State, snaps[0].Jobs[0].SentAt = request.JobPlanned, now
		snaps[0].Touch(0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	d.hint(t, wire.HintSubject(Name), late)
	b.Wait(`document.querySelector(".fan [aria-current=step]")?.textContent.startsWith("Planned") && document.querySelector("#assign-to").value === "b" && document.activeElement.matches(".fan a.lane")`)
}

// A decision whose button is pressed twice is sent once.
func TestPressingTwice(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	b := browsertest.New(t)
	enter(b, d)
	b.Run(chromedp.Navigate(d.server.URL + "/letters"))
	b.Wait(`document.readyState === "complete" && document.querySelector("#retry-all") !== null`)
	b.Text(`(() => {
		sessionStorage.held = "";
		window.addEventListener("submit", (event) => { sessionStorage.held += event.defaultPrevented + " "; });
		const button = document.querySelector("#retry-all");
		button.click();
		button.click();
	})()`)
	d.act.asked(t, "retry letters")
	b.Wait(`location.search.startsWith("?sent=") && sessionStorage.held === "false true "`)
}
