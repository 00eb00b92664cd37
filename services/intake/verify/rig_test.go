package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// planted is a person whom the systems know; stranger is one they do not.
const (
	planted      = "planted.person@example.org"
	plantedPhone = "+14155550123"
	stranger     = "stranger@example.org"
)

// systems is a Matcher that knows one person.
type systems struct {
	mu     sync.Mutex
	points map[string]string
	silent []string
	state  string
	asked  int
	claims int
}

func (s *systems) Match(_ context.Context, anchor request.Identifier, claims []verify.Claim) (verify.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.claims += len(claims)
	a := verify.Answer{Silent: s.silent}
	if anchor.Reveal() != planted && anchor.Reveal() != plantedPhone || len(s.silent) > 0 {
		return a, nil
	}
	a.Known = true
	for _, c := range claims {
		held := s.points[c.Name]
		if slices.Contains(c.Fields, "phone") {
			held = s.points["phone"]
		}
		if slices.Contains(c.Fields, "email") {
			held = planted
		}
		if slices.Contains(c.Fields, "customer_id") {
			held = s.points["customer_number"]
		}
		if slices.Contains(c.Fields, "state") {
			held = s.state
		}
		if wire.InForm(c.Form, held) != "" && wire.InForm(c.Form, held) == wire.InForm(c.Form, c.Value.Reveal()) {
			a.Matched = append(a.Matched, c.Name)
		}
	}
	slices.Sort(a.Matched)
	return a, nil
}

type rig struct {
	t       *testing.T
	intake  *intake.Room
	room    *verify.Room
	store   *litestore.Store
	mail    *mailtest.Server
	systems *systems
	logs    *bytes.Buffer
	path    string
	now     time.Time
}

func newRig(t *testing.T, change ...func(*verify.Config)) *rig {
	t.Helper()
	r := &rig{
		t: t, mail: mailtest.New(t), logs: &bytes.Buffer{}, now: time.Date(2026, 3, 2, 17, 4, 5, 0, time.UTC),
		systems: &systems{points: map[string]string{"postal_code": "94110", "phone": "4155550123", "full_name": "Planted Person", "customer_number": "C-7"}},
	}
	r.store, r.path = litetest.Open(t)
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
	bus := wiretest.New(t)
	logger := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	clock := func() time.Time { return r.now }
	r.intake = intake.New(intake.Config{
		Store: r.store, Regimes: set, Vault: v, Signer: signer, Conn: bus.Conn, JS: bus.JS, Pepper: []byte("pepper"), Regime: "us-ca-ccpa", Logger: logger, Now: clock,
	})
	config := verify.Config{
		Doors: r.store, Requests: r.intake, Vault: v, Matcher: r.systems, Signer: signer, Policy: verify.DefaultPolicy(), Company: "Example Inc.",
		Mail: &mail.SMTP{Addr: r.mail.Addr, From: "privacy@example.com", Plain: true}, Secret: []byte("secret"), Logger: logger, Now: clock,
	}
	for _, f := range change {
		f(&config)
	}
	if r.room, err = verify.New(config); err != nil {
		t.Fatal(err)
	}
	return r
}

// take takes a request in.
func (r *rig) take(right request.Right, email string) request.ID {
	r.t.Helper()
	taken, err := r.intake.Take(r.t.Context(), []intake.Entry{{Submission: request.Submission{
		Right: right, Channel: request.ChannelWeb, Identifiers: []request.Identifier{request.NewIdentifier(request.Email, email)},
	}}}, "test")
	if err != nil || taken[0].Err != nil {
		r.t.Fatal(err, taken)
	}
	return taken[0].ID
}

// open begins to verify a new request.
func (r *rig) open(right request.Right, email string, c verify.Claimed) request.ID {
	r.t.Helper()
	id := r.take(right, email)
	c.Anchor = request.NewIdentifier(request.Email, email)
	if err := r.room.Open(r.t.Context(), id, c); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// work lets a minute go by and does what is due.
func (r *rig) work() {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	if _, err := r.room.Work(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) state(id request.ID) request.State {
	r.t.Helper()
	req, err := r.intake.Lookup(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return req.State()
}

func (r *rig) want(id request.ID, want request.State) {
	r.t.Helper()
	if got := r.state(id); got != want {
		r.t.Errorf("the request is %s, want %s", got, want)
	}
}

// code is the code in the n-th letter.
func (r *rig) code(n int) string {
	r.t.Helper()
	letters := r.mail.Wait(r.t, n)
	for word := range strings.FieldsSeq(letters[n-1].Text) {
		if len(word) == 6 && strings.Trim(word, "0123456789") == "" {
			return word
		}
	}
	r.t.Fatalf("no code in %q", letters[n-1].Text)
	return ""
}

func (r *rig) answer(id request.ID, code string) error {
	r.t.Helper()
	return r.room.Answer(r.t.Context(), id, code)
}
