package coordinator

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// Name is the room's name on the bus and in evidence.
const Name = "coordinator"

// Config is what a coordinator needs. All fields without a default are
// required.
type Config struct {
	Store store.Store
	Conn  *nats.Conn
	JS    jetstream.JetStream
	Vault *vault.Vault
	// Signer signs plans, closures and the keys of others.
	Signer *wire.Signer
	// SealKey seals subjects to connectors and opens what they discover.
	SealKey wire.SealKey
	// ExportRecipient is delivery's public age key.
	ExportRecipient string
	// RoomKeys are the evidence keys of the rooms, by name; they are put on
	// record at the start.
	RoomKeys map[string]ed25519.PublicKey
	Streams  wire.StreamOptions
	// Ledger knows who got which data and has to be told of a deletion or an
	// opt-out; nil is a company that gives data to nobody.
	Ledger *disclosure.Ledger
	// Bases hold what connectors keep against the law of the day; nil holds
	// nothing against anything.
	Bases  *tenant.Bases
	Rules  Rules
	Logger *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Room is a running coordinator.
type Room struct {
	Config
	connectors registry
	// suppression is who is to stay erased or opted out.
	suppression suppression.List
	keys        keyring
	planning    chan struct{}
	hinted      chan []request.ID
	logged      digestRing
	held        heldBack
	counters    counters

	// heard is closed once everything was read that connectors had announced.
	heard     chan struct{}
	heardOnce sync.Once

	// reconsider is set when connectors came or changed, for requests that
	// nobody could be asked for.
	reconsider atomic.Bool
	background sync.WaitGroup
	sweeper    sweeper
	// every is how often the sweeper looks.
	every time.Duration

	mu sync.Mutex
	// lost and paused are read anew by each sweep; neither map is ever changed.
	lost, paused map[string]bool
	err          error
}

// New makes a coordinator; [Room.Run] starts it.
func New(c Config) (*Room, error) {
	c.Rules = c.Rules.withDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Room{Config: c, planning: make(chan struct{}, 1), hinted: make(chan []request.ID, 1024), heard: make(chan struct{}), every: time.Second, err: errors.New("starting")}
	r.suppression = suppression.List{Store: c.Store, Vault: c.Vault}
	return r, r.counters.init()
}

type counters struct {
	published, collected, rejected, resent metric.Int64Counter
}

func (c *counters) init() error {
	m := otel.Meter("habeas/coordinator")
	var errs [4]error
	c.published, errs[0] = m.Int64Counter("habeas.coordinator.published", metric.WithDescription("Messages published, by kind."))
	c.collected, errs[1] = m.Int64Counter("habeas.coordinator.collected", metric.WithDescription("Records of connectors taken in."))
	c.rejected, errs[2] = m.Int64Counter("habeas.coordinator.rejected", metric.WithDescription("Messages refused: malformed, unsigned or for another's job."))
	c.resent, errs[3] = m.Int64Counter("habeas.coordinator.resent", metric.WithDescription("Jobs and records sent again by the sweeper."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	// A counter that appears at 1 has not risen, for who watches how it rises: each
	// stands at 0 from the beginning.
	ctx := context.Background()
	c.published.Add(ctx, 0)
	c.resent.Add(ctx, 0)
	for _, why := range refusals {
		c.rejected.Add(ctx, 0, why.option())
	}
	return nil
}

// Ready reports why the coordinator can't work, or nil.
func (r *Room) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Room) setReady(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Run works until ctx is cancelled.
func (r *Room) Run(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was stopped before it had begun
		}
		return fmt.Errorf("starting the coordinator: %w", err)
	}
	hints, err := r.Conn.Subscribe(wire.HintSubject(Name), func(m *nats.Msg) { r.hint(ctx, m.Data) })
	if err != nil {
		return fmt.Errorf("subscribing to hints: %w", err)
	}
	defer func() { _ = hints.Unsubscribe() }() // the connection may be closed already
	g, ctx := errgroup.WithContext(ctx)
	defer r.background.Wait()
	g.Go(func() error { return r.watchConnectors(ctx) })
	// A plan made before all connectors are known would leave out a copy.
	select {
	case <-r.heard:
	case <-ctx.Done():
		return g.Wait()
	}
	if err := r.recallAgain(ctx); err != nil && ctx.Err() == nil {
		r.Logger.WarnContext(ctx, "looking for jobs that were withdrawn; a connector may still do them", slog.Any("error", err))
	}
	r.setReady(nil)
	r.reconsider.Store(true)
	g.Go(func() error { return r.planLoop(ctx) })
	g.Go(func() error { return r.hintLoop(ctx) })
	g.Go(func() error { return r.sweepLoop(ctx) })
	g.Go(func() error { return r.releaseLoop(ctx) })
	for _, c := range []struct {
		stream, durable string
		handle          func(context.Context, []jetstream.Msg) error
	}{
		{wire.StreamEvidence, wire.ConsumerCoordinatorEvidence, r.collect},
		{wire.StreamDiscovered, wire.ConsumerCoordinatorDiscovered, r.takeDiscovered},
		{wire.StreamEvents, wire.ConsumerCoordinatorLogged, r.takeLogged},
	} {
		g.Go(func() error {
			return room.Batches(ctx, r.JS, c.stream, c.durable, batchSize, r.Logger, r.ensure, c.handle)
		})
	}
	return g.Wait()
}

const batchSize = 1024

// start makes the streams, remembers the connectors it knew and puts the
// rooms' keys on record.
func (r *Room) start(ctx context.Context) error {
	if err := wire.EnsureStreams(ctx, r.JS, r.Streams); err != nil {
		return err
	}
	known, err := r.Store.Connectors(ctx)
	if err != nil {
		return err
	}
	for _, k := range known {
		c, err := parseManifest(k.Name, k.Manifest)
		if err != nil {
			r.Logger.ErrorContext(ctx, "a stored manifest can't be read", slog.Any("error", err))
			continue
		}
		c.Seen = k.SeenAt
		r.connectors.put(c)
	}
	for name, key := range r.RoomKeys {
		if err := r.acceptKey(ctx, name, "", key); err != nil {
			return err
		}
	}
	if err := r.ensure(ctx); err != nil {
		return err
	}
	return r.readPauses(ctx)
}

// ensure makes what the rooms and the known connectors need on the bus.
func (r *Room) ensure(ctx context.Context) error {
	if err := wire.EnsureStreams(ctx, r.JS, r.Streams); err != nil {
		return err
	}
	for _, c := range r.connectors.all() {
		if err := wire.EnsureConnector(ctx, r.JS, c.Name, r.Streams); err != nil {
			return err
		}
	}
	return nil
}

// hint takes a wake-up: no body to plan, or a JSON list of requests to look at.
func (r *Room) hint(ctx context.Context, body []byte) {
	if len(body) == 0 {
		r.wake()
		return
	}
	var ids []request.ID
	if err := json.Unmarshal(body, &ids); err != nil || len(ids) > batchSize {
		r.Logger.WarnContext(ctx, "a hint that is no list of requests was ignored")
		return
	}
	ids = slices.DeleteFunc(ids, func(id request.ID) bool {
		_, err := request.ParseID(string(id))
		return err != nil
	})
	select {
	case r.hinted <- ids:
	default: // the sweeper will see to them
	}
}

// hintLoop looks at the requests of which we were told.
func (r *Room) hintLoop(ctx context.Context) error {
	for {
		var ids []request.ID
		select {
		case <-ctx.Done():
			return nil
		case ids = <-r.hinted:
		}
		for more := true; more && len(ids) < batchSize; {
			select {
			case others := <-r.hinted:
				ids = append(ids, others...)
			default:
				more = false
			}
		}
		if _, err := r.advance(ctx, store.Selector{IDs: ids}, nil); err != nil && ctx.Err() == nil {
			r.Logger.ErrorContext(ctx, "following a hint; the sweeper will", slog.Any("error", err))
		}
	}
}

func (r *Room) wake() {
	select {
	case r.planning <- struct{}{}:
	default:
	}
}

// planLoop plans accepted requests as they come. The ticker is for hints that
// were lost.
func (r *Room) planLoop(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for {
			n, _, err := r.advanceCount(ctx, store.Selector{State: request.Accepted, Limit: planBatch}, nil)
			if err != nil && ctx.Err() == nil {
				r.Logger.ErrorContext(ctx, "planning; trying again", slog.Any("error", err))
			}
			if err != nil || n < planBatch {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.planning:
		case <-tick.C:
		}
	}
}

const planBatch = 256

func (r *Room) world() *world {
	r.mu.Lock()
	lost, paused := r.lost, r.paused
	r.mu.Unlock()
	w := &world{now: r.Now().UTC(), connectors: r.connectors.all(), rules: r.Rules, lost: lost, paused: paused, bases: r.Bases}
	if r.Ledger != nil {
		w.book = r.Ledger.Book
	}
	return w
}

// advance runs the decision over the selected requests and publishes what
// follows from it. before, when given, puts into each snapshot what has
// arrived. stuck are requests that could not be decided about: they are left as
// they were, so that one of them does not hold up the others.
func (r *Room) advance(ctx context.Context, sel store.Selector, before func(*step) error) (stuck []request.ID, err error) {
	_, stuck, err = r.advanceCount(ctx, sel, before)
	return stuck, err
}

// advanceCount is advance and counts the requests that were decided about.
func (r *Room) advanceCount(ctx context.Context, sel store.Selector, before func(*step) error) (n int, stuck []request.ID, err error) {
	if sel.State == "" && len(sel.IDs) == 0 {
		return 0, nil, nil
	}
	var steps []*step
	w := r.world()
	_, err = r.Store.Advance(ctx, sel, true, func(snaps []*store.Snapshot) error {
		steps = make([]*step, len(snaps))
		var g errgroup.Group
		g.SetLimit(8)
		for i, s := range snaps {
			steps[i] = &step{w: w, s: s}
			g.Go(func() error {
				if steps[i].err = r.decide(steps[i], before); steps[i].err != nil {
					steps[i].undo()
				}
				return nil
			})
		}
		return g.Wait()
	})
	if err != nil {
		return 0, nil, err
	}
	steps = slices.DeleteFunc(steps, func(st *step) bool {
		if st.err != nil {
			stuck = append(stuck, st.s.Request.ID)
			r.Logger.ErrorContext(ctx, "a request can't be decided about and is left as it is", slog.String("request", string(st.s.Request.ID)), slog.Any("error", st.err))
		}
		return st.err != nil
	})
	r.publish(ctx, steps)
	r.follow(ctx, steps)
	return len(steps), stuck, nil
}

// decide is the whole decision over one request.
func (r *Room) decide(st *step, before func(*step) error) error {
	was := st.s.Request.State()
	if before != nil {
		if err := before(st); err != nil {
			return err
		}
	}
	if err := st.run(); err != nil {
		return err
	}
	if st.replan {
		if err := st.recordPlan(r.Signer); err != nil {
			return err
		}
	}
	for _, d := range st.decisions {
		if err := st.sign(r.Signer, d.record(st.s.Request.ID)); err != nil {
			return err
		}
	}
	for _, v := range st.verifications {
		if err := st.sign(r.Signer, v); err != nil {
			return err
		}
	}
	if st.closing {
		if err := st.recordClosure(r.Signer); err != nil {
			return err
		}
	}
	if st.s.Changed {
		st.s.Request.UpdatedAt = st.w.now
	}
	st.moved = st.s.Request.State() != was
	return nil
}
