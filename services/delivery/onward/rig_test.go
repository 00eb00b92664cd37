package onward_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
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

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/litetest"
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
	r.store, _ = litetest.Open(t)
	var err error
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
	return r.addAs(right, state, recipient, "flow")
}

// righted is what a correction puts right.
const righted = "2 Righted Road"

// addAs is add for one that is told for a reason of its own.
func (r *rig) addAs(right request.Right, state request.State, recipient, basis string) store.Onward {
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
	if right == request.Correct {
		full.Corrections = key.SealCorrections(req.ID, []request.Correction{{Field: "street", Value: request.NewSecret(righted)}})
	}
	_, err = r.store.Create(r.t.Context(), []store.New{{Request: full}})
	ok(r.t, err)
	o := store.Onward{
		ID: request.NewID(), RequestID: req.ID, Recipient: recipient, Role: "service_provider", Contract: "DPA-1", Letters: "AB", Basis: basis, Channel: "email",
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
