package portal_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

const (
	planted      = "planted.person@example.org"
	plantedPhone = "+14155550123"
	stranger     = "stranger@example.org"
)

// systems know the planted person.
type systems struct{}

func (systems) Match(_ context.Context, anchor request.Identifier, claims []verify.Claim) (verify.Answer, error) {
	held := map[string]string{"postal_code": "94110", "phone": "4155550123", "full_name": "Planted Person"}
	a := verify.Answer{Known: anchor.Reveal() == planted || anchor.Reveal() == plantedPhone}
	for _, c := range claims {
		name := c.Name
		if slices.Contains(c.Fields, "phone") {
			name = "phone"
		}
		if form := wire.InForm(c.Form, held[name]); a.Known && form != "" && form == wire.InForm(c.Form, c.Value.Reveal()) {
			a.Matched = append(a.Matched, c.Name)
		}
	}
	return a, nil
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type rig struct {
	t      *testing.T
	intake *intake.Room
	verify *verify.Room
	store  *litestore.Store
	vault  *vault.Vault
	mail   *mailtest.Server
	logs   logBuffer
	portal *portal.Portal
	h      http.Handler

	mu    sync.Mutex
	now   time.Time
	pack  func() (io.ReadCloser, int64, error)
	asked int // for packages
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func newRig(t *testing.T, change ...func(*portal.Config)) *rig {
	t.Helper()
	r := &rig{t: t, mail: mailtest.New(t), now: time.Date(2026, 3, 2, 17, 4, 5, 0, time.UTC)}
	r.pack = func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("the package")), 11, nil }
	r.store, _ = litetest.Open(t)
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	if r.vault, err = vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(make([]byte, 32))); err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte("intake"))
	signer, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), "intake", "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	bus, logger := wiretest.New(t), slog.New(slog.NewTextHandler(&r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.intake = intake.New(intake.Config{
		Store: r.store, Regimes: set, Vault: r.vault, Signer: signer, Conn: bus.Conn, JS: bus.JS, Pepper: []byte("pepper"), Regime: "us-ca-ccpa", Logger: logger, Now: r.clock,
	})
	r.verify, err = verify.New(verify.Config{
		Doors: r.store, Requests: r.intake, Vault: r.vault, Matcher: systems{}, Signer: signer, Policy: verify.DefaultPolicy(), Company: "Example Inc.",
		Mail: &mail.SMTP{Addr: r.mail.Addr, From: "privacy@example.com", Plain: true}, Secret: []byte("secret"), Logger: logger, Now: r.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := portal.Config{
		Intake: r.intake, Verify: r.verify, Doors: r.store, Vault: r.vault, Matcher: systems{}, Secret: []byte("secret"), Base: "/privacy", Logger: logger, Now: r.clock,
		Brand:     portal.Brand{Company: "Example Inc.", Email: "privacy@example.com", Phone: "+18005550100", PolicyURL: "https://example.com/privacy-policy"},
		Residence: map[string]string{"CA": "us-ca-ccpa", "TX": "us-tx"},
		Package: func(context.Context, request.ID) (io.ReadCloser, int64, error) {
			r.asked++
			return r.pack()
		},
	}
	for _, f := range change {
		f(&config)
	}
	if r.portal, err = portal.New(config); err != nil {
		t.Fatal(err)
	}
	r.h = r.portal.Handler()
	return r
}

// browser is a person's browser without JavaScript.
type browser struct {
	*rig
	cookies map[string]*http.Cookie
	header  http.Header
}

func (r *rig) browser() *browser {
	return &browser{rig: r, cookies: map[string]*http.Cookie{}, header: http.Header{}}
}

type answer struct {
	code   int
	header http.Header
	body   string
}

func (b *browser) do(method, path string, form url.Values) answer {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequestWithContext(b.t.Context(), method, path, body)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	maps.Copy(req.Header, b.header)
	for _, c := range b.cookies {
		req.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	b.h.ServeHTTP(rec, req)
	for _, c := range rec.Result().Cookies() {
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return answer{code: rec.Code, header: rec.Header(), body: rec.Body.String()}
}

func (b *browser) get(path string) answer { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

// submit makes a request and returns the path of its page.
func (b *browser) submit(path string, pairs ...string) string {
	b.t.Helper()
	a := b.post(path, pairs...)
	if a.code != http.StatusSeeOther {
		b.t.Fatalf("submitting %s: status %d: %s", path, a.code, a.body)
	}
	link, _, _ := strings.Cut(a.header.Get("Location"), "?")
	return link
}

var inLink = regexp.MustCompile(`/r/([0-9a-f-]+)/`)

func (r *rig) request(link string) store.Request {
	r.t.Helper()
	m := inLink.FindStringSubmatch(link)
	if m == nil {
		r.t.Fatalf("no request in %q", link)
	}
	req, err := r.intake.Lookup(r.t.Context(), request.ID(m[1]))
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

func (r *rig) work() {
	r.t.Helper()
	r.pass(time.Minute)
	if _, err := r.verify.Work(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// code is the code in the n-th letter.
func (r *rig) code(n int) string {
	r.t.Helper()
	return regexp.MustCompile(`\b\d{6}\b`).FindString(r.mail.Wait(r.t, n)[n-1].Text)
}

// finished brings a request for a copy to where its package lies ready.
func (r *rig) finished(link string) {
	r.t.Helper()
	id := r.request(link).ID
	_, err := r.store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		req := &snaps[0].Request
		req.Package = store.Package{Key: "p", Size: 11}
		snaps[0].Changed = true
		if req.State() == request.AwaitingVerification {
			if err := req.Attest(request.Verified{Method: "operator_attested", Level: request.ReasonablyHigh, At: r.clock(), By: "test"}); err != nil {
				return err
			}
			if err := req.Move(request.Accepted); err != nil {
				return err
			}
		}
		return errors.Join(req.Move(request.Running), req.Move(request.Packaging), req.Close(request.Ending{Result: request.ResultComplete}))
	})
	if err != nil {
		r.t.Fatal(err)
	}
}
