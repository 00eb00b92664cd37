package enforcement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

const (
	her   = "anna@example.org"
	agent = `{"right":"opt_out_sale_share","channel":"agent_api","received_at":"2026-11-01T10:00:00Z","identifiers":[{"kind":"email","value":"` + her + `"}],` +
		`"signed_permission":{"signed_on":"2026-10-30T00:00:00Z","document":"c2lnbmVk"}}`
)

// takesNothing answers as if it had taken a request in.
func takesNothing(takeFunc) takeFunc {
	return func(_ context.Context, entries []intake.Entry, _ string) ([]intake.Taken, error) {
		taken := make([]intake.Taken, len(entries))
		for i := range taken {
			taken[i].ID = request.NewID()
		}
		return taken, nil
	}
}

// oneForm serves another form where the opt-out's should be, as companies do
// that have one form for everything.
func oneForm(form string) func(*parts) {
	return func(p *parts) {
		p.front = func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/privacy/opt-out" {
					r = r.Clone(r.Context())
					r.URL.Path = "/privacy/" + form
				}
				h.ServeHTTP(w, r)
			})
		}
	}
}

// Honda (CPPA, 2025): one form of eight fields for requests that need
// verification and for those that don't; people had to confirm what their agent
// had asked for.
func TestHonda_IN4_VE16(t *testing.T) {
	replay(t, func(t *testing.T, c *company) error {
		t.Helper()
		p := c.person()
		form := p.get("/privacy/opt-out")
		asked := fields(form.body)
		if more := slices.DeleteFunc(slices.Clone(asked), func(f string) bool { return f == "email" }); form.code != http.StatusOK || len(more) > 0 {
			return fmt.Errorf("opting out asks for %s besides an address", strings.Join(more, ", "))
		}
		if a := p.send("/privacy/opt-out", "email", "other@example.org"); a.code != http.StatusOK {
			return fmt.Errorf("an address is not enough to opt out: status %d", a.code)
		}
		if a := p.do(http.MethodPost, "http://"+privacyHost+"/v1/desk/requests", "application/json", agent); a.code != http.StatusCreated {
			return fmt.Errorf("an agent with signed permission is refused: status %d", a.code)
		}
		if err := errors.Join(c.stopped("other@example.org"), c.stopped(her)); err != nil {
			return err
		}
		if n := len(c.mail.Letters()); n > 0 {
			return fmt.Errorf("%d people were asked to confirm", n)
		}
		return nil
	},
		lack{"a form of its own for opting out", oneForm("know-specific"), "opting out asks for"},
	)
}

// Ford (CPPA, 2026): an opt-out took effect only when a link in an e-mail was
// followed, and lapsed when it was not.
func TestFord_VE1(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error {
		c.person().send("/privacy/opt-out", "email", her)
		if err := c.stopped(her); err != nil { // she never reads her mail
			return err
		}
		if n := len(c.mail.Letters()); n > 0 {
			return fmt.Errorf("she was sent %d messages", n)
		}
		return nil
	},
		lack{"a path without verification", oneForm("delete"), "which is awaiting_verification"},
	)
}

// Sling TV (Attorney General, 2025): the opt-out was behind the cookie settings,
// and asked a customer who was logged in for what the company knew.
func TestSlingTV_IN7(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error {
		p := c.person()
		n, err := p.clicks("opt-out")
		if err != nil {
			return err
		}
		if n > 1 {
			return fmt.Errorf("opting out is %d clicks away from the first page", n)
		}
		// Who is logged in clicks once, and types nothing.
		if s := p.visit(visitor{cookie: "tv", account: her}, "Sec-GPC", "1"); !s.OptedOut {
			return errors.New("a customer who is logged in is not opted out by one signal")
		}
		return c.stopped(her)
	},
		lack{"the link on the first page", hidesOptOut, "clicks away"},
	)
}

// hidesOptOut moves the link behind a page of settings.
func hidesOptOut(p *parts) {
	p.front = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/privacy/cookie-settings" {
				_, _ = io.WriteString(w, `<a href="/privacy/opt-out?lang=en">More</a>`) // the reader may be gone
				return
			}
			if r.URL.Path == "/privacy/" {
				w = &rewriter{w}
			}
			h.ServeHTTP(w, r)
		})
	}
}

type rewriter struct{ http.ResponseWriter }

// Write implements [io.Writer].
func (w *rewriter) Write(text []byte) (int, error) {
	w.Header().Del("Content-Length")
	_, err := w.ResponseWriter.Write([]byte(strings.ReplaceAll(string(text), "/privacy/opt-out?", "/privacy/cookie-settings?")))
	return len(text), err
}

// PlayOn (CPPA, 2026): a wall that let people through who agreed, an
// industry's page in place of an opt-out of the company's own, and no signal.
func TestPlayOn_OO1(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error {
		p := c.person()
		form := p.get("/privacy/opt-out")
		if form.host != privacyHost || !slices.Contains(fields(form.body), "email") {
			return errors.New("who has agreed to nothing can't get to the form")
		}
		if a := p.send("/privacy/opt-out", "email", her); a.host != privacyHost || a.code != http.StatusOK {
			return fmt.Errorf("the opt-out ends at %s with status %d", a.host, a.code)
		}
		if s := c.person().visit(visitor{cookie: "fan"}, "Sec-GPC", "1"); !s.OptedOut {
			return errors.New("the signal of who has agreed to nothing is not heard")
		}
		return errors.Join(c.stopped(her), c.stopped("fan"))
	},
		lack{"the open door", func(p *parts) {
			p.front = func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := r.Cookie("agreed"); err != nil && r.Method == http.MethodGet {
						_, _ = io.WriteString(w, `<button>Agree</button>`) // the reader may be gone
						return
					}
					h.ServeHTTP(w, r)
				})
			}
		}, "agreed to nothing"},
		lack{"the signal", func(p *parts) {
			p.front = func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Del("Sec-GPC")
					h.ServeHTTP(w, r)
				})
			}
		}, "is not heard"},
	)
}

// Disney (Attorney General, 2026): an opt-out held for one device and one
// service, while people were linked across all of them to be advertised to.
func TestDisney_OO4(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error {
		p := c.person()
		p.visit(visitor{cookie: "her-tv", account: "anna"})
		p.visit(visitor{cookie: "her-phone", account: "anna"}, "Sec-GPC", "1")
		for _, v := range []visitor{{cookie: "her-tv"}, {account: "anna"}, {cookie: "her-new-laptop", account: "anna"}, {cookie: "her-new-laptop"}} {
			if s := p.visit(v); !s.OptedOut {
				return fmt.Errorf("opted out on the phone, and sold on %+v", v)
			}
		}
		return errors.Join(c.stopped("her-phone"), c.stopped("her-tv"), c.stopped("her-new-laptop"), c.stopped("anna"))
	},
		lack{"the link between devices", func(p *parts) {
			p.memory = func(d store.Doors) store.Doors { return perDevice{d} }
		}, "sold on"},
	)
}

// perDevice remembers choices for the first identifier alone.
type perDevice struct{ store.Doors }

// Choose implements [store.Doors].
func (d perDevice) Choose(ctx context.Context, digests [][]byte, out bool, at time.Time) (store.Choice, error) {
	return d.Doors.Choose(ctx, digests[:min(1, len(digests))], out, at)
}

// Tractor Supply, behind the site: what was said by one door did not reach the
// others, and the signal nothing at all.
func TestTractorSupplySystems_CL5_OO1(t *testing.T) {
	replay(t, func(_ *testing.T, c *company) error {
		p := c.person()
		if a := p.send("/privacy/opt-out", "email", her); a.code != http.StatusOK {
			return fmt.Errorf("the form answers with status %d", a.code)
		}
		if s := p.visit(visitor{cookie: "another-browser", account: her}); !s.OptedOut {
			return errors.New("opted out by the form, she is sold in another browser")
		}
		if s := p.visit(visitor{cookie: "his-browser"}, "Sec-GPC", "1"); !s.OptedOut {
			return errors.New("the signal is not heard")
		}
		return errors.Join(c.stopped(her), c.stopped("another-browser"), c.stopped("his-browser"))
	},
		lack{"the way from the form to the pages", func(p *parts) {
			p.chosen = func(context.Context, []request.Identifier) (bool, error) { return false, nil }
		}, "sold in another browser"},
		lack{"the way from the pages to the systems", func(p *parts) { p.take = takesNothing }, "no opt-out is under way"},
	)
}

// Jam City (Attorney General, 2025): people whom the company knew to be 13 to 15
// were sold without having opted in.
func TestJamCity_OO10(t *testing.T) {
	replay(t, func(t *testing.T, c *company) error {
		t.Helper()
		p := c.person()
		known := request.Submission{
			Right: request.KnowCategories, Channel: request.ChannelWeb, Minor: request.From13,
			Identifiers: []request.Identifier{request.NewIdentifier(request.Email, "kim@example.org")},
		}
		taken, err := c.intake.Take(t.Context(), []intake.Entry{{Submission: known}}, "portal")
		if err = errors.Join(err, taken[0].Err); err != nil {
			t.Fatal(err)
		}
		if s := p.visit(visitor{cookie: "a-grown-up", account: her}); s.OptedOut {
			t.Fatal("a grown-up who chose nothing is opted out")
		}
		if s := p.visit(visitor{cookie: "a-game", account: "kim@example.org"}); !s.OptedOut {
			return errors.New("somebody known to be 15 is sold")
		}
		return c.stopped("a-game")
	},
		lack{"the memory of who is under 16", func(p *parts) {
			p.chosen = func(context.Context, []request.Identifier) (bool, error) { return false, nil }
		}, "known to be 15 is sold"},
	)
}

// tryDoors tries every door once.
func tryDoors(ctx context.Context, c *company) error {
	w := portal.Watch{URL: "http://" + privacyHost, Base: "/privacy", Client: &http.Client{Transport: c.transport()}}
	var errs []error
	for _, d := range w.Doors() {
		errs = append(errs, w.Try(ctx, d))
	}
	return errors.Join(errs...)
}

// round is how often the doors are tried, and hour the most that a broken one
// may go unnoticed.
const (
	round = 10 * time.Minute
	hour  = time.Hour
)

// Todd Snyder (CPPA, 2025): the form did not work for forty days, and the company
// did not know.
func TestToddSnyder_IN7(t *testing.T) {
	replay(t, func(t *testing.T, c *company) error {
		t.Helper()
		if err := c.watch(t.Context(), c); err != nil {
			t.Fatalf("an alarm without a reason: %v", err)
		}
		c.broken.Store(true)
		for since := round; since <= 40*24*hour; since += round {
			if c.watch(t.Context(), c) == nil {
				continue
			}
			if since > hour {
				return fmt.Errorf("the form to opt out was broken for %s until anybody was told", since)
			}
			return nil
		}
		return errors.New("the form to opt out was broken for forty days, and nobody was told")
	},
		lack{"the watch over the doors", func(p *parts) {
			p.watch = func(context.Context, *company) error { return nil }
		}, "for forty days"},
	)
}
