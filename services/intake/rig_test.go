package intake

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
	"github.com/habeas-data/habeas/services/request/store/pgstore"
)

// now is the day on which every test takes place.
var now = time.Date(2026, 3, 2, 17, 4, 5, 0, time.UTC)

// rig is an intake with its API, on a real store and bus.
type rig struct {
	t     *testing.T
	room  *Room
	api   http.Handler
	store *brokenStore
	bus   *wiretest.Bus
	logs  *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var errDown = errors.New("the database is down")

// brokenStore can be taken down, before a write or just after it.
type brokenStore struct {
	store.Store
	down, lost bool
}

func (s *brokenStore) Create(ctx context.Context, news []store.New) ([]store.Created, error) {
	if s.down {
		return nil, errDown
	}
	created, err := s.Store.Create(ctx, news)
	if s.lost {
		return nil, errors.Join(errDown, err)
	}
	return created, err
}

func (s *brokenStore) Advance(ctx context.Context, sel store.Selector, jobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	if s.down {
		return nil, errDown
	}
	snaps, err := s.Store.Advance(ctx, sel, jobs, decide)
	if s.lost {
		return nil, errors.Join(errDown, err)
	}
	return snaps, err
}

func (s *brokenStore) Get(ctx context.Context, id request.ID) (store.Request, []store.Job, error) {
	if s.down {
		return store.Request{}, nil, errDown
	}
	return s.Store.Get(ctx, id)
}

func (s *brokenStore) List(ctx context.Context, f store.Filter) ([]store.Request, error) {
	if s.down {
		return nil, errDown
	}
	return s.Store.List(ctx, f)
}

func (s *brokenStore) Connectors(ctx context.Context) ([]store.Connector, error) {
	if s.down {
		return nil, errDown
	}
	return s.Store.Connectors(ctx)
}

func onBothStores(t *testing.T, test func(*testing.T, *rig)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newRig(t)) })
	t.Run("postgres", func(t *testing.T) {
		dsn := pgtest.New(t)
		if err := pgstore.Migrate(t.Context(), dsn, false); err != nil {
			t.Fatal(err)
		}
		s, err := pgstore.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		test(t, rigOn(t, s))
	})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := litestore.Open(t.Context(), litetest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	return rigOn(t, s)
}

func rigOn(t *testing.T, s store.Store) *rig {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	r := &rig{t: t, store: &brokenStore{Store: s}, bus: wiretest.New(t), logs: &safeBuffer{}}
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte(Name))
	signer, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), Name, "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	r.room = New(Config{
		Store: r.store, Regimes: set, Vault: v, Signer: signer, Conn: r.bus.Conn, JS: r.bus.JS, Pepper: []byte("pepper"),
		Regime: "us-ca-ccpa", Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return now },
	})
	r.api = r.room.API("test")
	return r
}

// answer is what the API said.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// call makes a request of the API. header is name and value, in turn.
func (r *rig) call(method, path, body string, header ...string) answer {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	r.api.ServeHTTP(rec, req)
	content, err := io.ReadAll(rec.Result().Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{t: r.t, status: rec.Code, header: rec.Header(), body: content}
}

func (r *rig) post(path, body string, header ...string) answer {
	r.t.Helper()
	return r.call(http.MethodPost, path, body, header...)
}

// view reads a request out of an answer with the wanted status.
func (a answer) view(status int) View {
	a.t.Helper()
	a.want(status)
	var v View
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

func (a answer) want(status int) {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %.600s", a.status, status, a.body)
	}
}

// refusal is problem+json (RFC 9457) as clients see it.
type refusal struct {
	Title, Detail string
	Status        int
	Errors        []struct {
		Message, Location string
		Value             any
	}
}

// problem reads an error out of an answer with the wanted status.
func (a answer) problem(status int) refusal {
	a.t.Helper()
	a.want(status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("an error of type %q: %s", got, a.body)
	}
	var p refusal
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	if p.Status != status || p.Title == "" || p.Detail == "" {
		a.t.Errorf("the problem says status %d, title %q, detail %q", p.Status, p.Title, p.Detail)
	}
	return p
}

// names checks that a problem names a field.
func (p refusal) names(t *testing.T, field string) {
	t.Helper()
	if strings.Contains(p.Detail, field) {
		return
	}
	for _, e := range p.Errors {
		if strings.HasPrefix(e.Location, field) {
			return
		}
	}
	t.Errorf("nothing names %s: %+v", field, p)
}

// stored counts requests.
func (r *rig) stored() int {
	r.t.Helper()
	counts, err := r.store.Store.Counts(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	n := 0
	for _, c := range counts {
		n += int(c)
	}
	return n
}

func (r *rig) get(id request.ID) (store.Request, []store.Job) {
	r.t.Helper()
	req, jobs, err := r.store.Store.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return req, jobs
}

// running gives a request jobs, as the coordinator would.
func (r *rig) running(id request.ID, jobs ...store.Job) {
	r.t.Helper()
	_, err := r.store.Store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		s.Changed = true
		for i := range jobs {
			j := jobs[i]
			j.ID, j.RequestID, j.UpdatedAt, j.PlanDigest, j.Attempt = request.NewID(), id, now, make([]byte, 32), 1
			if j.Action == "" {
				j.Action = request.ActionErase
			}
			s.Jobs = append(s.Jobs, j)
		}
		return s.Request.Move(request.Running)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

const (
	deletion = `{"right":"delete","identifiers":[{"kind":"email","value":"Jane@Example.com"}],"verification":{"method":"account_login","level":"reasonably_high"}}`
	optOut   = `{"right":"opt_out_sale_share","identifiers":[{"kind":"email","value":"jane@example.com"}]}`
	waiting  = `{"right":"delete","identifiers":[{"kind":"email","value":"jane@example.com"}]}`
)

func (r *rig) submit(body string) request.ID {
	r.t.Helper()
	return r.post("/v1/requests", body).view(http.StatusCreated).ID
}
