package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/habeas-data/habeas/services/intake/edge"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// site serves the portal and the signal endpoints on a port.
func (r *rig) site() *httptest.Server {
	r.t.Helper()
	e := edge.New(edge.Config{
		Doors: r.store, Take: r.intake.Take, Chosen: r.intake.ChoseElsewhere, Allow: func(context.Context, string) error { return nil }, Secret: []byte("secret"), Origins: []string{"*"}, Updated: r.now, Now: r.clock,
	})
	mux := http.NewServeMux()
	mux.Handle("/privacy/", r.portal.Handler())
	mux.Handle("/", e.Handler())
	s := httptest.NewServer(mux)
	r.t.Cleanup(s.Close)
	return s
}

// Every page, in both languages, on a phone and on a desk: no violation of
// accessibility, nothing to scroll sideways. The pictures are for people.
func TestAccessible_IN7(t *testing.T) {
	_, with := texting(t)
	r := newRig(t, with)
	site, person := r.site(), r.browser()
	waiting := person.submit("/privacy/know-specific", "email", planted, "point_postal_code", "94110")
	ready, denied := person.submit("/privacy/know-specific", "email", planted), person.submit("/privacy/delete", "email", planted)
	r.finished(ready)
	if err := r.intake.Stop(t.Context(), r.request(denied).ID, request.Ending{Result: request.ResultDenied, Code: "unverified_delete", Reason: "We could not verify who you are."}); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{
		"home": "/privacy/", "status-waiting": waiting, "status-ready": ready, "status-denied": denied, "not-found": "/privacy/nowhere",
	}
	for _, p := range paths {
		pages[p] = "/privacy/" + p
	}
	b := browsertest.New(t)
	for _, language := range verify.Languages() {
		for _, width := range []int64{browsertest.Phone, browsertest.Desktop} {
			b.Width(width)
			for name, path := range pages {
				name = fmt.Sprintf("portal/%s-%s-%d", name, language, width)
				b.Run(chromedp.Navigate(site.URL + path + "?lang=" + language))
				b.Shot(name)
				b.Accessible(name)
			}
			name := fmt.Sprintf("portal/problem-%s-%d", language, width)
			b.Run(chromedp.Navigate(site.URL+"/privacy/delete?lang="+language), chromedp.Click(`button.primary`))
			b.Wait(`document.querySelector('[role=alert]') !== null`)
			b.Run(chromedp.Click(`summary`))
			b.Shot(name)
			b.Accessible(name)
			if width != browsertest.Phone {
				continue
			}
			for what, page := range map[string]string{"code": waiting, "download": ready} { // codes by text message, unfolded
				name := fmt.Sprintf("portal/text-%s-%s-%d", what, language, width)
				b.Run(chromedp.Navigate(site.URL+page+"?lang="+language), chromedp.Click(`details:has(#phone) summary`), chromedp.WaitVisible(`#phone`))
				b.Shot(name)
				b.Accessible(name)
			}
		}
	}
}

// A person opts out with the keyboard alone, in a real browser.
func TestOptOutInBrowser_IN7(t *testing.T) {
	r := newRig(t)
	site := r.site()
	b := browsertest.New(t)
	b.Width(browsertest.Phone)
	b.Run(
		chromedp.Navigate(site.URL+"/privacy/?lang=es"),
		chromedp.Click(`a[href*="/opt-out"]`), chromedp.WaitVisible(`#email`),
		chromedp.SendKeys(`#email`, planted+"\r"),
	)
	b.Wait(`document.title.startsWith('Solicitud de exclusión respetada')`)
	b.Accessible("portal/done")
	b.Shot("portal/done-es-390")
	list, err := r.store.List(t.Context(), store.Filter{})
	if err != nil || len(list) != 1 || list[0].State() != request.Accepted {
		t.Errorf("the requests are %+v, %v", list, err)
	}
}

// shop is a company's site with an advertising tag, and the advertiser that
// counts who was sent to it.
func shop(t *testing.T, portal string, guarded bool) (site *httptest.Server, ads *atomic.Int64) {
	t.Helper()
	ads = &atomic.Int64{}
	advertiser := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ads.Add(1)
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte("window.adRan = true;")) // the browser may be gone
	}))
	t.Cleanup(advertiser.Close)
	tag := `<script type="text/plain" data-habeas="sale" src="` + advertiser.URL + `/ad.js"></script>`
	if !guarded {
		tag = `<script src="` + advertiser.URL + `/ad.js"></script>`
	}
	page := `<!doctype html><html lang="en"><head><title>Shop</title>
<script src="` + portal + `/signal.js" data-cookies="_uid"></script>` + tag + `</head>
<body><p data-habeas-status></p><button data-habeas-optout>Do not sell or share my information</button></body></html>`
	site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uid := r.URL.Query().Get("uid"); uid != "" {
			http.SetCookie(w, &http.Cookie{Name: "_uid", Value: uid, Path: "/"})
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(page)) // the browser may be gone
	}))
	t.Cleanup(site.Close)
	return site, ads
}

// visit loads the shop and waits until the choice is known and the page has
// settled.
func visit(b *browsertest.Browser, site *httptest.Server, uid string) {
	b.Run(chromedp.Navigate(site.URL + "/?uid=" + url.QueryEscape(uid)))
	b.Wait(`window.habeas && (window.habeas.known || window.habeas.optedOut) && document.documentElement.dataset.habeas && document.readyState === 'complete'`)
}

// OO-1, OO-2, CL-5: with the signal no advertiser is reached on the very first
// load, the page says so without a click, and it holds without the signal and
// after the browser's own mark is gone. Without the signal the tag runs; without
// the guard it runs in spite of the signal.
func TestGPCInBrowser_OO1_OO2_CL5(t *testing.T) {
	r := newRig(t)
	portal := r.site()
	// A page may be shown before its choice has arrived, and what a browser that
	// is closed meanwhile had to say is lost.
	arrived := func(t *testing.T, want int) {
		t.Helper()
		var list []store.Request
		var err error
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && len(list) < want; <-time.After(50 * time.Millisecond) {
			list, err = r.store.List(t.Context(), store.Filter{Right: request.OptOutSaleShare})
		}
		if err != nil || len(list) != want {
			t.Errorf("%d requests carry choices, %v; want %d", len(list), err, want)
		}
	}
	t.Run("no signal", func(t *testing.T) {
		site, ads := shop(t, portal.URL, true)
		b := browsertest.New(t)
		visit(b, site, "someone")
		b.Wait(`window.adRan === true`)
		if ads.Load() != 1 {
			t.Errorf("the advertiser was reached %d times, want 1", ads.Load())
		}
	})
	t.Run("signal", func(t *testing.T) {
		site, ads := shop(t, portal.URL, true)
		b := browsertest.New(t)
		b.GPC()
		visit(b, site, "her-browser")
		if got := b.Text(`document.querySelector('[data-habeas-status]').textContent`); got != "Opt-Out Request Honored" {
			t.Errorf("the page says %q", got)
		}
		b.Wait(`window.habeas.known`)
		b.Shot("signal/honored")
		arrived(t, 1)
		again := browsertest.New(t) // no mark in this browser, and no signal
		visit(again, site, "her-browser")
		again.Wait(`window.habeas.known`)
		if again.Text(`window.habeas.optedOut`) != "true" {
			t.Error("without the signal she is in again")
		}
		if n := ads.Load(); n != 0 {
			t.Errorf("the advertiser was reached %d times, want never", n)
		}
	})
	t.Run("a click", func(t *testing.T) {
		site, _ := shop(t, portal.URL, true)
		b := browsertest.New(t)
		visit(b, site, "clicker")
		b.Run(chromedp.Click(`[data-habeas-optout]`))
		b.Wait(`document.documentElement.dataset.habeas === 'out' && document.cookie.includes('habeas_optout=1')`)
		arrived(t, 2)
	})
	t.Run("the endpoint is away", func(t *testing.T) {
		gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, ".js") {
				portal.Config.Handler.ServeHTTP(w, req)
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		t.Cleanup(gone.Close)
		site, ads := shop(t, gone.URL, true)
		b := browsertest.New(t)
		b.Run(chromedp.Navigate(site.URL + "/?uid=x"))
		b.Wait(`document.documentElement.dataset.habeas === 'in' && performance.getEntriesByType('resource').some(e => e.name.endsWith('/signal'))`)
		if n := ads.Load(); n != 0 {
			t.Errorf("tags run though nobody could be asked: %d", n)
		}
	})
	t.Run("without the guard", func(t *testing.T) {
		site, ads := shop(t, portal.URL, false)
		b := browsertest.New(t)
		b.GPC()
		visit(b, site, "unguarded")
		if ads.Load() == 0 {
			t.Error("the test can't see a rogue tag")
		}
		arrived(t, 3)
	})
}
