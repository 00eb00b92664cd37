package coordinator

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

var errInjected = errors.New("injected")

// fault is one way in which a call goes wrong. They come in pairs: it did not
// happen, and it happened but the answer was lost.
type fault int

const (
	fine fault = iota
	didNot
	answerLost
)

// faults says how each call goes, by its number, until it is told to stop.
type faults struct {
	mu    sync.Mutex
	n     int
	how   func(n int) fault
	total int
}

func (f *faults) next() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.how == nil {
		return fine
	}
	got := f.how(f.n)
	if got != fine {
		f.total++
	}
	return got
}

func (f *faults) set(how func(n int) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.how = 0, how
}

func (f *faults) injected() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// sometimes makes calls go wrong by chance, in a given share of a hundred. The
// chance is the same in every run.
func sometimes(share int, how fault) func(int) fault {
	dice := mathrand.New(mathrand.NewPCG(1, uint64(share)))
	return func(int) fault {
		if dice.IntN(100) < share {
			return how
		}
		return fine
	}
}

// faultyStore is a store whose writes go wrong.
type faultyStore struct {
	store.Store
	*faults
	mu       sync.Mutex
	advances int
}

func (s *faultyStore) Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	s.mu.Lock()
	s.advances++
	s.mu.Unlock()
	how := s.next()
	if how == didNot {
		return nil, errInjected
	}
	snaps, err := s.Store.Advance(ctx, sel, withJobs, decide)
	if how == answerLost {
		return nil, errors.Join(errInjected, err)
	}
	return snaps, err
}

func (s *faultyStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.advances
}

func (s *faultyStore) Logged(ctx context.Context, digests [][]byte) error {
	how := s.next()
	if how == didNot {
		return errInjected
	}
	err := s.Store.Logged(ctx, digests)
	if how == answerLost {
		return errors.Join(errInjected, err)
	}
	return err
}

func (s *faultyStore) Get(ctx context.Context, id request.ID) (store.Request, []store.Job, error) {
	if s.next() == didNot {
		return store.Request{}, nil, errInjected
	}
	return s.Store.Get(ctx, id)
}

func (s *faultyStore) Keys(ctx context.Context) (map[string]store.Key, error) {
	if s.next() == didNot {
		return nil, errInjected
	}
	return s.Store.Keys(ctx)
}

func (s *faultyStore) PutKey(ctx context.Context, id string, k store.Key, r store.Record) (bool, error) {
	how := s.next()
	if how == didNot {
		return false, errInjected
	}
	fresh, err := s.Store.PutKey(ctx, id, k, r)
	if how == answerLost {
		return false, errors.Join(errInjected, err)
	}
	return fresh, err
}

// faultyBus is a bus whose publishing goes wrong.
type faultyBus struct {
	jetstream.JetStream
	*faults
}

// lostAnswer is the future of a message whose answer never comes.
type lostAnswer struct{ msg *nats.Msg }

func (lostAnswer) Ok() <-chan *jetstream.PubAck { return nil }
func (lostAnswer) Err() <-chan error            { return nil }
func (l lostAnswer) Msg() *nats.Msg             { return l.msg }

func (b *faultyBus) PublishMsgAsync(m *nats.Msg, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	switch b.next() {
	case didNot:
		return nil, errInjected
	case answerLost:
		if _, err := b.JetStream.PublishMsgAsync(m, opts...); err != nil {
			return nil, err
		}
		return lostAnswer{m}, nil
	default:
		return b.JetStream.PublishMsgAsync(m, opts...)
	}
}

// company is four connectors with every dependency there is.
func (r *rig) company(twice bool) []*standin.Connector {
	r.t.Helper()
	find := func(kind string, values ...string) func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
		return func(job *habeasv1.Job, who *habeasv1.Subject) standin.Reply {
			if job.GetAction() != habeasv1.Action_ACTION_RESOLVE {
				return standin.Reply{Located: 2}
			}
			var found []*habeasv1.Identifier
			for _, v := range values {
				found = append(found, &habeasv1.Identifier{Kind: kind, Value: v + who.GetIdentifiers()[0].GetValue()})
			}
			return standin.Reply{Found: found}
		}
	}
	scripts := []standin.Script{
		{Name: "crm", Accepts: []string{"email"}, Yields: []string{"customer_id"}, Tier: habeasv1.Tier_TIER_IDENTITY_STORE, Do: find("customer_id", "c-")},
		{Name: "shop", Accepts: []string{"customer_id"}, Yields: []string{"device_id"}, Do: find("device_id", "d1-", "d2-")},
		{Name: "ads", Accepts: []string{"device_id", "email"}, Tier: habeasv1.Tier_TIER_THIRD_PARTY},
		{Name: "lake", Accepts: []string{"email", "customer_id"}, After: []string{"ads"}},
	}
	var out []*standin.Connector
	for _, s := range scripts {
		s.Twice = twice
		out = append(out, standin.Join(r.t, r.bus.JS, s))
	}
	return out
}

// many submits n requests one after the other.
func (r *rig) many(n int) []request.ID {
	r.t.Helper()
	var news []store.New
	for i := range n {
		news = append(news, r.fresh(request.Delete, id("email", fmt.Sprintf("p%d@example.com", i))))
	}
	return r.submit(news...)
}

// everybodyActed checks that each connector has acted for each request with all
// there was to know.
func (r *rig) everybodyActed(connectors []*standin.Connector, ids []request.ID) {
	r.t.Helper()
	want := map[string]int{"crm": 1, "shop": 1, "ads": 3, "lake": 2} // identifiers each is to have had
	for _, c := range connectors {
		most := make(map[string]int)
		for _, a := range c.Acts() {
			if a.Action == habeasv1.Action_ACTION_ERASE {
				most[a.Request] = max(most[a.Request], len(a.Who))
			}
		}
		for _, rid := range ids {
			if got := most[string(rid)]; got != want[c.Name] {
				r.t.Errorf("%s erased request %s by %d identifiers at most, want %d", c.Name, rid, got, want[c.Name])
			}
		}
	}
}

func TestEverythingTwiceAndOutOfOrder(t *testing.T) {
	onBothStores(t, func(_ *testing.T, r *rig) {
		company := r.company(true)
		r.start(nil)
		r.known("crm", "shop", "ads", "lake")
		ids := r.many(10)
		r.closed(request.ResultComplete, ids...)
		r.everybodyActed(company, ids)
	})
}

// The bus loses everything it has, in the middle of the work.
func TestBusLosesEverything(t *testing.T) {
	onBothStores(t, func(_ *testing.T, r *rig) {
		company := r.company(false)
		r.start(nil)
		r.known("crm", "shop", "ads", "lake")
		ids := r.many(10)
		r.wipeBus()
		ids = append(ids, r.many(5)...)
		r.until("some work is done", func() bool { return len(company[3].Acts()) > 0 })
		r.wipeBus()
		r.closed(request.ResultComplete, ids...)
		r.everybodyActed(company, ids)
	})
}

// Any one of the streams alone comes back, too.
func TestOneStreamIsLost(t *testing.T) {
	for _, name := range []string{wire.StreamJobs, wire.StreamEvidence, wire.StreamDiscovered, wire.StreamEvents, "KV_" + wire.BucketConnectors} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			company := r.company(false)
			r.start(nil)
			r.known("crm", "shop", "ads", "lake")
			ids := r.many(3)
			if err := r.bus.JS.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.many(3)...)
			r.closed(request.ResultComplete, ids...)
			r.everybodyActed(company, ids)
		})
	}
}

// An answer is acknowledged only once it is stored: with a connector that
// never repeats itself, each call of the store goes wrong in both ways.
func TestStoreGoesWrong(t *testing.T) {
	for name, how := range map[string]fault{"it did not happen": didNot, "the answer was lost": answerLost} {
		for _, share := range []int{20, 50} {
			t.Run(fmt.Sprintf("%s, %d of 100", name, share), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				company := r.company(false)
				f := &faultyStore{Store: r.store, faults: &faults{}}
				r.start(func(c *Config) { c.Store = f })
				r.known("crm", "shop", "ads", "lake")
				f.set(sometimes(share, how))
				ids := r.many(3)
				r.closed(request.ResultComplete, ids...)
				r.everybodyActed(company, ids)
				if f.injected() == 0 {
					t.Error("nothing went wrong")
				}
			})
		}
	}
}

func TestPublishingGoesWrong(t *testing.T) {
	for name, how := range map[string]fault{"it did not happen": didNot, "the answer was lost": answerLost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			company := r.company(false)
			f := &faultyBus{JetStream: r.bus.JS, faults: &faults{}}
			r.start(func(c *Config) { c.JS = f })
			r.known("crm", "shop", "ads", "lake")
			f.set(sometimes(40, how))
			ids := r.many(5)
			r.closed(request.ResultComplete, ids...)
			r.everybodyActed(company, ids)
			if f.injected() == 0 {
				t.Error("nothing went wrong")
			}
		})
	}
}

// A coordinator dies between any two calls and another takes over. Death is a
// store and a bus that do nothing any more: what was done is done, and nothing
// that is in memory is left.
func TestCoordinatorIsKilled(t *testing.T) {
	onBothStores(t, func(_ *testing.T, r *rig) {
		company := r.company(false)
		stop := r.start(nil)
		r.known("crm", "shop", "ads", "lake")
		stop()
		ids := r.many(5)
		for life := range 12 {
			calls := life // dies after this many calls
			dead := make(chan struct{})
			var once sync.Once
			die := func(n int) fault {
				if n <= calls {
					return fine
				}
				once.Do(func() { close(dead) })
				return didNot
			}
			f := &faults{}
			f.set(die)
			stop := r.start(func(c *Config) {
				c.Store = &faultyStore{Store: r.store, faults: f}
				c.JS = &faultyBus{JetStream: r.bus.JS, faults: f}
			})
			select {
			case <-dead:
			case <-time.After(time.Second):
			}
			stop()
		}
		r.start(nil)
		r.closed(request.ResultComplete, ids...)
		r.everybodyActed(company, ids)
	})
}

// closingStore lets nothing be decided any more about requests whose closure is
// recorded.
type closingStore struct {
	store.Store
	refused chan struct{}
	once    sync.Once
}

func (s *closingStore) Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	return s.Store.Advance(ctx, sel, withJobs, func(snaps []*store.Snapshot) error {
		for _, snap := range snaps {
			if len(snap.Request.ClosureDigest) > 0 {
				s.once.Do(func() { close(s.refused) })
				return errInjected
			}
		}
		return decide(snaps)
	})
}

// A coordinator hears that a closure is in the log and dies before it can close
// the request, and then the bus loses everything.
func TestNewsOfAClosureIsLost(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		company := r.company(false)
		s := &closingStore{Store: r.store, refused: make(chan struct{})}
		stop := r.start(func(c *Config) { c.Store = s })
		r.known("crm", "shop", "ads", "lake")
		id := r.one("jane@example.com")
		select {
		case <-s.refused:
		case <-time.After(time.Minute):
			t.Fatal("nobody tried to close the request")
		}
		stop()
		r.wipeBus()
		r.start(nil)
		r.closed(request.ResultComplete, id)
		r.everybodyActed(company, []request.ID{id})
	})
}

func TestSeveralCoordinators(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.rules.Lease = 10 * time.Second // on a busy machine answers take their time
		company := r.company(false)
		r.start(nil)
		r.known("crm", "shop", "ads", "lake")
		r.start(nil)
		r.start(nil)
		ids := r.many(30)
		r.closed(request.ResultComplete, ids...)
		r.everybodyActed(company, ids)
		for _, c := range company {
			seen := make(map[string]bool)
			for _, a := range c.Acts() {
				key := fmt.Sprintf("%s/%d", a.Job, a.Attempt)
				if seen[key] {
					t.Errorf("%s was sent attempt %s twice", c.Name, key)
				}
				seen[key] = true
			}
		}
	})
}

// A connector that acts and never says so is asked again after the lease.
func TestSilentConnectorIsAskedAgain(t *testing.T) {
	r := newRig(t)
	n := 0
	crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
		n++
		return standin.Reply{Silent: n == 1}
	}})
	r.start(nil)
	r.known("crm")
	rid := r.one("jane@example.com")
	r.closed(request.ResultComplete, rid)
	if acts := crm.Acts(); len(acts) != 2 || acts[1].Attempt != 2 {
		t.Errorf("acts: %+v", acts)
	}
}

// A job that was lost is found although there are always newer ones that wait
// for the connector, which is slow.
func TestLostJobIsFoundUnderABacklog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	crm := standin.New(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
		pause(t.Context(), 100*time.Millisecond)
		return standin.Reply{}
	}})
	r.start(nil)
	r.known("crm")
	lost := r.one("lost@example.com")
	stream, err := r.bus.JS.Stream(t.Context(), wire.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the bus has the job", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	})
	ids := r.many(20)
	if err := stream.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	crm.Work()
	r.until("the lost one is sent again", func() bool {
		ids = append(ids, r.many(1)...)
		pause(t.Context(), 80*time.Millisecond)
		_, jobs := r.get(lost)
		return jobs[0].Attempt > 1
	})
	r.closed(request.ResultComplete, append(ids, lost)...)
}

// What has gathered while no coordinator was there is taken for all requests
// at once: what was found, and what was answered.
func TestBatchesCostFewTransactions(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.rules = Rules{}
		const n = 300
		hold := make(chan struct{})
		standin.Join(t, r.bus.JS, standin.Script{
			Name: "crm", Accepts: acceptsEmail, Yields: []string{"device_id"},
			Do: func(job *habeasv1.Job, _ *habeasv1.Subject) standin.Reply {
				<-hold
				if job.GetAction() == habeasv1.Action_ACTION_RESOLVE {
					return standin.Reply{Found: []*habeasv1.Identifier{{Kind: "device_id", Value: "d-" + job.GetRequestId()}}}
				}
				return standin.Reply{Located: 1}
			},
		})
		standin.New(t, r.bus.JS, standin.Script{Name: "ads", Accepts: []string{"device_id"}})
		stop := r.start(nil)
		r.known("crm", "ads")
		ids := r.many(n)
		r.until("all are planned and on the bus", func() bool {
			counts, err := r.store.Counts(t.Context())
			if err != nil || counts[request.Resolving] != n {
				return false
			}
			stream, err := r.bus.JS.Stream(t.Context(), wire.StreamJobs)
			return err == nil && stream.CachedInfo().State.LastSeq >= n
		})
		stop()
		r.audit.Leave() // its news would be read beside the answers
		close(hold)
		r.until("the answers are there", func() bool {
			evidence, err := r.bus.JS.Consumer(t.Context(), wire.StreamEvidence, wire.ConsumerCoordinatorEvidence)
			if err != nil {
				t.Fatal(err)
			}
			found, err := r.bus.JS.Consumer(t.Context(), wire.StreamDiscovered, wire.ConsumerCoordinatorDiscovered)
			return err == nil && found.CachedInfo().NumPending == n && evidence.CachedInfo().NumPending >= 3*n // located, done, resolved
		})
		f := &faultyStore{Store: r.store, faults: &faults{}}
		r.start(func(c *Config) { c.Store = f })
		r.until("all wait for the last connector", func() bool {
			counts, err := r.store.Counts(t.Context())
			if err != nil || counts[request.Running] != n {
				return false
			}
			jobs, err := r.store.JobsOf(t.Context(), ids)
			return err == nil && !slices.ContainsFunc(ids, func(rid request.ID) bool {
				return slices.ContainsFunc(jobs[rid], func(j store.Job) bool { return j.Connector == "crm" && j.State != request.JobDone })
			})
		})
		if got, most := f.count(), 2*n/10; got >= most {
			t.Errorf("%d transactions for %d outcomes", got, 2*n)
		}
	})
}
