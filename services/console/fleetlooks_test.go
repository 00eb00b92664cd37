package console

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/habeas-data/habeas/services/internal/browsertest"
)

// looks takes pictures of a page on a desk and on a phone, by day and by night,
// and checks each with axe.
func looks(b *browsertest.Browser, name, url string) {
	for _, width := range []int64{browsertest.Desktop, browsertest.Phone} {
		for _, scheme := range []string{"light", "dark"} {
			shot := "console-" + name + "-" + map[int64]string{browsertest.Desktop: "desktop", browsertest.Phone: "phone"}[width] + "-" + scheme
			b.Width(width)
			b.Run(
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Navigate(url),
			)
			b.Wait(`document.querySelector("#live-status") && (!document.body.dataset.live || document.querySelector("#live-status").textContent === "Live")`)
			b.Accessible(shot)
			b.Shot(shot)
		}
	}
}

// enter signs the browser in as a person does who has the token.
func enter(b *browsertest.Browser, d *desk) {
	b.Run(chromedp.Navigate(d.server.URL+"/login"), chromedp.SendKeys("#token", token+"\r"))
	b.Wait(`location.pathname === "/" && document.querySelector("nav.places") !== null`)
}

// The pages of platform teams as people see and use them.
func TestFleetLooks(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	d.connect(t, sites()...)
	d.pauseInStore(t, "billing")
	d.queued(t, "warehouse", 1204)
	b := browsertest.New(t)
	enter(b, d)
	looks(b, "connectors", d.server.URL+"/connectors")
	looks(b, "connector", d.server.URL+"/connectors/crm")
	looks(b, "letters", d.server.URL+"/letters")

	// Each action by mouse and by keyboard alone.
	b.Run(chromedp.Navigate(d.server.URL + "/connectors/crm"))
	b.Run(chromedp.SendKeys("#reason", "It is being moved.\r"))
	b.Wait(`location.pathname === "/connectors/crm" && document.querySelector("#reason").value === ""`)
	b.Run(chromedp.Navigate(d.server.URL + "/connectors/billing"))
	b.Run(chromedp.Click("#resume"))
	b.Wait(`performance.getEntriesByType("navigation")[0].redirectCount > 0 && location.pathname === "/connectors/billing"`)
	b.Run(chromedp.Navigate(d.server.URL + "/letters"))
	b.Run(chromedp.Click("#retry-all"))
	b.Wait(`document.querySelector(".notice.good")?.textContent.includes("3 jobs are sent again")`)
	b.Run(chromedp.Navigate(d.server.URL + "/connectors"))
	b.Run(chromedp.Click("#from-cookie_id"), chromedp.Submit("#from-cookie_id"))
	b.Wait(`location.search.includes("from=cookie_id") && [...document.querySelectorAll("#graph tr")].some(r => r.textContent.includes("adtech") && r.textContent.includes("At once"))`)
	want := []string{`pause crm "It is being moved." by console`, `resume billing by console`, `retry letters "" "" "" false`}
	d.act.mu.Lock()
	defer d.act.mu.Unlock()
	if len(d.act.calls) != len(want) {
		t.Fatalf("did %v", d.act.calls)
	}
	for i := range want {
		if d.act.calls[i] != want[i] {
			t.Errorf("did %s, want %s", d.act.calls[i], want[i])
		}
	}
}
