package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/keyring"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

const (
	maxBatch      = 1024     // records in one transaction
	maxBatchBytes = 16 << 20 // and their bytes
	maxWaiting    = 4096     // records held back for a key or for other records
	recheck       = 250 * time.Millisecond

	// A record whose key is not on record is set aside after this many
	// deliveries; it is taken up again when the key arrives.
	keyDeliveries = 4
	// A closure waits longer: the records it names are on their way. At 30
	// seconds a delivery this is an hour.
	closureDeliveries = 120
)

// worker takes records off the bus for one session of the log.
type worker struct {
	room   *Room
	ledger *ledger.Log
	keys   *keyring.Ring
	// keysRead is the leaf up to which key records were learnt.
	keysRead int64
	// waiting are records held back, by digest; their messages are not
	// acknowledged.
	waiting   map[[sha256.Size]byte]*item
	announces chan announcement
}

// item is one message on its way into the log.
type item struct {
	msg     jetstream.Msg // nil for a record that was set aside earlier
	subject string
	digest  [sha256.Size]byte
	rec     *wire.Record // nil when it does not parse
	refused *keyring.Refusal
	checked bool // the signature holds
	aside   bool // it was refused and is kept among the rejected
	// What a waiting record waits for: a leaf or a key.
	awaitsLeaf [sha256.Size]byte
	awaitsKey  string
}

func newWorker(r *Room, l *ledger.Log) *worker {
	authorities := append([]ed25519.PublicKey{r.config.Signer.Public()}, r.config.Authorities...)
	return &worker{
		room: r, ledger: l, keys: keyring.New(authorities), waiting: map[[sha256.Size]byte]*item{},
		announces: make(chan announcement, 4),
	}
}

// prepare learns the keys on record and puts the room's own there.
func (w *worker) prepare(ctx context.Context) error {
	if err := w.learnLogged(ctx); err != nil {
		return err
	}
	if w.keys.OnRecord(w.room.config.Signer.KeyID()) {
		return nil
	}
	rec, err := w.room.ownKey()
	if err != nil {
		return fmt.Errorf("signing the room's key record: %w", err)
	}
	if _, _, err := w.ledger.Append(ctx, []ledger.Record{toLedger(rec)}); err != nil {
		return err
	}
	w.room.markDirty()
	return w.learnLogged(ctx)
}

// learnLogged learns keys that became leaves since it was last called, by this
// process or another.
func (w *worker) learnLogged(ctx context.Context) error {
	return w.ledger.Leaves(ctx, ledger.Query{Type: string(wire.RecordKey), First: w.keysRead}, func(leaf ledger.Leaf) error {
		keys, err := learn(w.keys, leaf)
		if err != nil {
			return fmt.Errorf("key record at leaf %d: %w: %w", leaf.Number, ledger.ErrCorrupt, err)
		}
		w.keys, w.keysRead = keys, leaf.Number+1
		return nil
	})
}

// learn takes over a key record that is a leaf already. It is checked again:
// the database is not trusted with keys.
func learn(keys *keyring.Ring, leaf ledger.Leaf) (*keyring.Ring, error) {
	rec, err := wire.ParseRecord(leaf.Envelope)
	if err != nil {
		return nil, err
	}
	predicate, ok := rec.Predicate.(*habeasv1.KeyRecord)
	if !ok {
		return nil, fmt.Errorf("a %s record is kept as a key record", rec.Type)
	}
	if !keys.Authority(rec.KeyID) {
		// Of an authority that is not trusted any more: neither is the key.
		return keys, nil
	}
	if refused := keys.Vouched(rec); refused != nil {
		return nil, refused
	}
	next, refused := keys.With(predicate)
	if refused != nil {
		return nil, refused
	}
	return next, nil
}

// consume takes records off the bus until ctx ends or the log must stop. It
// subscribes again whenever the bus lost the subscription.
func (w *worker) consume(ctx context.Context) error {
	defer close(w.announces)
	defer w.giveBack()
	wait := newBackoff()
	for {
		err := w.subscription(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
		if needsPerson(err) {
			return err
		}
		w.room.fault("bus", err)
		if !wait.sleep(ctx) {
			return nil
		}
	}
}

// giveBack lets the bus deliver held records again at once.
func (w *worker) giveBack() {
	for _, it := range w.waiting {
		if it.msg != nil {
			w.dropped(it.msg.Nak())
		}
	}
}

// dropped notes that an answer to the bus was lost; the message comes again.
func (w *worker) dropped(err error) {
	if err != nil {
		w.room.logger.Debug("an answer to the bus was lost", "error", err)
	}
}

func (w *worker) subscription(ctx context.Context, wait *backoff) error {
	setup, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	consumer, err := w.room.config.JS.Consumer(setup, wire.StreamEvidence, wire.ConsumerAudit)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := wire.EnsureStreams(setup, w.room.config.JS, w.room.config.Streams); err != nil {
			return err
		}
		consumer, err = w.room.config.JS.Consumer(setup, wire.StreamEvidence, wire.ConsumerAudit)
	}
	if err != nil {
		return fmt.Errorf("finding consumer %s: %w", wire.ConsumerAudit, err)
	}
	messages, lost := make(chan jetstream.Msg, maxBatch), make(chan error, 1)
	stopped := make(chan struct{})
	subscription, err := consumer.Consume(func(m jetstream.Msg) {
		select {
		case messages <- m:
		case <-stopped: // it was not acknowledged and comes again
			w.dropped(m.Nak())
		}
	}, jetstream.PullMaxMessagesWithBytesLimit(2*maxBatch, maxBatchBytes), jetstream.PullExpiry(10*time.Second),
		jetstream.PullHeartbeat(3*time.Second), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			select {
			case lost <- err:
			default:
			}
		}))
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", wire.StreamEvidence, err)
	}
	defer func() {
		close(stopped)
		subscription.Stop()
		<-subscription.Closed()
		for len(messages) > 0 {
			w.dropped((<-messages).Nak())
		}
	}()
	w.room.fault("bus", nil)
	wait.reset()
	return w.pump(ctx, consumer, messages, lost, subscription.Closed())
}

// pump gathers what is there into batches; it waits for the first message of a
// batch and for no other.
func (w *worker) pump(ctx context.Context, consumer jetstream.Consumer, messages <-chan jetstream.Msg, lost <-chan error, closed <-chan struct{}) error {
	ticker := time.NewTicker(recheck)
	defer ticker.Stop()
	for {
		var tick <-chan time.Time
		if len(w.waiting) > 0 {
			tick = ticker.C
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			err = w.handle(ctx, gather(m, messages))
		case <-tick:
			err = w.handle(ctx, w.takeWaiting(func(*item) bool { return true }))
		case err = <-lost:
			err = w.stillThere(ctx, consumer, err)
		case <-closed:
			return errors.New("the bus ended the subscription")
		}
		if err != nil {
			return err
		}
	}
}

// stillThere tells a hiccup of the subscription from the loss of its consumer.
func (w *worker) stillThere(ctx context.Context, consumer jetstream.Consumer, cause error) error {
	check, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := consumer.Info(check); err != nil {
		return fmt.Errorf("reading stream %s: %w", wire.StreamEvidence, errors.Join(cause, err))
	}
	return nil
}

func gather(first jetstream.Msg, messages <-chan jetstream.Msg) []*item {
	batch, size := []*item{newItem(first)}, len(first.Data())
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case m := <-messages:
			batch, size = append(batch, newItem(m)), size+len(m.Data())
		default:
			return batch
		}
	}
	return batch
}

func newItem(m jetstream.Msg) *item { return &item{msg: m, subject: m.Subject()} }

// takeWaiting takes those held records back for which pick is true.
func (w *worker) takeWaiting(pick func(*item) bool) []*item {
	var taken []*item
	for digest, it := range w.waiting {
		if pick(it) {
			taken = append(taken, it)
			delete(w.waiting, digest)
		}
	}
	// In the order of the log, as far as their signers' clocks agree.
	slices.SortFunc(taken, func(a, b *item) int {
		return a.rec.Predicate.GetOrigin().GetTime().AsTime().Compare(b.rec.Predicate.GetOrigin().GetTime().AsTime())
	})
	return taken
}
