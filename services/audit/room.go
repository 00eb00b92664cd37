package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// DefaultOrigin names the log of a deployment that chose no name.
const DefaultOrigin = "habeas.local/log"

// Config is what the room needs.
type Config struct {
	// JS is the bus. Required.
	JS jetstream.JetStream
	// Streams are the deployment's choices about streams; the room makes them
	// again when the broker lost them.
	Streams wire.StreamOptions
	// DSN is the log's database, "postgres://…" or "sqlite:PATH". Required;
	// its tables are made by [Migrate].
	DSN string
	// StateDir keeps the log's key and its last signed head. It must not be
	// restored together with the database. Required.
	StateDir string
	// Origin is the log's name; empty means DefaultOrigin. A log never changes
	// its name.
	Origin string
	// Authorities are the evidence keys of the rooms. They may sign any type of
	// record, and the key records by which all other keys are learnt. The key
	// of Signer is one of them without being listed.
	Authorities []ed25519.PublicKey
	// Signer signs the room's own records. Required.
	Signer *wire.Signer
	// Token, when set, is the bearer token that readers of envelopes need.
	// Checkpoints and tiles are public in any case.
	Token string
	// AcceptLostGuard begins to guard the database as it is when the state
	// folder and the bus both lost the last signed head.
	AcceptLostGuard bool
	// CheckpointEvery is the least time between two checkpoints; 0 means 1 s.
	CheckpointEvery time.Duration
	// Policy names the witnesses that cosign the log's heads, each with its
	// address, and says which of them are a quorum; nil means none.
	Policy *cosign.Policy
	// WitnessTimeout is how long a witness may take to answer; 0 means 10 s.
	WitnessTimeout time.Duration
	// Logger takes the room's log; nil means slog.Default().
	Logger *slog.Logger
}

// Room is the audit room. Make one with [New].
type Room struct {
	config  Config
	logger  *slog.Logger
	signer  note.Signer
	vkey    string
	metrics *metrics
	dirty   chan struct{} // leaves were appended that no checkpoint covers
	// witnesses is nil when there is no policy.
	witnesses *witnesses

	mu     sync.RWMutex // guards what follows
	ledger *ledger.Log  // nil until the database was held against its guards
	faults map[string]error
}

// New checks the configuration and makes the log's key on the first start. It
// does not touch the database or the bus.
func New(config Config) (*Room, error) {
	switch {
	case config.JS == nil:
		return nil, errors.New("audit: JS is required")
	case config.DSN == "":
		return nil, errors.New(`audit: DSN is required: "postgres://…" or "sqlite:PATH"`)
	case config.StateDir == "":
		return nil, errors.New("audit: StateDir is required")
	case config.Signer == nil:
		return nil, errors.New("audit: Signer is required")
	}
	for i, key := range config.Authorities {
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("audit: Authorities[%d] is not an Ed25519 public key", i)
		}
	}
	if config.Origin == "" {
		config.Origin = DefaultOrigin
	}
	if config.CheckpointEvery <= 0 {
		config.CheckpointEvery = time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	signer, vkey, err := ledger.LoadKey(config.StateDir, config.Origin)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	m, err := newMetrics()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	r := &Room{
		config: config, logger: config.Logger.With("room", "audit"), signer: signer, vkey: vkey, metrics: m,
		dirty: make(chan struct{}, 1), faults: map[string]error{"log": errors.New("the log is not open yet")},
	}
	if r.witnesses, err = newWitnesses(r); err != nil {
		return nil, err
	}
	return r, nil
}

// Migrate makes ("up"), brings up to date or removes ("down") the room's
// tables at dsn.
func Migrate(ctx context.Context, dsn, direction string) error {
	return ledger.Migrate(ctx, dsn, ledger.Direction(direction))
}

// VerifierKey is the log's public key in note format.
func (r *Room) VerifierKey() string { return r.vkey }

// Ready returns nil while the room does all it is there for, else what it
// can't do and why.
func (r *Room) Ready() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []error
	for _, part := range []string{"log", "bus", "append", "announce", "checkpoint"} {
		if err := r.faults[part]; err != nil {
			all = append(all, fmt.Errorf("audit: %s: %w", part, err))
		}
	}
	return errors.Join(all...)
}

// fault notes that a part of the room works (nil) or not, and logs a change.
func (r *Room) fault(part string, err error) {
	r.mu.Lock()
	before := r.faults[part]
	r.faults[part] = err
	r.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		r.logger.Error("audit can't go on", "part", part, "error", err)
	case err == nil && before != nil:
		r.logger.Info("audit goes on", "part", part)
	}
}

func (r *Room) log() (*ledger.Log, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.ledger == nil {
		return nil, fmt.Errorf("the log is not open: %w", r.faults["log"])
	}
	return r.ledger, nil
}

// needsPerson reports whether err means that going on could fork the log.
func needsPerson(err error) bool {
	for _, stop := range []error{ledger.ErrRolledBack, ledger.ErrForked, ledger.ErrGuardLost, ledger.ErrKey, ledger.ErrCorrupt} {
		if errors.Is(err, stop) {
			return true
		}
	}
	return false
}

// Run does the room's work until ctx ends; it then returns nil. A database or
// bus that is away, or a log that was refused, is waited for and shown by
// Ready: a restored database is taken up without a restart.
func (r *Room) Run(ctx context.Context) error {
	wait := newBackoff()
	for ctx.Err() == nil {
		err := r.session(ctx, wait)
		if ctx.Err() != nil {
			break
		}
		r.metrics.history(ctx, err)
		r.fault("log", err)
		if !wait.sleep(ctx) {
			break
		}
	}
	return nil
}

// session opens the log and works on it until it fails.
func (r *Room) session(ctx context.Context, wait *backoff) (err error) {
	heads := []ledger.Head{ledger.FileHead(r.config.StateDir), ledger.KVHead(r.config.JS, r.config.Origin, r.config.Streams.Replicas)}
	l, err := ledger.Open(ctx, r.config.DSN, ledger.Options{
		Signer: r.signer, VerifierKey: r.vkey, Heads: heads, AcceptLostGuard: r.config.AcceptLostGuard,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if r.witnesses != nil {
		if err := r.witnesses.begin(ctx, l); err != nil {
			return err
		}
	}
	w := newWorker(r, l)
	if err := w.prepare(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	r.ledger = l
	r.mu.Unlock()
	r.metrics.history(ctx, nil)
	r.fault("log", nil)
	wait.reset()
	defer func() {
		r.mu.Lock()
		r.ledger = nil
		r.mu.Unlock()
	}()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	work := []func(context.Context) error{w.consume, w.announceLoop, func(ctx context.Context) error { return r.checkpointLoop(ctx, l) }}
	if r.witnesses != nil {
		work = append(work, func(ctx context.Context) error { return r.witnesses.run(ctx, l) })
	}
	for _, part := range work {
		parts.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err)
			}
		})
	}
	parts.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return errors.New("the log was closed")
}

// checkpointLoop signs a head soon after leaves were appended, and no more
// often than the configuration says.
func (r *Room) checkpointLoop(ctx context.Context, l *ledger.Log) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.dirty:
		}
		head, err := l.Checkpoint(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case needsPerson(err):
			return err
		case err != nil:
			r.markDirty()
		default:
			r.metrics.signed(ctx, head.Size)
			r.publish(head)
		}
		r.fault("checkpoint", err)
		if !sleep(ctx, r.config.CheckpointEvery) {
			return nil
		}
	}
}

// publish has the witnesses cosign a head, and does not wait for them.
func (r *Room) publish(head ledger.SignedHead) {
	if r.witnesses != nil {
		r.witnesses.publish(head)
	}
}

func (r *Room) markDirty() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// EraseEnvelopes destroys the envelopes of leaves first to last under the
// named rule and logs a retention record of it in the same transaction. Proofs
// of those leaves stay valid. Key and retention records are kept. It returns
// how many envelopes went.
func (r *Room) EraseEnvelopes(ctx context.Context, first, last int64, rule string) (int64, error) {
	l, err := r.log()
	if err != nil {
		return 0, err
	}
	if rule == "" {
		return 0, errors.New("erasing envelopes: the rule is required")
	}
	count, err := l.Erase(ctx, first, last, r.retention(first, last, rule))
	if err == nil && count > 0 {
		r.markDirty()
	}
	return count, err
}
