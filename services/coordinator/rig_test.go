package coordinator

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
	"github.com/habeas-data/habeas/services/request/store/pgstore"
)

// rig is a coordinator with everything around it real but the connectors and
// audit, which follow scripts.
type rig struct {
	t     *testing.T
	bus   *wiretest.Bus
	store store.Store
	dsn   string
	vault *vault.Vault
	seal  wire.SealKey
	rules Rules
	// streams make the bus quick to deliver again what a dead reader held.
	streams wire.StreamOptions
	audit   *standin.Audit
	logs    *safeBuffer
}

// quickRules let a test see what usually takes minutes.
var quickRules = Rules{Patience: 300 * time.Millisecond, Lease: 600 * time.Millisecond, Retry: 20 * time.Millisecond, RetryMost: 200 * time.Millisecond, Attempts: 50}

// safeBuffer takes log lines of several goroutines.
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

// onBothStores runs a test on SQLite and on PostgreSQL, beside others.
func onBothStores(t *testing.T, test func(*testing.T, *rig)) {
	t.Helper()
	onEachStore(t, func(t *testing.T, open func() *rig) {
		t.Parallel()
		test(t, open())
	})
}

// aloneOnBothStores is onBothStores for a test that looks at the clock.
func aloneOnBothStores(t *testing.T, test func(*testing.T, *rig)) {
	t.Helper()
	onEachStore(t, func(t *testing.T, open func() *rig) { test(t, open()) })
}

func onEachStore(t *testing.T, test func(*testing.T, func() *rig)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, func() *rig { return newRig(t) }) })
	t.Run("postgres", func(t *testing.T) {
		test(t, func() *rig {
			dsn := pgtest.New(t)
			if err := pgstore.Migrate(t.Context(), dsn, false); err != nil {
				t.Fatal(err)
			}
			s, err := pgstore.Open(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			return rigOn(t, s, dsn)
		})
	})
}

// newRig is a rig on SQLite.
func newRig(t *testing.T) *rig {
	t.Helper()
	path := litetest.New(t)
	s, err := litestore.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return rigOn(t, s, path)
}

func rigOn(t *testing.T, s store.Store, dsn string) *rig {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	r := &rig{t: t, store: s, dsn: dsn, rules: quickRules, streams: wire.StreamOptions{AckWait: 2 * time.Second}, bus: wiretest.New(t), logs: &safeBuffer{}}
	key := make([]byte, 32)
	rand.Read(key)
	var err error
	if r.vault, err = vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(key)); err != nil {
		t.Fatal(err)
	}
	if r.seal, err = wire.NewSealKey(); err != nil {
		t.Fatal(err)
	}
	r.audit = standin.NewAudit(t, r.bus.JS)
	return r
}

// room makes a coordinator; change, when given, changes its parts.
func (r *rig) room(change func(*Config)) *Room {
	r.t.Helper()
	keys := make(map[string]ed25519.PublicKey)
	for _, name := range []string{Name, "intake", "audit"} {
		keys[name] = signer(r.t, name).Public()
	}
	config := Config{
		Store: r.store, Conn: r.bus.Conn, JS: r.bus.JS, Vault: r.vault, Signer: signer(r.t, Name), SealKey: r.seal,
		ExportRecipient: "age1test", RoomKeys: keys, Rules: r.rules, Streams: r.streams,
		Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// start runs a coordinator until the test ends or stop is called.
func (r *rig) start(change func(*Config)) (stop func()) {
	r.t.Helper()
	c := r.room(change)
	if r.rules.Patience != 0 {
		c.every = 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, errInjected) {
			r.t.Errorf("the coordinator ended with: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// known waits until the coordinator has enrolled a connector.
func (r *rig) known(names ...string) {
	r.t.Helper()
	r.until("the connectors are enrolled", func() bool {
		have, err := r.store.Connectors(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		for _, name := range names {
			if !slices.ContainsFunc(have, func(c store.Connector) bool { return c.Name == name }) {
				return false
			}
		}
		return true
	})
}

func id(kind, value string) request.Identifier {
	return request.NewIdentifier(request.Kind(kind), value)
}

// fresh makes a request for a person, as intake does.
func (r *rig) fresh(right request.Right, ids ...request.Identifier) store.New {
	r.t.Helper()
	key, wrapped, err := r.vault.NewDataKey(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	req := accepted(r.t, right)
	commitment := key.Commitment(vault.Pairs(ids))
	req.WrappedKey, req.Sealed, req.Commitment = wrapped, key.SealIdentifiers(req.ID, ids), commitment[:]
	for _, i := range ids {
		req.Kinds = append(req.Kinds, store.Kind{Name: string(i.Kind)})
	}
	req.CreatedAt = time.Now().UTC()
	req.UpdatedAt = req.CreatedAt
	rec, err := signer(r.t, "intake").Sign(&habeasv1.IntakeRecord{RequestId: string(req.ID), Right: string(right), ReceiveTime: timestamppb.New(simStart)}, string(req.ID), req.Commitment)
	if err != nil {
		r.t.Fatal(err)
	}
	req.RecordDigests = rec.Digest[:]
	return store.New{Request: req, Records: []store.Record{{
		Digest: rec.Digest[:], RequestID: req.ID, Type: string(rec.Type), Issuer: "intake", Envelope: rec.Envelope, CreatedAt: req.CreatedAt,
	}}}
}

// submit stores requests, tells of them as intake does, and returns their ids.
func (r *rig) submit(news ...store.New) []request.ID {
	r.t.Helper()
	created, err := r.store.Create(r.t.Context(), news)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := make([]request.ID, len(created))
	for i, c := range created {
		ids[i] = c.ID
		rec := news[i].Records[0]
		if _, err := r.bus.JS.PublishMsgAsync(wire.RecordEnvelopeMessage(rec.Issuer, rec.Envelope, rec.Digest)); err != nil {
			r.t.Fatal(err)
		}
	}
	r.hint(nil)
	return ids
}

func (r *rig) hint(ids []request.ID) {
	r.t.Helper()
	var body []byte
	if ids != nil {
		var err error
		if body, err = json.Marshal(ids); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.bus.Conn.Publish(wire.HintSubject(Name), body); err != nil {
		r.t.Fatal(err)
	}
}

// one submits a request for deletion.
func (r *rig) one(email string) request.ID {
	r.t.Helper()
	return r.submit(r.fresh(request.Delete, id("email", email)))[0]
}

func (r *rig) get(id request.ID) (store.Request, []store.Job) {
	r.t.Helper()
	req, jobs, err := r.store.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return req, jobs
}

// untilLong is for a machine that has much else to do.
const untilLong = 3 * time.Minute

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(untilLong)
	for !ok() {
		if time.Now().After(deadline) {
			logs := r.logs.String()
			r.t.Fatalf("after %s still not: %s\n%s", untilLong, what, logs[max(0, len(logs)-4000):])
		}
		pause(r.t.Context(), 5*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// state waits for a request to be in a state.
func (r *rig) state(id request.ID, want request.State) store.Request {
	r.t.Helper()
	var req store.Request
	var jobs []store.Job
	defer func() {
		if r.t.Failed() {
			r.t.Logf("it is %s, attention %q, with a closure recorded: %t", req.State(), req.Attention, len(req.ClosureDigest) > 0)
			for _, j := range jobs {
				r.t.Logf("%s %s %s attempt %d code %s", j.Connector, j.Action, j.State, j.Attempt, j.Code)
			}
		}
	}()
	r.until(fmt.Sprintf("request %s is %s", id, want), func() bool {
		req, jobs = r.get(id)
		return req.State() == want
	})
	return req
}

// closed waits until requests are closed and checks what closing promises.
func (r *rig) closed(want request.Result, ids ...request.ID) {
	r.t.Helper()
	for _, id := range ids {
		req := r.state(id, request.Closed)
		if req.Ending.Result != want {
			r.t.Errorf("request %s ended %s, want %s", id, req.Ending.Result, want)
		}
		if req.ClosedAt.IsZero() {
			r.t.Errorf("request %s is closed at no time", id)
		}
		r.endsOnce(id)
	}
}

// endsOnce checks that the log has one closure of a request and every record
// it names, each once.
func (r *rig) endsOnce(id request.ID) {
	r.t.Helper()
	closures := slices.DeleteFunc(r.audit.Records(string(id), wire.RecordClosure), func(rec *wire.Record) bool { return rec.Issuer() != Name })
	if len(closures) != 1 {
		r.t.Errorf("request %s has %d closures", id, len(closures))
		return
	}
	seen := make(map[string]bool)
	for _, d := range closures[0].Predicate.(*habeasv1.ClosureRecord).GetRecordDigests() {
		if seen[string(d)] {
			r.t.Errorf("the closure of %s names a record twice", id)
		}
		seen[string(d)] = true
		if !r.audit.Has(d) {
			r.t.Errorf("the closure of %s names a record that is not in the log", id)
		}
	}
	for _, typ := range []wire.RecordType{wire.RecordIntake, wire.RecordPlan} {
		for _, rec := range r.audit.Records(string(id), typ) {
			if !seen[string(rec.Digest[:])] {
				r.t.Errorf("the closure of %s leaves out a %s record", id, typ)
			}
		}
	}
}

// wipeBus deletes everything JetStream holds.
func (r *rig) wipeBus() {
	r.t.Helper()
	names := r.bus.JS.StreamNames(r.t.Context())
	for name := range names.Name() {
		if err := r.bus.JS.DeleteStream(r.t.Context(), name); err != nil {
			r.t.Errorf("deleting %s: %v", name, err)
		}
	}
	if err := names.Err(); err != nil {
		r.t.Errorf("listing streams: %v", err)
	}
}
