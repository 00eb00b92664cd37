package standin

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// Reply is what a connector does about one job. The zero Reply answers done
// with one record, as the script of a connector that has none does.
type Reply struct {
	// Outcome is the answer; nil is done.
	Outcome *habeasv1.Outcome
	// Located is published before the answer when it is not 0.
	Located int64
	// Found are identifiers, published before the answer to a resolve job.
	Found []*habeasv1.Identifier
	// Silent acts and does not say so.
	Silent bool
}

// Done answers that n records were found and none is left.
func Done(n int64) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: []*habeasv1.StoreCount{{Store: "people", LocatedCount: n}}}
}

// NoMatch answers that nobody was found.
func NoMatch() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}}
}

// Failed answers with a failure.
func Failed(permanent bool) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "unavailable", Permanent: permanent, Message: "it is away"}}}
}

// Script describes a connector.
type Script struct {
	Name    string
	Digest  string
	Accepts []string
	Yields  []string
	After   []string
	Tier    habeasv1.Tier
	// Backups is how long its system's backups keep what was erased.
	Backups time.Duration
	// Retains are the bases its manifest declares.
	Retains []*habeasv1.Retention
	// Abilities are all but resolving when nil.
	Abilities []habeasv1.Action
	// Do answers a job; nil answers every job with the zero Reply. It is
	// called by one goroutine at a time.
	Do func(job *habeasv1.Job, who *habeasv1.Subject) Reply
	// Twice publishes every message twice, and outcomes before what belongs in
	// front of them.
	Twice bool
}

// Act is one job that was done.
type Act struct {
	Request, Job string
	Action       habeasv1.Action
	Attempt      int32
	Who          []string
	Digest       string
}

// Connector is a running connector.
type Connector struct {
	Script
	Seal     wire.SealKey
	Evidence ed25519.PrivateKey
	Signer   *wire.Signer

	t    testing.TB
	js   jetstream.JetStream
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	acts []Act
	// opened are the jobs whose subject could be opened, and unread why others could
	// not. A server whose stream is taken away in the middle of a delivery may spoil
	// what it delivers; such a job comes again, and one that never opens was sealed
	// wrong.
	opened map[string]bool
	unread map[string]error
}

// note takes down whether a job's subject could be opened.
func (c *Connector) note(jobID string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.opened[jobID] = true
		return
	}
	c.unread[jobID] = err
}

// wantOpened fails the test when a job could never be opened.
func (c *Connector) wantOpened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, err := range c.unread {
		if !c.opened[id] {
			c.t.Errorf("%s could never open job %s: %v", c.Name, id, err)
		}
	}
}

// Join starts a connector that works until the test ends or [Connector.Leave].
func Join(t testing.TB, js jetstream.JetStream, s Script) *Connector {
	t.Helper()
	c := New(t, js, s)
	c.Work()
	return c
}

// New makes a connector that has announced itself and does not work yet.
func New(t testing.TB, js jetstream.JetStream, s Script) *Connector {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &Connector{Script: s, Evidence: key, t: t, js: js, opened: map[string]bool{}, unread: map[string]error{}}
	t.Cleanup(c.wantOpened)
	if c.Digest == "" {
		c.Digest = "sha256:1"
	}
	if c.Signer, err = wire.NewSigner(key, s.Name, "standin", "1", ""); err != nil {
		t.Fatal(err)
	}
	if c.Seal, err = wire.NewSealKey(); err != nil {
		t.Fatal(err)
	}
	c.beat(t.Context())
	return c
}

// Work starts taking jobs.
func (c *Connector) Work() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.done.Go(func() {
		for ctx.Err() == nil {
			c.beat(ctx)
			pause(ctx, 200*time.Millisecond)
		}
	})
	c.done.Go(func() {
		for ctx.Err() == nil {
			if err := c.serve(ctx); err != nil {
				pause(ctx, 20*time.Millisecond)
			}
		}
	})
	c.t.Cleanup(c.Leave)
}

// Leave stops the connector. What it has in hand is not answered.
func (c *Connector) Leave() {
	if c.stop != nil {
		c.stop()
		c.done.Wait()
	}
}

// Acts returns what was done so far, in order.
func (c *Connector) Acts() []Act {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.acts)
}

// SetDigest makes the connector a changed one.
func (c *Connector) SetDigest(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Digest = digest
}

// Declare makes the connector one that may keep records on other bases.
func (c *Connector) Declare(digest string, retains ...*habeasv1.Retention) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Digest, c.Retains = digest, retains
}

func (c *Connector) retains() []*habeasv1.Retention {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Retains
}

func (c *Connector) digest() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Digest
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Manifest is what the connector announces.
func (c *Connector) Manifest() *habeasv1.Manifest {
	abilities := c.Abilities
	if abilities == nil {
		abilities = []habeasv1.Action{
			habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_EXPORT, habeasv1.Action_ACTION_ERASE, habeasv1.Action_ACTION_OPT_OUT,
			habeasv1.Action_ACTION_CORRECT, habeasv1.Action_ACTION_LIMIT,
		}
		if len(c.Yields) > 0 {
			abilities = append(abilities, habeasv1.Action_ACTION_RESOLVE)
		}
	}
	return &habeasv1.Manifest{
		Name: c.Name, Version: "1", Digest: c.digest(), Abilities: abilities, Accepts: c.Accepts, Yields: c.Yields,
		BackupExpiry: durationpb.New(c.Backups), After: c.After, Tier: c.Tier, Contract: contracts[c.Tier], Stores: []*habeasv1.Store{{Name: "people", Retentions: c.retains()}}, SealKey: c.Seal.Public(),
		EvidenceKey: wire.PublicDER(c.Evidence.Public().(ed25519.PublicKey)), Instance: "standin", BeatTime: timestamppb.Now(), Ready: true,
	}
}

// beat announces the connector; a bus that is away is told next time.
func (c *Connector) beat(ctx context.Context) {
	kv, err := c.js.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return
	}
	body, err := proto.Marshal(c.Manifest())
	if err != nil {
		c.t.Errorf("announcing %s: %v", c.Name, err)
		return
	}
	_, _ = kv.Put(ctx, c.Name, body) // see above
}

func (c *Connector) serve(ctx context.Context) error {
	consumer, err := c.js.Consumer(ctx, wire.StreamJobs, wire.JobConsumer(c.Name))
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(256, jetstream.FetchMaxWait(200*time.Millisecond))
		if err != nil {
			return err
		}
		for msg := range batch.Messages() {
			if ctx.Err() == nil {
				c.handle(ctx, msg)
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if _, err := consumer.Info(ctx); err != nil {
			return err // it is gone
		}
	}
	return nil
}

func (c *Connector) handle(ctx context.Context, msg jetstream.Msg) {
	job, err := wire.ParseJob(msg.Headers(), msg.Data())
	if err != nil {
		c.t.Errorf("%s was sent what is no job: %v", c.Name, err)
		return
	}
	who, err := c.Seal.OpenSubject(job.GetSealedSubject(), job.GetSealerKey(), job.GetJobId())
	if c.note(job.GetJobId(), err); err != nil {
		return
	}
	reply := Reply{Located: 1}
	if job.GetManifestDigest() != c.digest() {
		reply.Outcome = &habeasv1.Outcome{Result: &habeasv1.Outcome_PlanChanged{PlanChanged: &habeasv1.PlanChanged{ManifestDigest: c.digest()}}}
	} else {
		if c.Do != nil {
			reply = c.Do(job, who)
		}
		c.remember(job, who)
	}
	if ctx.Err() != nil {
		return
	}
	if reply.Silent || c.reply(ctx, job, reply) {
		_ = msg.Ack() // delivered again otherwise
	}
}

func (c *Connector) remember(job *habeasv1.Job, who *habeasv1.Subject) {
	act := Act{Request: job.GetRequestId(), Job: job.GetJobId(), Action: job.GetAction(), Attempt: job.GetAttempt(), Digest: job.GetManifestDigest()}
	for _, id := range who.GetIdentifiers() {
		act.Who = append(act.Who, id.GetKind()+"="+id.GetValue())
	}
	slices.Sort(act.Who)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acts = append(c.acts, act)
}

// reply publishes all that a reply consists of. It reports whether the bus has
// it.
func (c *Connector) reply(ctx context.Context, job *habeasv1.Job, r Reply) bool {
	var messages []*nats.Msg
	if r.Located > 0 {
		messages = append(messages, c.Record(&habeasv1.LocatedRecord{
			RequestId: job.GetRequestId(), JobId: job.GetJobId(), Action: job.GetAction(), Attempt: job.GetAttempt(),
			Stores: []*habeasv1.StoreCount{{Store: "people", LocatedCount: r.Located}}, SubjectCommitment: job.GetSubjectCommitment(), PlanDigest: job.GetPlanDigest(),
		}))
	}
	if r.Found != nil {
		messages = append(messages, c.Discovered(job, r.Found))
	}
	messages = append(messages, c.Record(c.OutcomeRecord(job, r.Outcome)))
	if c.Twice {
		slices.Reverse(messages)
		messages = append(messages, messages...)
	}
	for _, m := range messages {
		if c.Twice {
			m.Header.Del(nats.MsgIdHdr)
		}
		if _, err := c.js.PublishMsg(ctx, m); err != nil {
			return false
		}
	}
	return true
}

// OutcomeRecord is the answer to a job, not signed yet. A nil outcome is done.
func (c *Connector) OutcomeRecord(job *habeasv1.Job, o *habeasv1.Outcome) *habeasv1.OutcomeRecord {
	if o == nil {
		o = Done(1)
	}
	return &habeasv1.OutcomeRecord{
		RequestId: job.GetRequestId(), JobId: job.GetJobId(), Action: job.GetAction(), Attempt: job.GetAttempt(), Outcome: o,
		SubjectCommitment: job.GetSubjectCommitment(), PlanDigest: job.GetPlanDigest(), ManifestDigest: c.digest(),
		StartTime: timestamppb.Now(), EndTime: timestamppb.Now(),
	}
}

// Record signs a predicate and makes its message.
func (c *Connector) Record(p wire.Predicate) *nats.Msg {
	rec, err := c.Signer.Sign(p, p.(interface{ GetRequestId() string }).GetRequestId(), nil)
	if err != nil {
		panic(fmt.Sprintf("signing for %s: %v", c.Name, err)) // a test's own mistake
	}
	return wire.RecordMessage(rec)
}

// Discovered seals what was found to whoever sealed the job.
func (c *Connector) Discovered(job *habeasv1.Job, found []*habeasv1.Identifier) *nats.Msg {
	sealed, err := c.Seal.SealSubject(&habeasv1.Subject{JobId: job.GetJobId(), Identifiers: found}, job.GetSealerKey())
	if err != nil {
		panic(fmt.Sprintf("sealing for %s: %v", c.Name, err)) // a test's own mistake
	}
	msg, err := wire.DiscoveredMessage(&habeasv1.Discovered{
		JobId: job.GetJobId(), RequestId: job.GetRequestId(), Connector: c.Name, SealedSubject: sealed, SealerKey: c.Seal.Public(),
	})
	if err != nil {
		panic(fmt.Sprintf("telling for %s: %v", c.Name, err)) // a test's own mistake
	}
	return msg
}

// contracts are what a stand-in names by its tier: a third party has one.
var contracts = map[habeasv1.Tier]string{habeasv1.Tier_TIER_THIRD_PARTY: "TPA-1"}
