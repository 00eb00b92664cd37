package sdk_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

// deadline is longer than a job is kept for a connector that stopped with it on
// its way.
const deadline = 90 * time.Second

// book is a system in memory: how many records there are by email and store.
// Hooks run before each call; an error they return is the call's.
type book struct {
	mu       sync.Mutex
	records  map[string]map[string]int64
	kept     map[string]bool // stores whose records are kept
	out      map[string]bool
	onLocate func(context.Context) error
	onErase  func(context.Context) error
	// lostAnswer, when set, is Erase's error after the erasure happened.
	lostAnswer func() error
	erasures   int
}

func newBook() *book {
	return &book{records: map[string]map[string]int64{}, kept: map[string]bool{}, out: map[string]bool{}}
}

func (b *book) put(email, store string, n int64) *book {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records[email] == nil {
		b.records[email] = map[string]int64{}
	}
	b.records[email][store] = n
	return b
}

func (b *book) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	if b.onLocate != nil {
		if err := b.onLocate(ctx); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []sdk.Found
	for _, email := range p.Values(sdk.Email) {
		for store, n := range b.records[email] {
			f := sdk.Found{Store: store, Count: n}
			if b.kept[store] {
				f.Keep = &sdk.Keep{Basis: "ccpa-1798.105(d)(8)", Until: time.Date(2033, 1, 1, 0, 0, 0, 0, time.UTC)}
			}
			found = append(found, f)
		}
	}
	return found, ctx.Err()
}

func (b *book) Erase(ctx context.Context, p sdk.Person) error {
	if b.onErase != nil {
		if err := b.onErase(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erasures++
	for _, email := range p.Values(sdk.Email) {
		for store := range b.records[email] {
			if !b.kept[store] {
				delete(b.records[email], store)
			}
		}
	}
	if b.lostAnswer != nil {
		return b.lostAnswer()
	}
	return nil
}

func (b *book) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	found, err := b.Locate(ctx, p)
	if err != nil {
		return err
	}
	for _, f := range found {
		for i := range f.Count {
			err := w.Write(ctx, sdk.Record{Store: f.Store, Fields: []sdk.Field{
				{Name: "email", Value: p.Values(sdk.Email)[0]}, {Name: "n", Value: i}, {Name: "password", Value: sdk.Withheld("password hash")},
			}})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *book) OptOut(_ context.Context, p sdk.Person) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out[p.Values(sdk.Email)[0]] = true
	return nil
}

func (b *book) OptedOut(_ context.Context, p sdk.Person) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out[p.Values(sdk.Email)[0]], nil
}

func (b *book) Resolve(_ context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.records[p.Values(sdk.Email)[0]]) == 0 {
		return nil, nil
	}
	return []sdk.Identifier{sdk.ID(sdk.UserID, "user-of-"+p.Values(sdk.Email)[0]), sdk.ID("not_yielded", "x")}, nil
}

func (b *book) total(email string) (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.records[email] {
		n += c
	}
	return n
}

func bookManifest() sdk.Manifest {
	return sdk.Manifest{
		Name: "book", Version: "1", Accepts: []sdk.Kind{sdk.Email, sdk.Name}, Yields: []sdk.Kind{sdk.UserID},
		Stores:       []sdk.Store{{Name: "contacts"}, {Name: "invoices"}},
		BackupExpiry: 24 * time.Hour, Contract: "DPA-7",
	}
}

// rig plays the coordinator for one connector on a real bus.
type rig struct {
	t           testing.TB
	dial        func(...nats.Option) (*nats.Conn, error)
	js          jetstream.JetStream
	coordinator wire.SealKey
	keys        sdk.Keys
	cfg         sdk.ServeConfig
	log         *lockedBuffer
	have        []*wire.Record // of the evidence stream, up to read
	read        uint64
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newRig(t testing.TB, c sdk.Connector, change ...func(*sdk.ServeConfig)) *rig {
	t.Helper()
	bus := wiretest.New(t)
	r := newRigOn(t, bus.JS, c, change...)
	r.dial = func(opts ...nats.Option) (*nats.Conn, error) {
		return nats.Connect("", append(opts, nats.InProcessServer(bus.Server))...)
	}
	return r
}

// newRigOn is newRig on a bus of the test's own; the test sets dial.
func newRigOn(t testing.TB, js jetstream.JetStream, c sdk.Connector, change ...func(*sdk.ServeConfig)) *rig {
	t.Helper()
	r := &rig{t: t, js: js, log: &lockedBuffer{}}
	var err error
	if r.coordinator, err = wire.NewSealKey(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if r.keys, err = sdk.LoadKeys(dir); err != nil {
		t.Fatal(err)
	}
	if err := wire.EnsureConnector(t.Context(), r.js, "book", wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	r.cfg = sdk.ServeConfig{
		Manifest: bookManifest(), Connector: c, Keys: r.keys, StateDir: dir, CoordinatorKey: r.coordinator.Public(),
		RetryFor: 300 * time.Millisecond, Grace: 2 * time.Second, Logger: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&r.cfg)
	}
	return r
}

// start serves on a connection of its own until the test ends or stop is
// called, and returns when jobs are taken.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	conn, err := r.dial(nats.CustomInboxPrefix(wire.InboxPrefix("book")), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		r.t.Fatal(err)
	}
	ready := make(chan struct{})
	cfg := r.cfg
	cfg.Conn = conn
	cfg.OnReady = sync.OnceFunc(func() { close(ready) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sdk.Serve(ctx, cfg) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
		conn.Close()
	})
	r.t.Cleanup(stop)
	select {
	case <-ready:
	case <-time.After(deadline):
		r.t.Fatal("the connector is not ready")
	}
	return stop
}

func (r *rig) job(id string, action habeasv1.Action, ids ...sdk.Identifier) *habeasv1.Job {
	r.t.Helper()
	s := &habeasv1.Subject{JobId: id}
	for _, i := range ids {
		s.Identifiers = append(s.Identifiers, &habeasv1.Identifier{Kind: string(i.Kind), Value: i.Value.Reveal()})
	}
	sealed, err := r.coordinator.SealSubject(s, r.keys.Seal.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	commitment, plan := sha256.Sum256([]byte("commitment")), sha256.Sum256([]byte("plan"))
	return &habeasv1.Job{
		JobId: id, RequestId: "req-1", Connector: "book", Action: action, SealedSubject: sealed, SealerKey: r.coordinator.Public(),
		SubjectCommitment: commitment[:], PlanDigest: plan[:], ManifestDigest: sdk.ManifestDigest(r.cfg.Manifest, r.cfg.Connector),
		Regime: "us-ca-ccpa", Right: "delete", ReceiveTime: timestamppb.Now(), DueTime: timestamppb.Now(), Attempt: 1,
	}
}

func (r *rig) erase(id, email string) *habeasv1.Job {
	return r.job(id, habeasv1.Action_ACTION_ERASE, sdk.ID(sdk.Email, email))
}

func (r *rig) send(jobs ...*habeasv1.Job) {
	r.t.Helper()
	for _, j := range jobs {
		msg, err := wire.JobMessage(j)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.js.PublishMsg(r.t.Context(), msg); err != nil {
			r.t.Fatal(err)
		}
	}
}

// records returns everything on the evidence stream, verified.
func (r *rig) records() []*wire.Record {
	r.t.Helper()
	stream, err := r.js.Stream(r.t.Context(), wire.StreamEvidence)
	if err != nil {
		r.t.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq
	if last < r.read {
		r.read, r.have = 0, nil // another stream of that name
	}
	for ; r.read < last; r.read++ {
		msg, err := stream.GetMsg(r.t.Context(), r.read+1)
		if err != nil {
			r.t.Fatal(err)
		}
		record, err := wire.ParseRecord(msg.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := record.Verify(r.publicKey()); err != nil {
			r.t.Fatal(err)
		}
		r.have = append(r.have, record)
	}
	return r.have
}

func (r *rig) publicKey() ed25519.PublicKey { return r.keys.Evidence.Public().(ed25519.PublicKey) }

// wait polls until done, for as long as a test may.
func (r *rig) wait(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(deadline); !done(); {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s; log:\n%s", what, r.log)
		}
		select {
		case <-r.t.Context().Done():
			r.t.Fatal("the test is over")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// outcomes waits for n outcomes of a job and returns them.
func (r *rig) outcomes(jobID string, n int) []*habeasv1.OutcomeRecord {
	r.t.Helper()
	var have []*habeasv1.OutcomeRecord
	r.wait("the outcome of "+jobID, func() bool {
		have = nil
		for _, record := range r.records() {
			if o, ok := record.Predicate.(*habeasv1.OutcomeRecord); ok && o.GetJobId() == jobID {
				have = append(have, o)
			}
		}
		return len(have) >= n
	})
	return have
}

func (r *rig) outcome(jobID string) *habeasv1.OutcomeRecord { return r.outcomes(jobID, 1)[0] }

// do sends one job and returns its outcome.
func (r *rig) do(j *habeasv1.Job) *habeasv1.Outcome {
	r.t.Helper()
	r.send(j)
	return r.outcome(j.GetJobId()).GetOutcome()
}

// drained waits until the job stream is empty: every job is acknowledged.
func (r *rig) drained() {
	r.t.Helper()
	r.wait("the job stream to be empty", func() bool {
		stream, err := r.js.Stream(r.t.Context(), wire.StreamJobs)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
}

// wantNoTrace fails unless the values are nowhere on the bus nor in the log.
func (r *rig) wantNoTrace(values ...string) {
	r.t.Helper()
	texts := []string{r.log.String()}
	for _, record := range r.records() {
		texts = append(texts, prototext.Format(record.Predicate))
	}
	for _, text := range texts {
		for _, v := range values {
			if strings.Contains(strings.ToLower(text), strings.ToLower(v)) {
				r.t.Errorf("an identifier is in a log line or a record")
			}
		}
	}
}
