package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/pgtest"
)

// companySize leaves out the one person with very many events.
const companySize = 40

// patience is how long a disturbed deployment may take to finish everything.
const patience = 5 * time.Minute

// wishlist is what is asked of a deployment: erasures, copies and opt-outs of
// different people, mixed.
func wishlist(t testing.TB, bin string) []*wish {
	t.Helper()
	cast := people(t, bin, 0, companySize)
	var wishes []*wish
	add := func(n int, right string, kinds ...string) {
		wishes = append(wishes, &wish{person: cast[fmt.Sprintf("person-%d", n)], right: right, kinds: kinds, key: fmt.Sprintf("%s-%d", right, n)})
	}
	add(11, "know_specific", "email")
	for n := range 10 {
		add(n, "delete", "email")
		switch n {
		case 1, 3, 5:
			add(15+n/2, "know_specific", "email")
		case 2:
			add(13, "opt_out_sale_share", "cookie_id")
		case 4, 6:
			add(16+n/2, "opt_out_sale_share", "email")
		}
	}
	add(12, "delete", "email", "phone")
	add(14, "delete", "phone")
	add(31, "delete", "cookie_id")
	return wishes
}

// run is a deployment under test with the wishes it is given.
type run struct {
	*site
	t      *testing.T
	rng    *rand.Rand
	before map[string]dump
	wishes []*wish
	taken  int
}

func newRun(t *testing.T, s *site) *run {
	t.Helper()
	return &run{site: s, t: t, rng: newRand(t), before: s.dumps(t), wishes: wishlist(t, s.bin)}
}

// newRand chooses what is disturbed and when. Everyday runs choose the same, so
// that a change is judged by what it changed; HABEAS_E2E_SEED=random explores.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	switch text := os.Getenv("HABEAS_E2E_SEED"); text {
	case "":
	case "random":
		seed = rand.Uint64()
	default:
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HABEAS_E2E_SEED: %v", err)
		}
	}
	t.Logf("HABEAS_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// submitNext submits the next n wishes, or as many as are left.
func (r *run) submitNext(n int) {
	r.t.Helper()
	for range min(n, len(r.wishes)-r.taken) {
		r.submit(r.t, r.wishes[r.taken])
		r.taken++
	}
}

// someSteps waits until a number of further steps has been seen, chosen below
// most.
func (r *run) someSteps(most int) {
	r.t.Helper()
	n, base := r.rng.IntN(most), -1
	eventually(r.t, patience, fmt.Sprintf("%d steps", n), func() error {
		now, err := r.steps(r.t.Context())
		switch {
		case err != nil:
			return err
		case base < 0:
			base = now
		}
		if now < base+n {
			return fmt.Errorf("%d so far", now-base)
		}
		return nil
	})
}

// finish submits what is left, waits for the end of everything and holds it
// against the reference.
func (r *run) finish(want *reference) *reference {
	r.t.Helper()
	r.submitNext(len(r.wishes))
	views := r.closed(r.t, patience, r.wishes)
	return r.check(r.t, r.wishes, views, r.before, want)
}

func TestCrash_DE15_RE3(t *testing.T) {
	var want *reference
	t.Run("calm", func(t *testing.T) {
		f := newFleet(t, twoDatabases(t), companySize)
		r := newRun(t, &f.site)
		want = r.finish(nil)
		f.checkSecrecy(t, r.wishes)
	})
	if want == nil || t.Failed() {
		t.Fatal("there is nothing to hold the other runs against")
	}
	disturbed := func(name string, disturb func(f *fleet, r *run)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, twoDatabases(t), companySize)
			r := newRun(t, &f.site)
			disturb(f, r)
			r.finish(want)
			f.checkSecrecy(t, r.wishes)
		})
	}
	disturbed("kill", killEach)
	disturbed("jetstream", wipeJetStream)
	disturbed("coordinators", killOneCoordinator)
	disturbed("twice", sayTwice)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t)
		f := newFleet(t, []string{server.NewDatabase(t), server.NewDatabase(t)}, companySize)
		r := newRun(t, &f.site)
		stopPostgres(f, r, server)
		r.finish(want)
		f.checkSecrecy(t, r.wishes)
	})
	t.Run("up", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t)
		r := newRun(t, &m.site)
		crashUp(m, r)
		r.finish(want)
		m.checkSecrecy(t, r.wishes)
	})
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		m := newMachineIn(t, filepath.Join(smallDisk(t), "state"))
		r := newRun(t, &m.site)
		fillDisk(m, r)
		r.finish(want)
		m.checkSecrecy(t, r.wishes)
	})
}

// killEach kills every kind of process in an order and at moments of chance.
func killEach(f *fleet, r *run) {
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("HABEAS_E2E_ROUNDS")); err == nil {
		rounds = n
	}
	names := slices.Concat(rooms, connectors, []string{"nats"})
	for range rounds {
		r.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			r.submitNext(2)
			r.someSteps(4)
			r.t.Logf("killing %s", name)
			f.restart(r.t, name)
		}
	}
}

// wipeJetStream takes the bus away with everything on it.
func wipeJetStream(f *fleet, r *run) {
	r.submitNext(12)
	r.someSteps(30)
	f.processes["nats"].kill(r.t)
	if err := os.RemoveAll(f.jetstream); err != nil {
		r.t.Fatal(err)
	}
	f.processes["nats"].start(r.t)
}

// killOneCoordinator has two share the work and leaves one of them.
func killOneCoordinator(f *fleet, r *run) {
	f.addRoom(r.t, "coordinator-2", "coordinator")
	f.roomReady(r.t, "coordinator-2")
	r.submitNext(12)
	r.someSteps(30)
	f.processes["coordinator"].kill(r.t)
}

// sayTwice delivers every message a second time, in reverse order.
func sayTwice(f *fleet, r *run) {
	stop := startRepublisher(r.t, f)
	r.submitNext(len(r.wishes))
	r.closed(r.t, patience, r.wishes)
	stop()
}

// stopPostgres takes the database away as a crash does.
func stopPostgres(f *fleet, r *run, server *pgtest.Server) {
	r.submitNext(12)
	r.someSteps(30)
	server.Stop(r.t)
	eventually(r.t, patience, "noticing that the database is away", func() error {
		if f.probe(r.t.Context(), f.urls["coordinator"]+"/readyz") == nil {
			return fmt.Errorf("the coordinator says that it is ready")
		}
		return nil
	})
	server.Restart(r.t)
}
