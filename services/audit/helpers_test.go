package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/internal/pgtest"
)

// scene is an audit room at work, and those who speak to it.
type scene struct {
	t           *testing.T
	bus         *wiretest.Bus
	config      Config
	room        *Room
	api         *auditapi.Client
	coordinator *wire.Signer
	crm         *wire.Signer // its key is not on record yet
	logged      chan *habeasv1.LoggedRecord
	deaf        func() // ends what listen began
}

func eachDatabase(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.New(t)) })
}

func newSigner(t *testing.T, issuer string) *wire.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewSigner(key, issuer, issuer+"-1", "v0", "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newScene starts a room. ackWait is how soon the bus delivers a record again.
func newScene(t *testing.T, dsn string, ackWait time.Duration) *scene {
	t.Helper()
	s := prepareScene(t, dsn, ackWait)
	s.room = s.start(s.config)
	s.ready(s.room)
	s.serve()
	return s
}

// serve lets the test read from the room.
func (s *scene) serve() {
	server := httptest.NewServer(s.room.Handler())
	s.t.Cleanup(server.Close)
	s.api = &auditapi.Client{URL: server.URL}
}

// prepareScene is newScene without a room at work.
func prepareScene(t *testing.T, dsn string, ackWait time.Duration) *scene {
	t.Helper()
	s := &scene{t: t, bus: wiretest.New(t), coordinator: newSigner(t, "coordinator"), crm: newSigner(t, "crm"),
		logged: make(chan *habeasv1.LoggedRecord, 10_000)}
	if err := Migrate(t.Context(), dsn, "up"); err != nil {
		t.Fatal(err)
	}
	s.config = Config{
		JS: s.bus.JS, Streams: wire.StreamOptions{AckWait: ackWait}, DSN: dsn, StateDir: t.TempDir(), Origin: "habeas.example/log",
		Authorities: []ed25519.PublicKey{s.coordinator.Public()}, Signer: newSigner(t, "audit"),
		CheckpointEvery: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if err := wire.EnsureStreams(t.Context(), s.bus.JS, s.config.Streams); err != nil {
		t.Fatal(err)
	}
	s.listen()
	return s
}

// start runs a room until the test ends.
func (s *scene) start(config Config) *Room {
	s.t.Helper()
	room, stop := s.startUntil(config)
	s.t.Cleanup(stop)
	return room
}

// startUntil runs a room until it is stopped.
func (s *scene) startUntil(config Config) (*Room, func()) {
	s.t.Helper()
	room, err := New(config)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- room.Run(ctx) }()
	return room, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *scene) ready(room *Room) {
	s.t.Helper()
	s.eventually("the room is ready", func() bool { return room.Ready() == nil })
}

// eventually waits for a condition that only other goroutines can bring about.
func (s *scene) eventually(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			s.t.Fatalf("not within 60 s: %s", what)
		case <-tick.C:
		}
	}
}

// listen passes every leaf the room tells of on to s.logged.
func (s *scene) listen() {
	s.t.Helper()
	consumer, err := s.bus.JS.Consumer(s.t.Context(), wire.StreamEvents, wire.ConsumerCoordinatorLogged)
	if err != nil {
		s.t.Fatal(err)
	}
	subscription, err := consumer.Consume(func(m jetstream.Msg) {
		l, err := wire.ParseLogged(m.Headers(), m.Data())
		if err != nil {
			s.t.Error(err)
			return
		}
		for _, r := range l.GetRecords() {
			s.logged <- r
		}
		if err := m.Ack(); err != nil {
			s.t.Log(err)
		}
	}, jetstream.PullHeartbeat(time.Second), jetstream.PullExpiry(3*time.Second)) // or a request that was lost is missed after 30 s
	if err != nil {
		s.t.Fatal(err)
	}
	s.deaf = subscription.Stop
	s.t.Cleanup(subscription.Stop)
}

func (s *scene) sign(by *wire.Signer, p wire.Predicate, request string) *wire.Record {
	s.t.Helper()
	rec, err := by.Sign(p, request, make([]byte, 32))
	if err != nil {
		s.t.Fatal(err)
	}
	return rec
}

// keyOf is the record that puts a signer's key on record.
func (s *scene) keyOf(signer *wire.Signer, edit func(*habeasv1.KeyRecord)) *wire.Record {
	s.t.Helper()
	k := &habeasv1.KeyRecord{Owner: signer.Issuer(), PublicKey: wire.PublicDER(signer.Public()), Fingerprint: signer.KeyID(),
		NotBeforeTime: timestamppb.Now()}
	if edit != nil {
		edit(k)
	}
	return s.sign(s.coordinator, k, "")
}

func (s *scene) outcome(request, job string) *wire.Record {
	s.t.Helper()
	return s.sign(s.crm, &habeasv1.OutcomeRecord{RequestId: request, JobId: job, Action: habeasv1.Action_ACTION_ERASE, Attempt: 1,
		Outcome: &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}}}, request)
}

func (s *scene) publish(records ...*wire.Record) {
	s.t.Helper()
	for _, rec := range records {
		if _, err := s.bus.JS.PublishMsg(s.t.Context(), wire.RecordMessage(rec)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// publishAs publishes bytes on an issuer's subject, whatever they are.
func (s *scene) publishAs(issuer string, envelope []byte) {
	s.t.Helper()
	if _, err := s.bus.JS.Publish(s.t.Context(), wire.EvidenceSubject(issuer), envelope); err != nil {
		s.t.Fatal(err)
	}
}

// wantLogged waits until the room told of all the records and returns leaves.
func (s *scene) wantLogged(records ...*wire.Record) []int64 {
	s.t.Helper()
	want := map[[sha256.Size]byte]int{}
	for i, rec := range records {
		want[rec.Digest] = i
	}
	leaves := make([]int64, len(records))
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	for len(want) > 0 {
		select {
		case r := <-s.logged:
			if i, ok := want[[sha256.Size]byte(r.GetDigest())]; ok {
				leaves[i] = r.GetLeaf()
				delete(want, records[i].Digest)
			}
		case <-deadline.C:
			s.t.Fatalf("not told of %d of %d records within 60 s", len(want), len(records))
		}
	}
	return leaves
}

// rejected lists what was refused, by digest.
func (s *scene) rejected() map[[sha256.Size]byte]auditapi.Rejected {
	s.t.Helper()
	found := map[[sha256.Size]byte]auditapi.Rejected{}
	err := s.api.Rejected(s.t.Context(), func(l auditapi.Line) error {
		found[[sha256.Size]byte(l.Rejected.Digest)] = *l.Rejected
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}
