package onward_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

const (
	planted = "maria.planted@example.com"
	cookie  = "planted-cookie-7f3a"
)

var received = time.Date(2026, time.March, 2, 18, 0, 0, 0, time.UTC)

// rig is a room on a real store, a mail server and a recipient's own system.
type rig struct {
	t      *testing.T
	store  *litestore.Store
	vault  *vault.Vault
	mail   *mailtest.Server
	hook   *hook
	room   *onward.Room
	now    atomic.Pointer[time.Time]
	log    bytes.Buffer
	hinted atomic.Int64
	site   *httptest.Server
}

// hook is a recipient's system: it takes calls, refuses them, or takes them and
// goes away before it says so.
type hook struct {
	mu     sync.Mutex
	status int
	lose   bool
	calls  []onward.Notice
	keys   []string
	raw    bytes.Buffer
}

func (h *hook) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(req.Body)
	h.raw.Write(body)
	var n onward.Notice
	if json.Unmarshal(body, &n) != nil || h.status/100 != 2 {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(h.status)
		return
	}
	h.calls, h.keys = append(h.calls, n), append(h.keys, req.Header.Get("Idempotency-Key"))
	if h.lose {
		panic(http.ErrAbortHandler)
	}
}

func (h *hook) set(status int, lose bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.lose = status, lose
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T, change ...func(*onward.Config)) *rig {
	t.Helper()
	r := &rig{t: t, mail: mailtest.New(t), hook: &hook{status: http.StatusAccepted}}
	server := httptest.NewServer(r.hook)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "habeas.db")
	ok(t, litestore.Migrate(t.Context(), path, false))
	var err error
	r.store, err = litestore.Open(t.Context(), path)
	ok(t, err)
	t.Cleanup(func() { ok(t, r.store.Close()) })
	r.vault, err = vault.New(t.Context(), filepath.Join(t.TempDir(), "master.key"))
	ok(t, err)
	signer, err := wire.NewSigner(ed25519.NewKeyFromSeed(make([]byte, 32)), "intake", "test", "1", "")
	ok(t, err)
	r.at(received.Add(time.Hour))
	config := onward.Config{
		Store: r.store, Vault: r.vault, Signer: signer, Company: "Example Inc.", Contact: "privacy@example.com", URL: "https://privacy.example.com",
		Secret: []byte("secret"), Mail: &mail.SMTP{Addr: r.mail.Addr, From: "privacy@example.com", Plain: true, Timeout: 5 * time.Second},
		Book: disclosure.NewBook(&tenant.Tenant{Vendors: []tenant.Vendor{
			{ID: "mailer", Name: "Mailer Inc.", Role: tenant.ServiceProvider, Contract: "DPA-1", Tell: tenant.Tell{Email: "privacy@mailer.example", Identifiers: []string{"email"}}},
			{ID: "adnet", Name: "Ad Network", Role: tenant.ThirdParty, Contract: "TPA-1", Tell: tenant.Tell{Webhook: server.URL + "/privacy", Identifiers: []string{"cookie_id"}}},
			{ID: "mute", Name: "Mute Ltd.", Role: tenant.ThirdParty, Contract: "TPA-2"},
		}}, time.UTC),
		Hint:   func(request.ID) { r.hinted.Add(1) },
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return *r.now.Load() },
	}
	for _, fn := range change {
		fn(&config)
	}
	r.room, err = onward.New(config)
	ok(t, err)
	r.site = httptest.NewServer(r.room.Handler())
	t.Cleanup(r.site.Close)
	t.Cleanup(func() {
		for _, value := range []string{planted, cookie, "/recipients/"} {
			if strings.Contains(r.log.String(), value) {
				t.Errorf("the log holds %q", value)
			}
		}
	})
	return r
}

func (r *rig) at(t time.Time) { r.now.Store(&t) }

func (r *rig) pass(d time.Duration) { r.at(r.now.Load().Add(d)) }

// add stores a request in a state and one recipient that has to be told of it.
func (r *rig) add(right request.Right, state request.State, recipient string) store.Onward {
	r.t.Helper()
	set, err := regimes.Load()
	ok(r.t, err)
	terms, err := set.Terms("us-ca-ccpa", received, right, request.Range{})
	ok(r.t, err)
	req, err := request.New(request.NewID(), request.Submission{Regime: "us-ca-ccpa", Right: right, Channel: request.ChannelWeb}, terms)
	ok(r.t, err)
	if state == request.Closing {
		req.Ending = &request.Ending{Result: request.ResultPartial, Code: request.EndUnacknowledged, Reason: "somebody is silent"}
	}
	var v request.Verification
	if right.Verifiable() {
		v = request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: received, By: "api"}
	}
	req, err = request.Restore(*req, right, state, v)
	ok(r.t, err)
	key, wrapped, err := r.vault.NewDataKey(r.t.Context())
	ok(r.t, err)
	ids := []request.Identifier{request.NewIdentifier(request.Email, planted), request.NewIdentifier(request.CookieID, cookie)}
	full := store.Request{
		Request: req, RespondBy: received.AddDate(0, 0, 45), WrappedKey: wrapped, Sealed: key.SealIdentifiers(req.ID, ids),
		Commitment: make([]byte, 32), CreatedAt: received, UpdatedAt: received, Version: 1,
	}
	_, err = r.store.Create(r.t.Context(), []store.New{{Request: full}})
	ok(r.t, err)
	o := store.Onward{
		ID: request.NewID(), RequestID: req.ID, Recipient: recipient, Role: "service_provider", Contract: "DPA-1", Letters: "AB", Basis: "flow", Channel: "email",
		State: request.OnwardWaiting, DecidedAt: received, Deadline: received.AddDate(0, 0, 10), NextAt: received,
	}
	r.advance(req.ID, func(s *store.Snapshot) {
		s.Changed, s.Request.Case.Onward = true, &request.Onward{Look: o.Deadline}
		if state == request.Closing {
			s.Request.ClosureDigest = make([]byte, 32)
		}
		s.Onward = append(s.Onward, o)
	})
	return o
}

func (r *rig) advance(id request.ID, fn func(*store.Snapshot)) {
	r.t.Helper()
	_, err := r.store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		fn(snaps[0])
		return nil
	})
	ok(r.t, err)
}

func (r *rig) once() {
	r.t.Helper()
	_, err := r.room.Once(r.t.Context())
	ok(r.t, err)
}

func (r *rig) row(o store.Onward) store.Onward {
	r.t.Helper()
	got, err := r.store.GetOnward(r.t.Context(), o.ID)
	ok(r.t, err)
	return got
}

// said are the decisions on record, in order.
func (r *rig) said() (out []string) {
	r.t.Helper()
	records, err := r.store.Unlogged(r.t.Context(), r.now.Load().AddDate(1, 0, 0), 100)
	ok(r.t, err)
	for _, one := range records {
		for _, value := range []string{planted, cookie} {
			if bytes.Contains(one.Envelope, []byte(value)) {
				r.t.Errorf("a record holds %q", value)
			}
		}
		rec, err := wire.ParseRecord(one.Envelope)
		ok(r.t, err)
		d, is := rec.Predicate.(*habeasv1.DecisionRecord)
		if !is {
			r.t.Fatalf("a record of type %s", rec.Type)
		}
		out = append(out, d.GetDecision()+" "+d.GetCode())
	}
	return out
}

func (r *rig) saidAll(want ...string) {
	r.t.Helper()
	if got := r.said(); !slices.Equal(got, want) {
		r.t.Errorf("on record %q, want %q", got, want)
	}
}

// A service provider is written to once, in a message that names nobody; when it
// is silent it is reminded, a few times, and is overdue from its deadline on.
func TestToldAndReminded_DE3(t *testing.T) {
	r := newRig(t)
	o := r.add(request.Delete, request.Running, "mailer")
	r.once()
	r.once()
	letters := r.mail.Letters()
	if len(letters) != 1 {
		t.Fatalf("%d letters, want 1", len(letters))
	}
	l := letters[0]
	if !strings.Contains(l.To, "privacy@mailer.example") || !strings.Contains(l.Text, r.room.Link(o.ID)) || !strings.Contains(l.Text, "DPA-1") || !strings.Contains(l.Text, "2026-03-12") {
		t.Errorf("the letter: %+v", l)
	}
	for _, part := range []string{"delete it", "pass this on to your own service providers and contractors"} { // 11 CCR 7022(c)
		if !strings.Contains(l.Text, part) {
			t.Errorf("the letter does not say %q", part)
		}
	}
	if all := l.Subject + l.Text; strings.Contains(all, planted) || strings.Contains(all, cookie) {
		t.Error("the letter names the person")
	}
	if got := r.row(o); got.State != request.OnwardTold || !got.ToldAt.Equal(*r.now.Load()) {
		t.Errorf("%+v", got)
	}
	for range 10 {
		r.pass(6 * 24 * time.Hour)
		r.once()
	}
	letters = r.mail.Letters()
	if len(letters) != 5 {
		t.Fatalf("%d letters after two months, want the notice and 4 reminders", len(letters))
	}
	ids := map[string]bool{}
	for i, l := range letters {
		ids[l.MessageID] = true
		if i > 0 && !strings.HasPrefix(l.Subject, "Reminder: ") {
			t.Errorf("subject %q", l.Subject)
		}
	}
	if len(ids) != len(letters) {
		t.Error("two messages have one id")
	}
	r.saidAll("recipient_told mailer", "recipient_reminded mailer", "recipient_reminded mailer", "recipient_reminded mailer", "recipient_reminded mailer")
	over, err := r.store.OverdueOnward(t.Context(), *r.now.Load(), 10)
	if ok(t, err); len(over) != 1 || over[0].ID != o.ID {
		t.Errorf("overdue: %+v", over)
	}
}

// A third party that bought is asked to delete, one that got data after an
// opt-out to stop; both to pass it on.
func TestWhatIsAsked_DE4_OO3(t *testing.T) {
	r := newRig(t)
	for right, want := range map[request.Right][]string{
		request.Delete:          {"Please delete it", "tell those to whom you gave it"},
		request.OptOutSaleShare: {"Please stop selling and sharing it", "tell those to whom you gave it since"},
	} {
		o := r.add(right, request.Running, "adnet")
		_, text := r.ask(t, http.MethodGet, r.path(o), "")
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the page does not say %q", right, part)
			}
		}
	}
}

// What a mail server does not take is tried again; what it took and did not say
// so goes out again under the same message id.
func TestMailFails_DE3(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(*mailtest.Server)
		code  string
		wait  time.Duration
		sent  int
	}{
		"refused for now":    {func(s *mailtest.Server) { s.Refuse("451 4.3.0 later") }, onward.CodeUnavailable, time.Minute, 1},
		"refused for good":   {func(s *mailtest.Server) { s.Refuse("550 5.1.1 no such user") }, onward.CodeRefused, 24 * time.Hour, 1},
		"the answer is lost": {func(s *mailtest.Server) { s.LoseAnswers(true) }, onward.CodeUnavailable, time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			o := r.add(request.Delete, request.Running, "mailer")
			c.fails(r.mail)
			r.once()
			if got := r.row(o); got.State != request.OnwardWaiting || got.Failed != c.code || got.Tries != 1 || !got.NextAt.Equal(r.now.Load().Add(c.wait)) {
				t.Errorf("%+v", got)
			}
			r.saidAll()
			r.mail.Refuse("")
			r.mail.LoseAnswers(false)
			r.once() // not yet
			r.pass(c.wait)
			r.once()
			letters := r.mail.Letters()
			if len(letters) != c.sent || letters[0].MessageID != letters[len(letters)-1].MessageID {
				t.Errorf("%d letters, want %d of one id", len(letters), c.sent)
			}
			if got := r.row(o); got.State != request.OnwardTold || got.Failed != "" || got.Tries != 0 {
				t.Errorf("%+v", got)
			}
			r.saidAll("recipient_told mailer")
		})
	}
}

// failing is a store whose next write fails: it did not happen, or it happened
// and the answer was lost.
type failing struct {
	*litestore.Store
	fail     atomic.Bool
	happened bool
}

var errGone = errors.New("the connection is gone")

func (f *failing) Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	if !f.fail.Swap(false) {
		return f.Store.Advance(ctx, sel, withJobs, decide)
	}
	if f.happened {
		if _, err := f.Store.Advance(ctx, sel, withJobs, decide); err != nil {
			return nil, err
		}
	}
	return nil, errGone
}

// The store goes away after a message went out: the message goes out again under
// its id, or not at all, and it is on record once.
func TestStoreFailsAfterSending_DE3(t *testing.T) {
	for _, happened := range []bool{false, true} {
		f := &failing{happened: happened}
		r := newRig(t, func(c *onward.Config) {
			f.Store = c.Store.(*litestore.Store) //nolint:forcetypeassert // it is the rig's
			c.Store = f
		})
		o := r.add(request.Delete, request.Running, "mailer")
		f.fail.Store(true)
		if _, err := r.room.Once(t.Context()); !errors.Is(err, errGone) {
			t.Fatalf("happened %v: %v", happened, err)
		}
		r.once()
		want := 2
		if happened {
			want = 1
		}
		if letters := r.mail.Letters(); len(letters) != want || letters[0].MessageID != letters[want-1].MessageID {
			t.Errorf("happened %v: %d letters, want %d of one id", happened, len(letters), want)
		}
		if got := r.row(o); got.State != request.OnwardTold {
			t.Errorf("happened %v: %+v", happened, got)
		}
		r.saidAll("recipient_told mailer")

		f.fail.Store(true)
		if err := r.room.Acknowledge(t.Context(), o.ID, onward.Recipient); !errors.Is(err, errGone) {
			t.Fatalf("happened %v: %v", happened, err)
		}
		ok(t, r.room.Acknowledge(t.Context(), o.ID, onward.Recipient))
		r.saidAll("recipient_told mailer", "recipient_acknowledged mailer")
	}
}

// A webhook is called without naming anybody. What it does not take is tried
// again under the same key; it is not followed elsewhere.
func TestWebhook_DE4(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		lose   bool
		code   string
		calls  int
	}{
		"away":               {http.StatusServiceUnavailable, false, onward.CodeUnavailable, 1},
		"busy":               {http.StatusTooManyRequests, false, onward.CodeUnavailable, 1},
		"refuses":            {http.StatusBadRequest, false, onward.CodeRefused, 1},
		"points elsewhere":   {http.StatusTemporaryRedirect, false, onward.CodeRefused, 1},
		"the answer is lost": {http.StatusAccepted, true, onward.CodeUnavailable, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			o := r.add(request.Delete, request.Running, "adnet")
			r.hook.set(c.status, c.lose)
			r.once()
			if got := r.row(o); got.State != request.OnwardWaiting || got.Failed != c.code {
				t.Errorf("%+v", got)
			}
			r.hook.set(http.StatusAccepted, false)
			r.pass(24 * time.Hour)
			r.once()
			h := r.hook
			if len(h.calls) != c.calls || h.keys[0] != h.keys[len(h.keys)-1] || h.calls[0].URL != r.room.Link(o.ID) || h.calls[0].Asked != "delete" {
				t.Errorf("calls %+v with keys %q", h.calls, h.keys)
			}
			if got := h.raw.String(); strings.Contains(got, planted) || strings.Contains(got, cookie) {
				t.Error("the call names the person")
			}
			r.saidAll("recipient_told adnet")
		})
	}
}

// Somebody nobody can reach waits, and says why.
func TestNoWayToTell_DE4(t *testing.T) {
	r := newRig(t, func(c *onward.Config) { c.Mail = nil })
	for _, c := range [][2]string{{"mute", onward.CodeNoChannel}, {"mailer", onward.CodeNoChannel}, {"gone", onward.CodeUnknown}} {
		recipient, code := c[0], c[1]
		o := r.add(request.Delete, request.Running, recipient)
		r.once()
		if got := r.row(o); got.State != request.OnwardWaiting || got.Failed != code {
			t.Errorf("%s: %+v", recipient, got)
		}
		ok(t, r.room.Acknowledge(t.Context(), o.ID, "dana")) // a person told it another way
		if got := r.row(o); got.State != request.OnwardAcknowledged || got.AcknowledgedBy != "dana" {
			t.Errorf("%s: %+v", recipient, got)
		}
	}
	r.saidAll("recipient_acknowledged mute", "recipient_acknowledged mailer", "recipient_acknowledged gone")
}

func (r *rig) path(o store.Onward) string {
	return strings.TrimPrefix(r.room.Link(o.ID), "https://privacy.example.com")
}

func (r *rig) ask(t *testing.T, method, path, accept string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.site.URL+path, nil)
	ok(t, err)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := r.site.Client().Do(req)
	ok(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ok(t, err)
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(path, onward.Base+"/page") && (!strings.Contains(csp, "default-src 'none'") ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer") {
		t.Errorf("%s: headers %v", path, resp.Header)
	}
	return resp.StatusCode, string(body)
}

// A recipient sees whom a notice is about after asking, by what it knows people
// by and nothing else, until it acknowledges. Following the link shows nobody.
func TestPage_DE3(t *testing.T) {
	r := newRig(t)
	o := r.add(request.Delete, request.Running, "mailer")
	path := r.path(o)
	for range 2 {
		if status, text := r.ask(t, http.MethodGet, path, ""); status != http.StatusOK || !strings.Contains(text, "Show the identifiers") || strings.Contains(text, planted) {
			t.Errorf("opening the page: %d %s", status, text)
		}
	}
	r.saidAll()
	for range 2 {
		status, text := r.ask(t, http.MethodPost, path+"/show", "")
		if status != http.StatusOK || !strings.Contains(text, planted) || strings.Contains(text, cookie) {
			t.Errorf("showing: %d %s", status, text)
		}
	}
	r.saidAll("recipient_shown mailer")
	var got struct {
		Reference, Asked, Acknowledged string
		Identifiers                    []struct{ Kind, Value string }
	}
	_, text := r.ask(t, http.MethodPost, path+"/show", "application/json")
	ok(t, json.Unmarshal([]byte(text), &got))
	if got.Reference != string(o.ID) || got.Asked != "delete" || len(got.Identifiers) != 1 || got.Identifiers[0].Value != planted {
		t.Errorf("as JSON: %+v", got)
	}
	for range 2 {
		if status, text := r.ask(t, http.MethodPost, path+"/acknowledge", ""); status != http.StatusOK || !strings.Contains(text, "You confirmed on 2026-03-02") {
			t.Errorf("acknowledging: %d %s", status, text)
		}
	}
	for _, one := range []string{"", "/show"} {
		method := http.MethodPost
		if one == "" {
			method = http.MethodGet
		}
		if _, text := r.ask(t, method, path+one, ""); strings.Contains(text, planted) {
			t.Errorf("%s still shows the person", one)
		}
	}
	r.saidAll("recipient_shown mailer", "recipient_acknowledged mailer")
	if r.hinted.Load() == 0 {
		t.Error("the coordinator was not told")
	}
	req, _, err := r.store.Get(t.Context(), o.RequestID)
	ok(t, err)
	if wake := req.Wake(); !wake.Equal(*r.now.Load()) {
		t.Errorf("the request wakes at %s", wake)
	}
	r.pass(30 * 24 * time.Hour)
	r.once()
	if n := len(r.mail.Letters()); n != 0 {
		t.Errorf("%d letters to somebody who has acknowledged", n)
	}
}

// A link that was guessed or altered, and one of somebody who is excused, show
// nothing.
func TestLinks_DE3(t *testing.T) {
	r := newRig(t)
	o, other := r.add(request.Delete, request.Running, "mailer"), r.add(request.Delete, request.Running, "mailer")
	excused := r.add(request.Delete, request.Running, "mute")
	r.advance(excused.RequestID, func(s *store.Snapshot) {
		s.Onward[0].State = request.OnwardExcused
		s.TouchOnward(0)
	})
	token := func(o store.Onward) string { return r.path(o)[strings.LastIndex(r.path(o), "/")+1:] }
	for _, path := range []string{
		onward.Base + "/" + string(o.ID) + "/" + token(other), onward.Base + "/" + string(o.ID) + "/x", onward.Base + "/x/" + token(o),
		onward.Base + "/" + string(request.NewID()) + "/" + token(o), r.path(excused),
	} {
		for _, accept := range []string{"", "application/json"} {
			for _, act := range []string{"/show", "/acknowledge"} {
				if status, text := r.ask(t, http.MethodPost, path+act, accept); status != http.StatusNotFound || strings.Contains(text, planted) {
					t.Errorf("%s: %d %s", path+act, status, text)
				}
			}
		}
	}
	if got := r.row(o); got.State != request.OnwardWaiting || !got.ShownAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := r.room.Acknowledge(t.Context(), excused.ID, "dana"); !errors.Is(err, onward.ErrExcused) {
		t.Errorf("acknowledging for somebody excused: %v", err)
	}
	if err := r.room.Acknowledge(t.Context(), request.NewID(), "dana"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("acknowledging nothing: %v", err)
	}
	if status, text := r.ask(t, http.MethodGet, onward.Base+"/page.css", ""); status != http.StatusOK || !strings.Contains(text, "html") {
		t.Errorf("the style: %d", status)
	}
}

// Who acknowledges after the answer is taken at their word, on record, and the
// closure stays what it was.
func TestLateAcknowledgement_DE3(t *testing.T) {
	var published atomic.Int64
	r := newRig(t, func(c *onward.Config) {
		c.Publish = func(*nats.Msg) error { published.Add(1); return nil }
	})
	o := r.add(request.Delete, request.Closing, "mailer")
	before, _, err := r.store.Get(t.Context(), o.RequestID)
	ok(t, err)
	var many sync.WaitGroup
	for range 8 {
		many.Go(func() {
			if err := r.room.Acknowledge(t.Context(), o.ID, onward.Recipient); err != nil {
				t.Error(err)
			}
		})
	}
	many.Wait()
	after, _, err := r.store.Get(t.Context(), o.RequestID)
	ok(t, err)
	if after.Version != before.Version || !bytes.Equal(after.RecordDigests, before.RecordDigests) || after.State() != request.Closing {
		t.Error("the request changed")
	}
	if got := r.row(o); got.State != request.OnwardAcknowledged || got.AcknowledgedBy != onward.Recipient {
		t.Errorf("%+v", got)
	}
	r.saidAll("recipient_acknowledged mailer")
	if published.Load() != 1 {
		t.Errorf("%d records published, want 1", published.Load())
	}
}

// A room that lacks something says what.
func TestNew(t *testing.T) {
	if _, err := onward.New(onward.Config{}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("an empty room: %v", err)
	}
}
