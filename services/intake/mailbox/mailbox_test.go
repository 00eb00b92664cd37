package mailbox_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/desk"
	"github.com/habeas-data/habeas/services/intake/mailbox"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

const planted = "planted.person@example.org"

type nobody struct{}

func (nobody) Match(context.Context, request.Identifier, []verify.Claim) (verify.Answer, error) {
	return verify.Answer{}, nil
}

// broken is a store that can be taken down.
type broken struct {
	*litestore.Store
	down bool
}

func (b *broken) Create(ctx context.Context, news []store.New) ([]store.Created, error) {
	if b.down {
		return nil, errors.New("the database is down")
	}
	return b.Store.Create(ctx, news)
}

type rig struct {
	t      *testing.T
	store  *broken
	intake *intake.Room
	verify *verify.Room
	box    *mailbox.Room
	logs   bytes.Buffer
	now    time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Date(2026, 3, 2, 17, 4, 5, 0, time.UTC)}
	s, _ := litetest.Open(t)
	r.store = &broken{Store: s}
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte("intake"))
	signer, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), "intake", "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	bus, logger := wiretest.New(t), slog.New(slog.NewTextHandler(&r.logs, nil))
	clock := func() time.Time { return r.now }
	r.intake = intake.New(intake.Config{
		Store: r.store, Regimes: set, Vault: v, Signer: signer, Conn: bus.Conn, JS: bus.JS, Pepper: []byte("pepper"), Regime: "us-ca-ccpa", Logger: logger, Now: clock,
	})
	r.verify, err = verify.New(verify.Config{
		Doors: s, Requests: r.intake, Vault: v, Matcher: nobody{}, Signer: signer, Policy: verify.DefaultPolicy(), Company: "Example Inc.", Secret: []byte("secret"), Logger: logger, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.box = mailbox.New(mailbox.Room{Config: mailbox.Defaults(), Intake: r.intake, Verify: r.verify, Secret: []byte("secret"), Logger: logger})
	return r
}

func letter(id, subject, text string) string {
	return "From: Planted Person <" + planted + ">\r\nTo: privacy@example.com\r\nMessage-ID: <" + id + "@example.org>\r\nSubject: " + subject +
		"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n"
}

func (r *rig) requests() []store.Request {
	r.t.Helper()
	list, err := r.store.List(r.t.Context(), store.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func TestGuess(t *testing.T) {
	for text, want := range map[string]request.Right{
		"Please DELETE all my data": request.Delete, "Do not sell my data, and delete it": request.OptOutSaleShare,
		"Send me a copy of my data": request.KnowSpecific, "Quiero que borren mis datos": request.Delete, "Solicito una copia de mis datos": request.KnowSpecific,
		"No vendan... no vender mi información": request.OptOutSaleShare, "Correct my name": request.Correct, "What categories do you have?": request.KnowCategories,
		"Hello": "",
	} {
		if got := mailbox.Guess(text); got != want {
			t.Errorf("%q is taken for %q, want %q", text, got, want)
		}
	}
}

// IN-1: a request by e-mail is taken, from the day the mailbox got it.
func TestTake_IN1(t *testing.T) {
	r := newRig(t)
	received := r.now.Add(-72 * time.Hour)
	for range 2 { // the same message twice is one request
		if _, err := r.box.Take(t.Context(), []byte(letter("m1", "Privacidad", "Quiero que borren mis datos, por favor. Gracias.")), received); err != nil {
			t.Fatal(err)
		}
	}
	list := r.requests()
	if len(list) != 1 || list[0].Right() != request.Delete || list[0].Channel != request.ChannelEmail || !list[0].Terms.Received.Equal(received) {
		t.Fatalf("the requests are %+v", list)
	}
	if _, err := r.store.GetCase(t.Context(), list[0].ID); err != nil {
		t.Errorf("nobody verifies it: %v", err)
	}
	docs, err := r.store.Documents(t.Context(), list[0].ID)
	if err != nil || len(docs) != 1 {
		t.Fatalf("the message is not kept: %v, %v", docs, err)
	}
	if text, err := r.verify.Document(t.Context(), docs[0]); err != nil || !strings.Contains(string(text), "borren") || bytes.Contains(docs[0].Sealed, []byte("borren")) {
		t.Errorf("the kept message is %q, %v", text, err)
	}
	if _, err := r.box.Take(t.Context(), []byte(letter("m2", "Opt out", "stop")), received); err != nil {
		t.Fatal(err)
	}
	if list := r.requests(); len(list) != 2 || list[0].State() != request.Accepted {
		t.Errorf("an opt-out by mail is %s", list[0].State())
	}
	if strings.Contains(r.logs.String(), planted) {
		t.Error("the log names the sender")
	}
}

func TestWebhook(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		body, at string
		code     int
	}{
		"a message":   {letter("w1", "x", "Send me a copy of my data"), "2026-02-27T08:00:00Z", http.StatusCreated},
		"no sender":   {"Subject: x\r\n\r\nplanted text\r\n", "", http.StatusUnprocessableEntity},
		"no message":  {"planted", "", http.StatusUnprocessableEntity},
		"no time":     {letter("w2", "x", "y"), "planted", http.StatusUnprocessableEntity},
		"from beyond": {letter("w3", "x", "y"), "2036-02-27T08:00:00Z", http.StatusUnprocessableEntity},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/mail", strings.NewReader(c.body))
		if c.at != "" {
			req.Header.Set("Habeas-Received", c.at)
		}
		rec := httptest.NewRecorder()
		r.box.Handler().ServeHTTP(rec, req)
		if rec.Code != c.code || strings.Contains(rec.Body.String(), "planted") {
			t.Errorf("%s: status %d, %s", name, rec.Code, rec.Body)
		}
	}
	if list := r.requests(); len(list) != 1 || list[0].Terms.Due.Received.String() != "2026-02-27" {
		t.Errorf("the requests are %+v", list)
	}
}

// server is a mailbox on a real IMAP server.
func server(t *testing.T, r *rig) *imapmemserver.User {
	t.Helper()
	user := imapmemserver.NewUser("privacy", "password")
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	mem := imapmemserver.New()
	mem.AddUser(user)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
		InsecureAuth: true,
	})
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.box.Addr, r.box.User, r.box.PasswordFile, r.box.Plain = ln.Addr().String(), "privacy", room.SecretFile(file), true
	return user
}

type literal struct{ *strings.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

func put(t *testing.T, user *imapmemserver.User, text string, at time.Time) {
	t.Helper()
	if _, err := user.Append("INBOX", literal{strings.NewReader(text)}, &imap.AppendOptions{Time: at}); err != nil {
		t.Fatal(err)
	}
}

func TestIMAP_IN1(t *testing.T) {
	r := newRig(t)
	user := server(t, r)
	put(t, user, letter("i1", "Privacy", "Please delete my account data."), r.now.Add(-48*time.Hour))
	put(t, user, "Subject: no sender\r\n\r\nx\r\n", r.now)
	put(t, user, letter("i2", "Privacy", "Do not sell my information."), r.now.Add(-24*time.Hour))
	r.store.down = true
	if _, err := r.box.Look(t.Context()); err == nil {
		t.Error("a database that is down is no error")
	}
	r.store.down = false
	for look, want := range []int{3, 0} {
		if n, err := r.box.Look(t.Context()); err != nil || n != want {
			t.Fatalf("look %d: %d messages, %v; want %d", look+1, n, err, want)
		}
	}
	list := r.requests()
	if len(list) != 2 {
		t.Fatalf("%d requests, want 2", len(list))
	}
	for _, req := range list {
		want := r.now.Add(-48 * time.Hour)
		if req.Right() == request.OptOutSaleShare {
			want = r.now.Add(-24 * time.Hour)
		}
		if !req.Terms.Received.Equal(want) {
			t.Errorf("%s: received %v, want %v", req.Right(), req.Terms.Received, want)
		}
	}
	if !strings.Contains(r.logs.String(), "a person must look") || strings.Contains(r.logs.String(), planted) {
		t.Errorf("the log says %s", r.logs.String())
	}
	r.box.User = "nobody"
	if _, err := r.box.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "mailbox.user") {
		t.Errorf("a wrong user: %v", err)
	}
}

func (r *rig) desk(body string) *httptest.ResponseRecorder {
	r.t.Helper()
	rec := httptest.NewRecorder()
	desk.Handler(r.intake, r.verify).ServeHTTP(rec, httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/v1/desk/requests", strings.NewReader(body)))
	return rec
}

// IN-1: letters, calls and visits are typed in by staff and count from their
// own day.
func TestDesk_IN1(t *testing.T) {
	const person = `"identifiers":[{"kind":"email","value":"` + planted + `"}],"received_at":"2026-02-20T10:00:00Z"`
	r := newRig(t)
	for _, channel := range []string{"mail", "phone", "in_person"} {
		if rec := r.desk(`{"right":"delete","channel":"` + channel + `",` + person + `,"points":{"phone":"4155550123"}}`); rec.Code != http.StatusCreated {
			t.Errorf("%s: status %d, %s", channel, rec.Code, rec.Body)
		}
	}
	list := r.requests()
	if len(list) != 3 || list[0].Terms.Due.Received.String() != "2026-02-20" || list[0].State() != request.AwaitingVerification {
		t.Fatalf("the requests are %+v", list)
	}
	for _, body := range []string{
		`{"right":"delete","channel":"mail","identifiers":[{"kind":"email","value":"planted@example.org"}]}`,
		`{"right":"delete","channel":"mail",` + person + `,"ssn":"planted"}`,
		`{"right":"delete","channel":"mail",` + person + `,"signed":"planted"}`,
		`{"right":"delete","channel":"agent_api",` + person + `,"power_of_attorney":{"dated":true}}`,
		`{"right":"delete","channel":"agent_api",` + person + `,"power_of_attorney":{"dated":true,"signed_by_principal":true,"notarised":true,"covers_requests":true,"names_the_agent":true},"signed_permission":{"signed_on":"2026-02-01T00:00:00Z","document":"eA=="}}`,
	} {
		if rec := r.desk(body); rec.Code != http.StatusUnprocessableEntity || strings.Contains(rec.Body.String(), "planted") {
			t.Errorf("%s: status %d, %s", body, rec.Code, rec.Body)
		}
	}
	if n := len(r.requests()); n != 3 {
		t.Errorf("%d requests were stored, want 3", n)
	}
}

// VE-16: an agent opts a consumer out with a signed permission; VE-15: a power
// of attorney is all that is needed for the rest.
func TestDeskAgents_VE15_VE16(t *testing.T) {
	const person = `"identifiers":[{"kind":"email","value":"` + planted + `"}],"received_at":"2026-02-20T10:00:00Z","channel":"agent_api"`
	r := newRig(t)
	for _, body := range []string{
		`{"right":"opt_out_sale_share",` + person + `,"signed_permission":{"signed_on":"2026-02-01T00:00:00Z","document":"c2lnbmVk"}}`,
		`{"right":"know_specific",` + person + `,"power_of_attorney":{"dated":true,"signed_by_principal":true,"notarised":true,"covers_requests":true,"names_the_agent":true}}`,
	} {
		if rec := r.desk(body); rec.Code != http.StatusCreated {
			t.Fatalf("status %d, %s", rec.Code, rec.Body)
		}
	}
	for _, req := range r.requests() {
		if req.State() != request.Accepted {
			t.Errorf("%s is %s", req.Right(), req.State())
		}
		if _, err := r.store.GetCase(t.Context(), req.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: somebody is to be verified: %v", req.Right(), err)
		}
	}
}

// A power of attorney that somebody says to have seen is a vouching for who asks.
func TestDeskVouches(t *testing.T) {
	r := newRig(t)
	ask := func(body string) int {
		rec := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(request.WithoutAttesting(t.Context()), http.MethodPost, "/v1/desk/requests", strings.NewReader(body))
		desk.Handler(r.intake, r.verify).ServeHTTP(rec, req)
		return rec.Code
	}
	const who = `"channel":"mail","identifiers":[{"kind":"email","value":"` + planted + `"}],"received_at":"2026-02-20T10:00:00Z"`
	const attorney = `"power_of_attorney":{"dated":true,"signed_by_principal":true,"notarised":true,"witnesses":0,"agent_is_witness":false,"covers_requests":true,"ended":false,"springing":false,"condition_met":false,"names_the_agent":true}`
	if code := ask(`{"right":"delete",` + who + `,` + attorney + `}`); code != http.StatusForbidden || len(r.requests()) != 0 {
		t.Errorf("with a power of attorney: status %d, %d requests", code, len(r.requests()))
	}
	if code := ask(`{"right":"opt_out_sale_share",` + who + `,` + attorney + `}`); code != http.StatusCreated {
		t.Errorf("an opt-out, which nobody verifies: status %d", code)
	}
	if code := ask(`{"right":"delete",` + who + `}`); code != http.StatusCreated {
		t.Errorf("without one: status %d", code)
	}
}
