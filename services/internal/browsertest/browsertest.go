// Package browsertest drives a real Chromium in tests and checks pages for
// accessibility with axe-core. Without them a test skips, but not in CI.
package browsertest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Widths at which pages are looked at, in CSS pixels.
const (
	Phone   = 390
	Desktop = 1280
)

const timeout = 5 * time.Minute

// Browser is a running Chromium with one tab.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// New starts a browser that stops when the test ends. It goes nowhere on its
// own.
func New(t testing.TB) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		missing(t, "no Chromium: install it (scripts/needs.sh does)")
	}
	// Not t.TempDir: a browser that is ending still writes for a moment, and
	// that is no failure of the test.
	profile, err := os.MkdirTemp("", "browsertest") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile),
		chromedp.WSURLReadTimeout(time.Minute), // a loaded machine starts it slowly
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-dev-shm-usage", true),
	)
	ctx, cancelTime := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
	allocated, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, cancelTab := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		_ = chromedp.Cancel(tab) // waits until it has ended; it may have already
		cancelTab()
		cancelAllocator()
		cancelTime()
		_ = os.RemoveAll(profile) // what is left is in the machine's folder for temporary files
	})
	b := &Browser{t: t, ctx: tab}
	b.Run(network.Enable())
	return b
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Run does actions in the tab and fails the test when one fails.
func (b *Browser) Run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// Width makes the window as wide as a phone or a desk's screen.
func (b *Browser) Width(width int64) {
	b.t.Helper()
	height, mobile := int64(900), false
	if width < 600 {
		height, mobile = 844, true
	}
	b.Run(emulation.SetDeviceMetricsOverride(width, height, 1, mobile))
}

// GPC switches Global Privacy Control on: the header, and what scripts see.
func (b *Browser) GPC() {
	b.t.Helper()
	b.Run(
		network.SetExtraHTTPHeaders(network.Headers{"Sec-GPC": "1"}),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(`Object.defineProperty(navigator, 'globalPrivacyControl', { value: true });`).Do(ctx)
			return err
		}),
	)
}

// Text returns what an expression gives, as text.
func (b *Browser) Text(expression string) string {
	b.t.Helper()
	var out string
	b.Run(chromedp.Evaluate(`String(`+expression+`)`, &out))
	return out
}

// Wait waits until an expression is true, through navigations.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var is bool
		// While a page goes and the next comes there is nothing to ask.
		if err := chromedp.Run(b.ctx, chromedp.Evaluate(`Boolean(`+expression+`)`, &is)); err == nil && is {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("in the browser: after a minute it is not true that %s", expression)
		}
	}
}

// Shot writes a picture of the whole page to build/screenshots, for a person
// to look at.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	var picture []byte
	b.Run(chromedp.FullScreenshot(&picture, 100))
	path := filepath.Join(root(b.t), "build", "screenshots", name+".png")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // pictures of test pages
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil { //nolint:gosec // pictures of test pages
		b.t.Fatal(err)
	}
}

// violation is one finding of axe-core.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Accessible checks the page with axe-core by every rule of WCAG 2.2 A and AA
// and its best practices, and that nothing has to be scrolled sideways.
func (b *Browser) Accessible(name string) {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join(root(b.t), "build", "axe", "axe.min.js"))
	if os.IsNotExist(err) {
		missing(b.t, "no axe-core: run scripts/axe.sh")
	}
	if err != nil {
		b.t.Fatal(err)
	}
	var found string
	b.Run(
		chromedp.Evaluate(string(script)+"; true", nil),
		chromedp.Evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(r => JSON.stringify(r.violations))`, &found, awaited),
	)
	var violations []violation
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatalf("%s: axe-core says %.200s", name, found)
	}
	for _, v := range violations {
		b.t.Errorf("%s: %s: %s", name, v.ID, v.Help)
		for _, n := range v.Nodes {
			b.t.Errorf("    %.200s\n    %s", n.HTML, strings.ReplaceAll(n.Summary, "\n", "\n    "))
		}
	}
	if wide := b.Text(`document.documentElement.scrollWidth > window.innerWidth`); wide == "true" {
		b.t.Errorf("%s: has to be scrolled sideways", name)
	}
}

// root is the repository's folder.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("go.work is nowhere above: run the tests in a checkout")
		}
		dir = up
	}
}
