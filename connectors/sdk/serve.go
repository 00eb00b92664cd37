package sdk

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// ServeConfig is what [Serve] needs. Zero durations and numbers mean the
// defaults given.
type ServeConfig struct {
	// Conn is the connection to the bus, with the inbox prefix that the
	// connector's user is allowed ("_INBOX_<name>"). Serve does not close it.
	Conn *nats.Conn
	// Manifest and Connector are what to serve.
	Manifest  Manifest
	Connector Connector
	// Keys open subjects and sign records; see [LoadKeys].
	Keys Keys
	// StateDir holds the journal.
	StateDir string
	// CoordinatorKey, when set, is the only public curve key jobs may be
	// sealed by.
	CoordinatorKey string
	// MatchKey is the only public curve key questions about a person's claims
	// may come from; without one they are not answered.
	MatchKey string
	// DeskKey is the only public curve key that a [Desked] connector's tasks are
	// shown to and changed by; without one nobody sees them.
	DeskKey string
	// ListKey is the only public curve key that may ask a [Lister] whom its system
	// holds; without one nobody may.
	ListKey string
	// Cap overrides the manifest's when it is not 0.
	Cap int64
	// Concurrency is how many calls the connector is given at once; 16.
	Concurrency int
	// InHand is how many jobs are taken off the bus at once; 256, or twice the
	// batch size when that is more.
	InHand int
	// RetryFor is how long one delivery goes on after errors worth retrying;
	// 1 minute. The coordinator sends the job again later.
	RetryFor time.Duration
	// CallTimeout bounds one call of the connector; 15 minutes.
	CallTimeout time.Duration
	// Grace is how long the work in hand may go on when ctx has ended; 10 s.
	Grace time.Duration
	// Beat is how often the manifest is published; 5 s.
	Beat time.Duration
	// JournalAge is how long what was located before an act is remembered; 14
	// days, as long as evidence stays on the bus.
	JournalAge time.Duration
	// DriftEvery is how often a [DriftChecker] is asked; 6 hours.
	DriftEvery time.Duration
	// Logger takes what an operator should know.
	Logger *slog.Logger
	// OnReady, when set, is called each time the connector has published its
	// manifest and found its consumer.
	OnReady func()
}

const maxBatch = 1 << 16

func (c ServeConfig) withDefaults() ServeConfig {
	number := func(have *int, otherwise int) {
		if *have <= 0 {
			*have = otherwise
		}
	}
	duration := func(have *time.Duration, otherwise time.Duration) {
		if *have <= 0 {
			*have = otherwise
		}
	}
	number(&c.Concurrency, 16)
	number(&c.InHand, max(256, 2*min(c.Manifest.BatchSize, 1024)))
	duration(&c.RetryFor, time.Minute)
	duration(&c.CallTimeout, 15*time.Minute)
	duration(&c.Grace, 10*time.Second)
	duration(&c.Beat, 5*time.Second)
	duration(&c.JournalAge, 14*24*time.Hour)
	duration(&c.DriftEvery, driftEvery)
	if c.Cap <= 0 {
		c.Cap = c.Manifest.Cap
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnReady == nil {
		c.OnReady = func() {}
	}
	return c
}

// worker serves one connector.
type worker struct {
	ServeConfig
	js        jetstream.JetStream
	instance  string
	started   time.Time
	digest    string
	signers   sync.Map // tenant -> *wire.Signer
	journal   *journal
	hand      *hand
	withdrawn withdrawn
	slots     chan struct{}
	gatherer  *gatherer // nil without batching
	exports   exportStore
	telemetry *telemetry
	activity  activity
	drift     atomic.Pointer[habeasv1.Drift]
	// bus and system say whether either answered last.
	bus, system atomic.Bool
}

// Serve takes jobs for the connector until ctx ends, then finishes the work in
// hand or hands it back, and returns nil. It returns an error only for a
// configuration it can't work with; a bus or a system that is away is waited
// for.
func Serve(ctx context.Context, cfg ServeConfig) error {
	w, err := newWorker(cfg)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

func newWorker(cfg ServeConfig) (*worker, error) {
	if err := cfg.Manifest.Validate(); err != nil {
		return nil, err
	}
	if cfg.Conn == nil || cfg.Connector == nil || cfg.Keys.Evidence == nil || cfg.Keys.Seal.Public() == "" || cfg.StateDir == "" {
		return nil, errors.New("serving: Conn, Connector, Keys and StateDir are required")
	}
	cfg = cfg.withDefaults()
	w := &worker{
		ServeConfig: cfg, instance: nuid.Next(), started: time.Now(), digest: ManifestDigest(cfg.Manifest, cfg.Connector),
		hand: newHand(cfg.InHand), slots: make(chan struct{}, cfg.Concurrency),
	}
	w.system.Store(true)
	var err error
	if w.js, err = jetstream.New(cfg.Conn, jetstream.WithPublishAsyncMaxPending(4000), jetstream.WithPublishAsyncTimeout(publishTimeout)); err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	if _, err := w.signer(""); err != nil {
		return nil, err
	}
	if w.journal, err = openJournal(cfg.StateDir); err != nil {
		return nil, err
	}
	if w.telemetry, err = newTelemetry(cfg.Manifest.Name, abilities(cfg.Connector), w.hand.len); err != nil {
		return nil, err
	}
	if l, ok := cfg.Connector.(BatchLocator); ok && cfg.Manifest.BatchSize > 1 {
		w.gatherer = newGatherer(w, l)
	}
	return w, nil
}

// signer returns the signer of records for one tenant.
func (w *worker) signer(tenant string) (*wire.Signer, error) {
	if s, ok := w.signers.Load(tenant); ok {
		return s.(*wire.Signer), nil
	}
	s, err := wire.NewSigner(w.Keys.Evidence, w.Manifest.Name, w.instance, w.Manifest.Version, tenant)
	if err != nil {
		return nil, err
	}
	w.signers.Store(tenant, s)
	return s, nil
}

func (w *worker) signerKey() ed25519.PublicKey { return w.Keys.Evidence.Public().(ed25519.PublicKey) }

// run serves until ctx ends.
func (w *worker) run(ctx context.Context) error {
	// Work outlives ctx by the grace period; beats last as long as work does.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var background sync.WaitGroup
	background.Go(func() { w.beat(work, ctx.Done()) })
	background.Go(func() { w.hand.keepAlive(work) })
	background.Go(func() { w.watchDrift(work) })
	// The journal lasts longer still: jobs that are being stopped may wait for it.
	journal, stopJournal := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJournal()
	background.Go(func() { w.journal.run(journal) })
	background.Go(func() { w.journal.sweep(work, w.JournalAge, w.Logger) })

	stopMatches, err := w.answerMatches(ctx)
	if err != nil {
		w.Logger.Warn("questions about claims are not answered", "error", err)
		stopMatches = func() {}
	}
	stopDesk, err := w.answerDesk(ctx)
	if err != nil {
		w.Logger.Warn("questions about tasks are not answered", "error", err)
		stopDesk = func() {}
	}
	defer stopDesk()
	stopLists, err := w.answerLists(ctx)
	if err != nil {
		w.Logger.Warn("questions about people are not answered", "error", err)
		stopLists = func() {}
	}
	defer stopLists()
	stopListening := w.listenForWithdrawn()
	defer stopListening()

	w.consume(ctx, work)
	stopMatches()

	drained := make(chan struct{})
	go func() {
		w.hand.wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(w.Grace):
		w.Logger.Warn("handing unfinished jobs back", "jobs", w.hand.len())
	}
	stopWork()
	<-drained
	stopJournal()
	background.Wait()
	if err := w.Conn.FlushTimeout(time.Second); err != nil {
		w.Logger.Warn("the bus went away before the last acknowledgements; jobs will be delivered again", "error", err)
	}
	return nil
}

// consume takes jobs until ctx ends. A consumer that is not there yet, or not
// any more, is waited for: the coordinator makes it.
func (w *worker) consume(ctx, work context.Context) {
	pause, told := newPause(), false
	for ctx.Err() == nil {
		consumer, err := w.js.Consumer(ctx, wire.StreamJobs, wire.JobConsumer(w.Manifest.Name))
		if err == nil {
			w.hand.setAckWait(consumer.CachedInfo().Config.AckWait)
			w.bus.Store(true)
			w.OnReady()
			pause.Reset()
			told = false
			err = w.fetch(ctx, work, consumer)
		}
		if ctx.Err() != nil {
			return
		}
		w.bus.Store(false)
		if !told {
			w.Logger.Warn("waiting for the bus", "error", err)
			told = true
		}
		// Not for long: asking is cheap, and jobs may be there.
		sleep(ctx, min(pause.NextBackOff(), time.Second))
	}
}

// How long one request for jobs stays open at the server, and how often the
// server shows that it still has it.
const (
	fetchFor  = 20 * time.Second
	fetchBeat = 5 * time.Second
)

// fetch takes what is there, as much as there is room for, and gives each job
// its goroutine. It returns the bus's error.
func (w *worker) fetch(ctx, work context.Context, consumer jetstream.Consumer) error {
	for {
		room, err := w.hand.room(ctx)
		if err != nil {
			return err
		}
		open, cancel := context.WithTimeout(ctx, fetchFor)
		batch, err := consumer.Fetch(room, jetstream.FetchContext(open), jetstream.FetchHeartbeat(fetchBeat))
		if err != nil {
			cancel()
			return fmt.Errorf("asking for jobs: %w", err)
		}
		for msg := range batch.Messages() {
			if ctx.Err() != nil {
				w.settle(work, msg, handBack(0))
				continue
			}
			w.take(work, msg)
		}
		err = batch.Error()
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("taking jobs: %w", err)
		}
	}
}

// take starts work on one delivery.
func (w *worker) take(work context.Context, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		w.Logger.Error("a message without JetStream metadata", "error", err)
		return
	}
	held := w.hand.hold(meta, msg)
	if held == nil {
		return // delivered again while we work on it: the first delivery's ack counts for both
	}
	go func() {
		defer w.hand.release(deliveryOf(meta))
		w.settle(work, msg, w.handle(work, msg, held))
	}()
}

// verdict is what becomes of a delivery.
type verdict struct {
	again bool          // deliver it again
	after time.Duration // not before
	never bool          // it can't be worked on by anybody
	why   string        // for never
}

var finished = verdict{}

func handBack(after time.Duration) verdict { return verdict{again: true, after: after} }

func neverAgain(why string) verdict { return verdict{never: true, why: why} }

// settle tells the bus. When that fails the job is delivered again, which is
// harmless.
func (w *worker) settle(ctx context.Context, msg jetstream.Msg, v verdict) {
	var err error
	switch {
	case v.never:
		err = msg.TermWithReason(v.why)
	case v.again && v.after > 0:
		err = msg.NakWithDelay(v.after)
	case v.again:
		err = msg.Nak()
	default:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
		defer cancel()
		err = msg.DoubleAck(ctx)
	}
	if err != nil {
		w.Logger.Warn("telling the bus that a job is settled; it will be delivered again", "error", err)
	}
}
