package enforcement

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/coordinator"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/desk"
	"github.com/habeas-data/habeas/services/intake/edge"
	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// Hosts of the company, and of those it sells to.
const (
	privacyHost = "privacy.company.example"
	siteHost    = "www.company.example"
	adHost      = "ads.example"
)

type takeFunc = func(ctx context.Context, entries []intake.Entry, by string) ([]intake.Taken, error)

// parts are what a company is made of, where a case can replace something.
type parts struct {
	// front stands between people and the company's doors.
	front func(http.Handler) http.Handler
	// take is how the signal door reaches the systems behind, memory what it
	// remembers choices by, chosen how it hears of other doors' opt-outs.
	take   func(takeFunc) takeFunc
	memory func(store.Doors) store.Doors
	chosen func(context.Context, []request.Identifier) (bool, error)
	// tag is how the company's pages carry the advertiser's tag, domain where the
	// mark of an opt-out by the form is seen.
	tag, domain string
	// watch tries the doors once; test tests the pages once.
	watch func(ctx context.Context, c *company) error
	test  func(t *testing.T, c *company) error
}

// company answers its requests with Habeas.
type company struct {
	parts
	t      *testing.T
	intake *intake.Room
	store  *litestore.Store
	edge   *edge.Edge
	feed   *standin.Connector // the system that hands people's data to advertisers
	mail   *mailtest.Server
	signer *wire.Signer
	web    *web
	broken atomic.Bool // the form to opt out shows something else
}

// newCompany opens a company for business. Each change replaces parts of it.
func newCompany(t *testing.T, changes ...func(*parts)) *company {
	t.Helper()
	c := &company{t: t, mail: mailtest.New(t)}
	c.signer = signer(t, "intake")
	c.store, _ = litetest.Open(t)
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	keep, err := vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	bus := wiretest.New(t)
	c.intake = intake.New(intake.Config{
		Store: c.store, Regimes: set, Vault: keep, Signer: c.signer, Conn: bus.Conn, JS: bus.JS, Pepper: []byte("pepper"), Regime: "us-ca-ccpa",
		SellsOrShares: true, Logger: slog.New(slog.DiscardHandler),
	})
	c.parts = parts{
		front:  func(h http.Handler) http.Handler { return h },
		take:   func(t takeFunc) takeFunc { return t },
		memory: func(d store.Doors) store.Doors { return d },
		chosen: c.intake.ChoseElsewhere,
		tag:    `<script type="text/plain" data-habeas="sale" src="http://` + adHost + `/ad.js"></script>`,
		domain: "company.example", watch: tryDoors, test: testPages,
	}
	for _, change := range changes {
		change(&c.parts)
	}
	c.open(keep)
	c.work(bus, keep)
	return c
}

// open opens the doors and the company's site.
func (c *company) open(keep *vault.Vault) {
	t := c.t
	t.Helper()
	v, err := verify.New(verify.Config{
		Doors: c.store, Requests: c.intake, Vault: keep, Matcher: nobody{}, Signer: c.signer, Policy: verify.DefaultPolicy(), Company: "The Company",
		Mail: &mail.SMTP{Addr: c.mail.Addr, From: "privacy@company.example", Plain: true}, Secret: []byte("secret"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := portal.New(portal.Config{
		Intake: c.intake, Verify: v, Doors: c.store, Vault: keep, Matcher: nobody{}, Secret: []byte("secret"), Base: "/privacy", Domain: c.domain,
		Brand: portal.Brand{Company: "The Company"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.edge = edge.New(edge.Config{
		Doors: c.memory(c.store), Take: c.take(c.intake.Take), Chosen: c.chosen, Allow: func(context.Context, string) error { return nil },
		Secret: []byte("secret"), Origins: []string{"http://" + siteHost}, Updated: time.Now(),
	})
	doors := http.NewServeMux()
	doors.Handle("/privacy/", p.Handler())
	doors.Handle("/v1/desk/requests", desk.Handler(c.intake, v))
	doors.Handle("/", c.edge.Handler())
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.broken.Load() && r.URL.Path == "/privacy/opt-out" {
			_, _ = io.WriteString(w, "<p>We value your privacy.</p>") // the reader may be gone
			return
		}
		c.front(doors).ServeHTTP(w, r)
	})
	c.web = newWeb(t, map[string]http.Handler{privacyHost: front, siteHost: site(c.tag), adHost: advertiser()})
}

// work starts what carries requests to the systems, and the one system.
func (c *company) work(bus *wiretest.Bus, keep *vault.Vault) {
	t := c.t
	t.Helper()
	seal, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]ed25519.PublicKey{}
	for _, name := range []string{coordinator.Name, "intake", "audit"} {
		keys[name] = signer(t, name).Public()
	}
	room, err := coordinator.New(coordinator.Config{
		Store: c.store, Conn: bus.Conn, JS: bus.JS, Vault: keep, Signer: signer(t, coordinator.Name), SealKey: seal, ExportRecipient: "age1test",
		RoomKeys: keys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- room.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the coordinator: %v", err)
		}
	})
	c.until("the coordinator is ready", room.Ready)
	c.feed = standin.Join(t, bus.JS, standin.Script{
		Name: "adfeed", Accepts: []string{"email", "user_id", "cookie_id"},
		Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_OPT_OUT},
	})
	c.until("the ad feed is known", func() error {
		list, err := c.store.Connectors(t.Context())
		if err == nil && len(list) != 1 {
			err = errors.New("it is not")
		}
		return err
	})
}

// until waits until something is so.
func (c *company) until(what string, is func() error) {
	c.t.Helper()
	if err := within(c.t.Context(), time.Minute, is); err != nil {
		c.t.Fatalf("waiting until %s: %v", what, err)
	}
}

// within tries until something is so, and returns why not when time is over.
func within(ctx context.Context, most time.Duration, is func() error) error {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := is()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// stopped is nil when the company does not sell somebody any more: their
// opt-out is under way, not waiting for anything, and the ad feed carried it out.
func (c *company) stopped(who string) error {
	c.t.Helper()
	list, err := c.store.List(c.t.Context(), store.Filter{})
	if err != nil {
		c.t.Fatal(err)
	}
	var other []string
	for i := range list {
		ids, err := c.intake.Identifiers(c.t.Context(), &list[i])
		if err != nil {
			c.t.Fatal(err)
		}
		if !slices.ContainsFunc(ids, func(id request.Identifier) bool { return id.Reveal() == who }) {
			continue
		}
		if list[i].Right() == request.OptOutSaleShare {
			return c.told(who)
		}
		other = append(other, fmt.Sprintf("%s, which is %s", list[i].Right(), list[i].State()))
	}
	if len(other) > 0 {
		return fmt.Errorf("no opt-out is under way; there is a request to %s", strings.Join(other, "; "))
	}
	return errors.New("no opt-out is under way")
}

// told is nil once the ad feed was told of somebody.
func (c *company) told(who string) error {
	return within(c.t.Context(), time.Minute, func() error {
		if !slices.ContainsFunc(c.feed.Acts(), func(a standin.Act) bool {
			return a.Action == habeasv1.Action_ACTION_OPT_OUT && slices.ContainsFunc(a.Who, func(w string) bool { return strings.HasSuffix(w, who) })
		}) {
			return errors.New("the ad feed was not told within a minute")
		}
		return nil
	})
}

func signer(t *testing.T, name string) *wire.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	s, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), name, "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nobody is a system that knows nobody.
type nobody struct{}

// Match implements [verify.Matcher].
func (nobody) Match(context.Context, request.Identifier, []verify.Claim) (verify.Answer, error) {
	return verify.Answer{}, nil
}
