package opendsr_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

const address = "ada.11@example.com"

// bench is a controller and a real processor, joined by HTTP both ways.
type bench struct {
	controller atomic.Pointer[opendsr.Controller]
	partner    *demo.Partner
	ledger     *sql.DB
	heard      chan int // status codes of callbacks
	posts      atomic.Int64
	clock      atomic.Int64 // Unix nanoseconds
	processor  opendsr.Processor
	ledgerPath string
	settings   opendsr.Settings
}

func newBench(t *testing.T, delay time.Duration) *bench {
	t.Helper()
	b := &bench{heard: make(chan int, 16)}
	b.clock.Store(time.Now().UnixNano())
	dir := t.TempDir()
	var err error
	if b.partner, err = demo.NewPartner(t.Context(), dir, 0, demo.PartnerOptions{Delay: delay, Now: b.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.partner.Close(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			b.posts.Add(1)
		}
		b.partner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	callbacks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		b.controller.Load().ServeHTTP(rec, r)
		w.WriteHeader(rec.Code)
		b.heard <- rec.Code
	}))
	t.Cleanup(callbacks.Close)

	pem, err := os.ReadFile(filepath.Join(dir, "partner-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	b.processor = opendsr.Processor{Name: "brightfield", BaseURL: server.URL + "/v2", Domain: demo.PartnerDomain, Roots: roots}
	b.settings = opendsr.Settings{CallbackURL: callbacks.URL + "/cb", PollMin: time.Minute, PollMax: time.Hour, Now: b.now}
	b.ledgerPath = filepath.Join(dir, "ledger.db")
	b.restart(t)
	return b
}

// restart makes a new controller over the same ledger, as a new process would.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	if b.ledger == nil {
		var err error
		if b.ledger, err = sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: b.ledgerPath}).String()); err != nil {
			t.Fatal(err)
		}
		b.ledger.SetMaxOpenConns(1)
		t.Cleanup(func() {
			if err := b.ledger.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	ledger, err := opendsr.OpenLedger(t.Context(), b.ledger)
	if err != nil {
		t.Fatal(err)
	}
	controller, err := opendsr.NewController(t.Context(), ledger, []opendsr.Processor{b.processor}, b.settings)
	if err != nil {
		t.Fatal(err)
	}
	b.controller.Store(controller)
}

func (b *bench) now() time.Time { return time.Unix(0, b.clock.Load()) }

func (b *bench) pass(d time.Duration) { b.clock.Add(int64(d)) }

func erasure(key string) opendsr.Outgoing {
	return opendsr.Outgoing{
		Key: key, Type: opendsr.Erasure, Regulation: "ccpa", Submitted: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Identities: []opendsr.Identity{opendsr.Identity{Type: "email", Value: address}.SHA256()},
	}
}

func (b *bench) ensure(t *testing.T) error {
	t.Helper()
	err := b.controller.Load().Ensure(t.Context(), "brightfield", erasure("job-1"))
	if err != nil && strings.Contains(err.Error(), "example.com") {
		t.Errorf("the error names somebody: %v", err)
	}
	return err
}

func (b *bench) wantRequests(t *testing.T, want int) {
	t.Helper()
	counts, err := b.partner.Requests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counts["erasure"] != want {
		t.Errorf("the partner has %d erasures, want %d", counts["erasure"], want)
	}
}

// bodies counts the ledger's entries that still hold identities.
func (b *bench) bodies(t *testing.T) (n int) {
	t.Helper()
	if err := b.ledger.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM opendsr_requests WHERE body IS NOT NULL`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEnsure(t *testing.T) {
	b := newBench(t, 10*time.Minute)
	err := b.ensure(t)
	after, ok := sdk.AsNotYet(err)
	if !ok || after < 9*time.Minute || after > 10*time.Minute {
		t.Fatalf("a request that takes ten minutes: %v, after %s", err, after)
	}
	if n := b.bodies(t); n != 0 {
		t.Errorf("%d bodies are left after the acknowledgement", n)
	}
	b.restart(t)
	if _, ok := sdk.AsNotYet(b.ensure(t)); !ok {
		t.Error("asked again too early, it is not NotYet")
	}
	b.pass(11 * time.Minute)
	if err := b.ensure(t); err != nil {
		t.Fatalf("when due: %v", err)
	}
	if err := b.ensure(t); err != nil {
		t.Fatalf("once more: %v", err)
	}
	b.wantRequests(t, 1)
	if b.posts.Load() != 1 {
		t.Errorf("%d submissions, want 1", b.posts.Load())
	}
}

// TestFaults are injected in pairs: it did not happen, and it happened but the
// answer was lost. Either way there is one request in the end.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name      string
		fault     demo.PartnerFault
		code      sdk.FailureCode
		permanent bool
		notYet    time.Duration
		posts     int64
	}{
		{"it did not happen", demo.RefuseRequest, sdk.Unavailable, false, 0, 2},
		{"the answer was lost", demo.LoseAnswer, sdk.Unavailable, false, 0, 1},
		{"the answer was altered", demo.WrongSignature, sdk.Configuration, false, 0, 1},
		{"too many", demo.TooMany, sdk.RateLimited, false, 7 * time.Second, 2},
		{"busy with the same person", demo.BusyWithHer, "", false, time.Minute, 2},
		{"refused for good", demo.NoSuchIdentity, sdk.Rejected, true, 0, 2},
	} {
		for _, flat := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				b := newBench(t, 0)
				if flat {
					b.partner.Fail(demo.FlatErrors)
				}
				b.partner.Fail(c.fault)
				err := b.ensure(t)
				after, notYet := sdk.AsNotYet(err)
				if err == nil || sdk.CodeOf(err) != c.code || sdk.IsPermanent(err) != c.permanent || notYet != (c.notYet > 0) || after != c.notYet {
					t.Fatalf("got %v (code %q, permanent %v, after %s)", err, sdk.CodeOf(err), sdk.IsPermanent(err), after)
				}
				b.restart(t)
				if err := b.ensure(t); err != nil {
					t.Fatalf("the next attempt: %v", err)
				}
				b.wantRequests(t, 1)
				if b.posts.Load() != c.posts {
					t.Errorf("%d submissions, want %d", b.posts.Load(), c.posts)
				}
				if n := b.bodies(t); n != 0 {
					t.Errorf("%d bodies are left", n)
				}
			})
		}
	}
}

// TestLostLedger: with its ledger gone the controller sends the same id, and
// the processor does not erase twice. Other bytes under the id are a duplicate,
// and are looked up.
func TestLostLedger(t *testing.T) {
	b := newBench(t, 0)
	if err := b.ensure(t); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ledger.ExecContext(t.Context(), `DELETE FROM opendsr_requests`); err != nil {
		t.Fatal(err)
	}
	out := erasure("job-1")
	out.Submitted = out.Submitted.Add(time.Hour)
	if err := b.controller.Load().Ensure(t.Context(), "brightfield", out); err != nil {
		t.Fatal(err)
	}
	b.wantRequests(t, 1)
}

func TestCancelledAndOverdue(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		b := newBench(t, time.Hour)
		if _, ok := sdk.AsNotYet(b.ensure(t)); !ok {
			t.Fatal("not accepted")
		}
		client, err := opendsr.NewClient(b.processor, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		id := opendsr.RequestID("brightfield\x00job-1")
		if err := client.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := b.ensure(t); !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Rejected {
			t.Errorf("after a cancellation: %v", err)
		}
	})
	t.Run("overdue", func(t *testing.T) {
		b := newBench(t, 90*24*time.Hour)
		if _, ok := sdk.AsNotYet(b.ensure(t)); !ok {
			t.Fatal("not accepted")
		}
		b.pass(46 * 24 * time.Hour)
		if err := b.ensure(t); !sdk.IsPermanent(err) {
			t.Errorf("after 46 days: %v", err)
		}
	})
}

// TestCallbackWakes: Ensure waits in place and a signed callback ends the wait.
func TestCallbackWakes(t *testing.T) {
	b := newBench(t, 0)
	b.settings.Patience = time.Minute
	b.restart(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.partner.Run(ctx) }()
	if err := b.ensure(t); err != nil {
		t.Fatal(err)
	}
	for range 2 { // in_progress and completed
		select {
		case code := <-b.heard:
			if code != http.StatusAccepted {
				t.Errorf("a callback was answered %d", code)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no callback")
		}
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// TestForgedCallbacks: nothing unsigned, foreign or misdirected is recorded.
func TestForgedCallbacks(t *testing.T) {
	b := newBench(t, time.Hour)
	if _, ok := sdk.AsNotYet(b.ensure(t)); !ok {
		t.Fatal("not accepted")
	}
	id := opendsr.RequestID("brightfield\x00job-1")
	completed := `{"subject_request_id":"` + id + `","request_status":"completed","status_callback_url":"` + b.settings.CallbackURL + `"}`
	good := b.sign(t, completed)
	for _, c := range []struct {
		name, domain, signature, body string
		want                          int
	}{
		{"unknown domain", "opendsr.evil.example", good, completed, http.StatusUnauthorized},
		{"no domain", "", good, completed, http.StatusUnauthorized},
		{"no signature", demo.PartnerDomain, "", completed, http.StatusForbidden},
		{"signature of other bytes", demo.PartnerDomain, good, completed + " ", http.StatusForbidden},
		{"not JSON", demo.PartnerDomain, b.sign(t, "{"), "{", http.StatusBadRequest},
		{"meant for somebody else", demo.PartnerDomain, b.sign(t, strings.Replace(completed, "/cb", "/other", 1)), strings.Replace(completed, "/cb", "/other", 1), http.StatusForbidden},
		{"a request never sent", demo.PartnerDomain, b.sign(t, strings.Replace(completed, id, "475974fa-6b42-4370-bb56-b5d845686bb5", 1)), strings.Replace(completed, id, "475974fa-6b42-4370-bb56-b5d845686bb5", 1), http.StatusNotFound},
	} {
		if got := b.callback(c.domain, c.signature, c.body); got != c.want {
			t.Errorf("%s: answered %d, want %d", c.name, got, c.want)
		}
	}
	if _, ok := sdk.AsNotYet(b.ensure(t)); !ok {
		t.Fatal("a forged callback was believed")
	}
	pending := strings.Replace(completed, "completed", "pending", 1)
	// Out of order, and all of them genuine.
	for _, body := range []string{strings.Replace(completed, "completed", "in_progress", 1), pending} {
		if got := b.callback(demo.PartnerDomain, b.sign(t, body), body); got != http.StatusAccepted {
			t.Errorf("a signed callback was answered %d", got)
		}
	}
	var status string
	if err := b.ledger.QueryRowContext(t.Context(), `SELECT status FROM opendsr_requests`).Scan(&status); err != nil || status != "in_progress" {
		t.Errorf("an older status replaced a newer one: %q, %v", status, err)
	}
	// Completed, twice, and an older one after it.
	for _, body := range []string{completed, completed, pending} {
		if got := b.callback(demo.PartnerDomain, b.sign(t, body), body); got != http.StatusAccepted {
			t.Errorf("a signed callback was answered %d", got)
		}
	}
	if err := b.ensure(t); err != nil {
		t.Errorf("after the callback: %v", err)
	}
}

func (b *bench) sign(t *testing.T, body string) string {
	t.Helper()
	signature, err := b.partner.Sign([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func (b *bench) callback(domain, signature, body string) int {
	r := httptest.NewRequest(http.MethodPost, "/cb", bytes.NewReader([]byte(body)))
	r.Header.Set(opendsr.HeaderDomain, domain)
	r.Header.Set(opendsr.HeaderSignature, signature)
	rec := httptest.NewRecorder()
	b.controller.Load().ServeHTTP(rec, r)
	return rec.Code
}

// TestOnlyConfiguredHosts: neither discovery nor a redirect leads elsewhere.
func TestOnlyConfiguredHosts(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a host that is not configured was contacted")
	}))
	t.Cleanup(elsewhere.Close)
	b := newBench(t, 0)
	var discovery string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/discovery"):
			_, _ = w.Write([]byte(discovery))
		case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/redirect"):
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		default:
			b.partner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)

	b.processor.BaseURL = front.URL + "/v2"
	b.restart(t)
	for _, cert := range []string{elsewhere.URL + "/cert.pem", "http://example.com/cert.pem", "file:///etc/passwd", "", "https://evil" + demo.PartnerDomain + "/c"} {
		discovery = `{"processor_certificate":"` + cert + `"}`
		if err := b.ensure(t); !errors.Is(err, opendsr.ErrCertificate) {
			t.Errorf("certificate at %q: got %v", cert, err)
		}
		b.restart(t)
	}
	b.processor.BaseURL = front.URL + "/redirect"
	b.restart(t)
	if err := b.controller.Load().Ensure(t.Context(), "brightfield", erasure("job-2")); !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Configuration {
		t.Errorf("a redirect: %v", err)
	}
	for _, base := range []string{"http://opendsr.example.com/v2", "ftp://x/y", "https://user:pass@opendsr.example.com/v2", "", "https://x/v2?key=1"} {
		b.processor.BaseURL = base
		if _, err := opendsr.NewClient(b.processor, nil, nil); err == nil {
			t.Errorf("base_url %q was accepted", base)
		}
	}
}

// TestCertificateRenewed: a processor that changed its key is believed after
// one fetch, and a flood of forged messages fetches nothing more.
func TestCertificateRenewed(t *testing.T) {
	b := newBench(t, 0)
	if err := b.ensure(t); err != nil {
		t.Fatal(err)
	}
	if err := b.partner.Rekey(); err != nil {
		t.Fatal(err)
	}
	if err := b.controller.Load().Ensure(t.Context(), "brightfield", erasure("job-2")); !errors.Is(err, opendsr.ErrSignature) {
		t.Errorf("right after the last fetch: %v", err)
	}
	b.pass(2 * time.Minute)
	if err := b.controller.Load().Ensure(t.Context(), "brightfield", erasure("job-2")); err != nil {
		t.Errorf("two minutes later: %v", err)
	}
}

// TestForgedCallbacksFetchNothing: while a processor's certificate can't be had,
// messages that anybody may send drive no more fetches than a few.
func TestForgedCallbacksFetchNothing(t *testing.T) {
	b := newBench(t, 0)
	var fetches atomic.Int32
	var broken atomic.Bool
	var front *httptest.Server
	front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/discovery"):
			_, _ = w.Write([]byte(`{"processor_certificate":"` + front.URL + `/cert.pem"}`))
		case r.URL.Path == "/cert.pem":
			fetches.Add(1)
			if broken.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			b.partner.ServeHTTP(w, r)
		default:
			b.partner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	b.processor.BaseURL = front.URL + "/v2"
	b.restart(t)
	broken.Store(true)
	for range 20 {
		if got := b.callback(demo.PartnerDomain, "Zm9yZ2Vk", "{}"); got != http.StatusServiceUnavailable {
			t.Errorf("a forged callback was answered %d", got)
		}
	}
	if n := fetches.Load(); n != 1 {
		t.Errorf("20 forged callbacks drove %d fetches, want 1", n)
	}
	broken.Store(false)
	b.pass(time.Minute)
	if err := b.ensure(t); err != nil {
		t.Errorf("once the certificate is there again: %v", err)
	}
}

func TestRequestID(t *testing.T) {
	a, again, other := opendsr.RequestID("a"), opendsr.RequestID("a"), opendsr.RequestID("b")
	if a != again || a == other || !opendsr.ValidID(a) || a[14] != '4' || !strings.ContainsRune("89ab", rune(a[19])) {
		t.Errorf("ids %s %s %s", a, again, other)
	}
	for _, bad := range []string{"", "A7551968-D5D6-44B2-9831-815AC9017798", a + "0", strings.ReplaceAll(a, "-", "x"), "../../../etc/passwd-00000000-0000-000"} {
		if opendsr.ValidID(bad) {
			t.Errorf("%q passes for an id", bad)
		}
	}
}
