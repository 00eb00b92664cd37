package effect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// ErrNoBrowser says that there is no Chromium to visit pages with.
var ErrNoBrowser = errors.New("no Chromium found: install it, or say in effect.browser where it is")

// findBrowser returns the program to visit with.
func findBrowser(path string) (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	if path != "" {
		names = []string{path}
	}
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", ErrNoBrowser
}

// chromium is a running browser. Outside of visits it reaches nobody.
type chromium struct {
	ctx     context.Context
	version string
	stop    func()
}

// nowhere is the proxy of whatever is no visit: nothing listens there.
const nowhere = "127.0.0.1:9"

func start(ctx context.Context, path string, sandbox bool) (*chromium, error) {
	path, err := findBrowser(path)
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "habeas-effect-")
	if err != nil {
		return nil, fmt.Errorf("making a profile for the browser: %w", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.ProxyServer(nowhere),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true), chromedp.Flag("disable-dev-shm-usage", true),
		// One process for a page and its frames, so that the signal reaches all of
		// it; no way around the listening post; pages as they are addressed.
		chromedp.Flag("disable-site-isolation-trials", true), chromedp.Flag("webrtc-ip-handling-policy", "disable_non_proxied_udp"),
		chromedp.Flag("disable-features", "AutofillServerCommunication,IsolateOrigins,site-per-process,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,Translate,OptimizationHints,MediaRouter"),
	)
	if !sandbox || os.Geteuid() == 0 { // which has no sandbox to offer
		options = append(options, chromedp.NoSandbox)
	}
	allocated, endAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, endTab := chromedp.NewContext(allocated)
	c := &chromium{ctx: tab, stop: func() {
		_ = chromedp.Cancel(tab) // waits until it has ended; it may have already
		endTab()
		endAllocator()
		_ = os.RemoveAll(profile) // what it still writes while it ends is in the folder for temporary files
	}}
	err = chromedp.Run(tab, chromedp.ActionFunc(func(ctx context.Context) error {
		_, product, _, _, _, err := browser.GetVersion().Do(ctx)
		c.version = product
		return err
	}))
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return c, nil
}

// visitor is one person's fresh profile.
type visitor struct {
	ctx     context.Context
	post    *post
	set     *Settings
	pending pending
	stop    func()
}

// visitor makes a fresh profile whose every connection passes a post of its
// own.
func (c *chromium) visitor(set *Settings, d dial, signal bool) (*visitor, error) {
	p, err := listen(c.ctx, d)
	if err != nil {
		return nil, fmt.Errorf("listening to the browser: %w", err)
	}
	profile, window, err := c.profile("http://" + p.address)
	if err != nil {
		_ = p.close() // nobody is left to be told
		return nil, fmt.Errorf("opening a fresh profile: %w", err)
	}
	tab, end := chromedp.NewContext(c.ctx, chromedp.WithTargetID(window))
	v := &visitor{ctx: tab, post: p, set: set, stop: func() {
		end()
		_ = c.control(func(ctx context.Context) error { return target.DisposeBrowserContext(profile).Do(ctx) }) // it goes with the browser otherwise
		_ = p.close()                                                                                           // nobody is left to be told
	}}
	chromedp.ListenTarget(tab, v.pending.hear)
	actions := []chromedp.Action{network.Enable()}
	if signal {
		actions = append(actions, network.SetExtraHTTPHeaders(network.Headers{"Sec-GPC": "1"}), chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(`Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true, configurable: true });`).Do(ctx)
			return err
		}))
	}
	if err := chromedp.Run(tab, actions...); err != nil {
		v.stop()
		return nil, fmt.Errorf("opening a fresh profile: %w", err)
	}
	return v, nil
}

// control tells the browser itself something, and not a page.
func (c *chromium) control(f func(ctx context.Context) error) error {
	return f(cdp.WithExecutor(c.ctx, chromedp.FromContext(c.ctx).Browser))
}

// profile makes an empty profile behind a proxy, with one window.
func (c *chromium) profile(proxy string) (id cdp.BrowserContextID, window target.ID, err error) {
	err = c.control(func(ctx context.Context) error {
		if id, err = target.CreateBrowserContext().WithDisposeOnDetach(true).WithProxyServer(proxy).WithProxyBypassList("<-loopback>").Do(ctx); err != nil {
			return err
		}
		window, err = target.CreateTarget("about:blank").WithBrowserContextID(id).WithNewWindow(true).Do(ctx)
		return err
	})
	return id, window, err
}

// do does actions, within the longest time for one page or step.
func (v *visitor) do(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(v.ctx, v.set.Longest)
	defer cancel()
	return said(chromedp.Run(ctx, actions...), v.set.Longest)
}

// open goes to a page, looks at all of it and waits until it rests.
func (v *visitor) open(address string) (status int32, err error) {
	ctx, cancel := context.WithTimeout(v.ctx, v.set.Longest)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, chromedp.Navigate(address))
	if err != nil {
		return 0, said(err, v.set.Longest)
	}
	if resp == nil {
		return 0, errors.New("it does not answer")
	}
	if resp.Status >= http.StatusBadRequest {
		return int32(resp.Status), fmt.Errorf("it answers with status %d", resp.Status) //nolint:gosec // three digits
	}
	// Tags may wait until they are scrolled to.
	if err := v.do(chromedp.Evaluate(`window.scrollTo(0, document.documentElement.scrollHeight)`, nil)); err != nil {
		return 0, err
	}
	return int32(resp.Status), v.settle() //nolint:gosec // three digits
}

// leave leaves the page, and lets what it still sends go out.
func (v *visitor) leave() error {
	if err := v.do(chromedp.Navigate("about:blank")); err != nil {
		return err
	}
	return v.settle()
}

// idle is kept by a page that has nothing more to do at once.
const idle = `new Promise(done => window.requestIdleCallback ? requestIdleCallback(() => done(true), {timeout: 5000}) : setTimeout(() => done(true), 50))`

// settle waits until the page rests: nothing went over the wire for a while, it
// waits for no answer, and it has nothing to do. Some pages never do, so it does
// not wait forever.
func (v *visitor) settle() error {
	end := time.Now().Add(v.set.Longest)
	for {
		if err := v.post.settle(v.ctx, v.set.Quiet, time.Until(end)); err != nil {
			return err
		}
		before := v.post.lastByte()
		if err := v.do(chromedp.Evaluate(idle, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) })); err != nil {
			return err
		}
		if !v.pending.any(time.Now()) && v.post.lastByte().Equal(before) || time.Now().After(end) {
			return nil
		}
	}
}

// optOut does what a person does to opt out.
func (v *visitor) optOut(o OptOut) error {
	if _, err := v.open(o.URL); err != nil {
		return fmt.Errorf("opening the page to opt out: %w", err)
	}
	for i, step := range o.Steps {
		var action chromedp.Action
		switch {
		case step.Click != "":
			action = chromedp.Click(step.Click, chromedp.ByQuery, chromedp.NodeVisible)
		case step.Fill != "":
			action = chromedp.SetValue(step.Fill, step.With, chromedp.ByQuery, chromedp.NodeVisible)
		default:
			action = chromedp.WaitVisible(step.Await, chromedp.ByQuery)
		}
		if err := v.do(action); err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step, err)
		}
		if err := v.settle(); err != nil {
			return err
		}
	}
	return v.leave()
}

// said says a timeout in words.
func said(err error, longest time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("nothing after %s", longest)
	}
	return err
}
