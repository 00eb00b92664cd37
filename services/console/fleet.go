package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request/store"
)

// FleetActor carries out what staff decide about connectors and dead letters.
type FleetActor interface {
	// Pause keeps a connector from getting jobs until Resume. They report whether
	// it was otherwise before.
	Pause(ctx context.Context, connector, reason string) (bool, error)
	Resume(ctx context.Context, connector string) (bool, error)
	// RetryLetters sends dead letters again and returns how many.
	RetryLetters(ctx context.Context, f store.LetterFilter) (int, error)
}

// Bounds of asking the bus.
const (
	busTimeout = 2 * time.Second
	// silent is after how long without a sign of life a connector is down.
	silent = 30 * time.Second
)

// member is one connector as far as it is known.
type member struct {
	Name     string
	Manifest *habeasv1.Manifest
	// Live says that the manifest is the one last heard on the bus.
	Live bool
	// Queue is nil when the bus does not tell.
	Queue *jetstream.ConsumerInfo
	Pause *store.Pause
	Dead  []store.Stuck
	Stuck []store.Stuck
	// Sent and Oldest are the jobs that are out.
	Sent   int64
	Oldest time.Time
}

// fleet is all connectors. StoreDown and BusDown say what could not be asked:
// what is left is shown.
type fleet struct {
	Members []member
	// Dead are all jobs that came to a dead end.
	Dead               []store.Stuck
	StoreDown, BusDown bool
}

// known remembers the connectors' names and manifests for when the database is
// away.
type known struct {
	mu   sync.Mutex
	list []store.Connector
}

func (k *known) put(list []store.Connector) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = list
}

func (k *known) get() []store.Connector {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.list
}

// fleets keeps what was read for a moment: however many pages are open, the
// database and the bus are asked about connectors once in that time.
type fleets struct {
	age time.Duration

	mu sync.Mutex
	at time.Time
	is *fleet
}

func (c *fleets) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is = nil
}

// fleet is what is known of the connectors, a second old at most. It must not be
// changed.
func (r *Room) fleet(ctx context.Context) *fleet {
	c := &r.fleets
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.is == nil || time.Since(c.at) >= c.age {
		c.is, c.at = r.readFleet(context.WithoutCancel(ctx)), time.Now()
	}
	return c.is
}

// readFleet asks the database and the bus. One that does not answer leaves
// blanks and is no error.
func (r *Room) readFleet(ctx context.Context) *fleet {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	f := &fleet{}
	if err := r.fleetFromStore(ctx, f); err != nil {
		r.config.Logger.WarnContext(ctx, "asking the database of connectors", slog.Any("error", err))
		f.StoreDown = true
		if len(f.Members) == 0 {
			f.Members = membersOf(r.known.get())
		}
	}
	if err := r.fleetFromBus(ctx, f); err != nil {
		r.config.Logger.WarnContext(ctx, "asking the bus of connectors", slog.Any("error", err))
		f.BusDown = true
	}
	return f
}

func membersOf(list []store.Connector) []member {
	out := make([]member, len(list))
	for i, c := range list {
		m := &habeasv1.Manifest{}
		if err := proto.Unmarshal(c.Manifest, m); err != nil {
			m = &habeasv1.Manifest{} // the coordinator refused it, or will
		}
		out[i] = member{Name: c.Name, Manifest: m}
	}
	return out
}

func (r *Room) fleetFromStore(ctx context.Context, f *fleet) error {
	list, err := r.config.Store.Connectors(ctx)
	if err != nil {
		return err
	}
	r.known.put(list)
	f.Members = membersOf(list)
	at := make(map[string]*member, len(list))
	for i := range f.Members {
		at[f.Members[i].Name] = &f.Members[i]
	}
	pauses, err := r.config.Store.Pauses(ctx)
	if err != nil {
		return err
	}
	for i := range pauses {
		if m := at[pauses[i].Connector]; m != nil {
			m.Pause = &pauses[i]
		}
	}
	dead, err := r.config.Store.DeadEnds(ctx)
	if err != nil {
		return err
	}
	f.Dead = dead
	for _, d := range dead {
		if m := at[d.Connector]; m != nil {
			m.Dead = append(m.Dead, d)
		}
	}
	stuck, err := r.config.Store.Stuck(ctx)
	if err != nil {
		return err
	}
	for _, s := range stuck {
		if m := at[s.Connector]; m != nil {
			m.Stuck = append(m.Stuck, s)
		}
	}
	out, err := r.config.Store.Outstanding(ctx, r.config.Now().Add(time.Minute))
	if err != nil {
		return err
	}
	for _, o := range out {
		if m := at[o.Connector]; m != nil {
			m.Sent, m.Oldest = o.Sent, o.Oldest
		}
	}
	return nil
}

// fleetFromBus reads each connector's last sign of life and queue, all at once.
func (r *Room) fleetFromBus(ctx context.Context, f *fleet) error {
	if !r.config.Conn.IsConnected() {
		return errors.New("not connected")
	}
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	kv, err := r.js.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return fmt.Errorf("opening the bucket of connectors: %w", err)
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i := range f.Members {
		m := &f.Members[i]
		g.Go(func() error {
			if err := m.hear(ctx, kv); err != nil {
				return err
			}
			c, err := r.js.Consumer(ctx, wire.StreamJobs, wire.JobConsumer(m.Name))
			switch {
			case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
				return nil // it has no queue yet
			case err != nil:
				return fmt.Errorf("asking for the queue of %s: %w", m.Name, err)
			}
			m.Queue = c.CachedInfo()
			return nil
		})
	}
	return g.Wait()
}

// hear takes the last sign of life.
func (m *member) hear(ctx context.Context, kv jetstream.KeyValue) error {
	entry, err := kv.Get(ctx, m.Name)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("reading the manifest of %s: %w", m.Name, err)
	}
	live := &habeasv1.Manifest{}
	if err := proto.Unmarshal(entry.Value(), live); err == nil && live.GetName() == m.Name {
		m.Manifest, m.Live = live, true
	}
	return nil
}

// up says whether the connector gave a sign of life lately.
func (m *member) up(now time.Time) bool {
	return now.Sub(m.Manifest.GetBeatTime().AsTime()) < silent
}

// state is how a connector stands, in a word. busDown says that nobody could
// have heard it.
func (m *member) state(now time.Time, busDown bool) word {
	switch {
	case busDown:
		return word{Value: "unknown", Label: "Not known now", Tone: idle}
	case !m.up(now):
		return word{Value: "down", Label: "Down", Tone: bad}
	case !m.Manifest.GetReady():
		return word{Value: "not_ready", Label: "Its system does not answer", Tone: warn}
	default:
		return word{Value: "up", Label: "Up", Tone: good}
	}
}

// dead is how many of its jobs came to a dead end.
func (m *member) dead() (n int64) {
	for _, d := range m.Dead {
		n += d.Jobs
	}
	return n
}
