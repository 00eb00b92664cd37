package enforcement

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/effect"
)

// unguarded is how Sephora and Healthline had their advertisers' tags: nothing
// stands between a page and whom it calls.
const unguarded = `<script src="http://` + adHost + `/ad.js"></script>`

// look visits the company's pages with a browser, as an investigator does.
func (c *company) look(optOuts ...effect.OptOut) *habeasv1.EffectRecord {
	c.t.Helper()
	rec, err := effect.Tester{Dial: c.web.Dial}.Test(c.t.Context(), effect.Settings{
		Name: "the company's pages", Pages: []string{"http://" + siteHost + "/"}, Own: []string{privacyHost}, OptOuts: optOuts,
		Expect: []string{adHost}, Quiet: 700 * time.Millisecond, Longest: time.Minute,
	})
	if errors.Is(err, effect.ErrNoBrowser) && os.Getenv("CI") == "" {
		c.t.Skip(err)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return rec
}

// Sephora (Attorney General, 2022): visitors who sent Global Privacy Control
// were sold all the same. Found by capturing traffic with the signal on and off.
func TestSephora_OO1_OO8(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error {
		if err := effect.Verdict(c.look()); err != nil {
			return err
		}
		if err := c.stopped("visitor-2"); err != nil { // the one with the signal
			return fmt.Errorf("the pages obey the signal, and the systems behind them don't: %w", err)
		}
		return nil
	},
		lack{"the script before the tags", func(p *parts) { p.tag = unguarded }, "gpc: NO EFFECT"},
	)
}

// form is the company's own form to opt out, as somebody uses it whom the site
// knows by a cookie alone.
var form = effect.OptOut{Name: "form", URL: "http://" + privacyHost + "/privacy/opt-out", Steps: []effect.Step{
	{Fill: "#email", With: "investigator@example.org"}, {Click: "button.primary"},
	{Await: "body:not(:has(#email)) h1"}, // what says that it was taken
}}

// banner is the company's banner, which says that it has saved.
var banner = effect.OptOut{Name: "banner", URL: "http://" + siteHost + "/", Steps: []effect.Step{{Click: "#banner"}, {Await: "#saved"}}}

// testPages tests the pages once, as is done every day, and files what was
// seen.
func testPages(t *testing.T, c *company) error {
	t.Helper()
	rec := c.look(banner, form)
	if err := effect.File(t.Context(), c.store, c.signer, rec); err != nil {
		t.Fatal(err)
	}
	return effect.Verdict(rec)
}

// Healthline (Attorney General, 2025): opted out in three ways, a visitor was
// still handed to advertisers. The forms worked and the consent tool said that
// it had saved; nobody at the company looked at what the pages did.
func TestHealthline_OO8(t *testing.T) {
	replayAt(t, func(p *parts) { p.tag = unguarded }, func(t *testing.T, c *company) error {
		t.Helper()
		alarm := c.test(t, c)
		list, err := c.store.Unlogged(t.Context(), time.Now().Add(time.Hour), 100)
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		for _, r := range list {
			rec, err := wire.ParseRecord(r.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			if seen, ok := rec.Predicate.(*habeasv1.EffectRecord); ok {
				for _, v := range seen.GetVisits() {
					if v.GetResult() == effect.NoEffect {
						failed = append(failed, v.GetWay())
					}
				}
			}
		}
		if got := strings.Join(failed, ", "); alarm == nil || got != "gpc, banner, form" {
			return fmt.Errorf("opting out has no effect in any of three ways; on record is [%s], and an alarm is raised: %t", got, alarm != nil)
		}
		return nil
	},
		lack{"the test of the effect", func(p *parts) { p.test = func(*testing.T, *company) error { return nil } }, "on record is []"},
	)
}

// Tractor Supply (CPPA, 2025), on the site: the form to opt out did nothing about
// the trackers.
func TestTractorSupplySite_OO8(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error { return effect.Verdict(c.look(form)) },
		lack{"the mark of the form", func(p *parts) { p.domain = "" }, "form: NO EFFECT"},
	)
}
