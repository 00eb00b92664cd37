package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func testAdvanceByID(t *testing.T, s store.Store) {
	a, b, c := sample(request.Accepted, 0), sample(request.AwaitingVerification, 0), sample(request.Closed, 0)
	add(t, s, a, b, c)
	calls := 0
	snaps, err := s.Advance(t.Context(), byID(c.Request.ID, request.NewID(), a.Request.ID, b.Request.ID, a.Request.ID), true,
		func(snaps []*store.Snapshot) error {
			calls++
			for _, snap := range snaps {
				snap.Request.Round++
				snap.Changed = true
			}
			return nil
		})
	ok(t, err)
	var ids []request.ID
	for _, snap := range snaps {
		ids = append(ids, snap.Request.ID)
	}
	if !slices.Equal(ids, []request.ID{a.Request.ID, b.Request.ID, c.Request.ID}) || calls != 1 {
		t.Errorf("decided over %v in %d calls, want each known request once in 1 call", ids, calls)
	}
	for _, n := range []store.New{a, b, c} {
		if got, _ := get(t, s, n.Request.ID); got.Round != 1 || got.Version != 2 {
			t.Errorf("round %d, version %d; want 1 and 2", got.Round, got.Version)
		}
	}
	for _, unknown := range []store.Selector{byID(), byID(request.NewID())} {
		snaps, err := s.Advance(t.Context(), unknown, true, func([]*store.Snapshot) error { return nil })
		if err != nil || len(snaps) != 0 {
			t.Errorf("advancing nobody: %d, %v", len(snaps), err)
		}
	}
}

func testAdvanceByState(t *testing.T, s store.Store) {
	var want []request.ID
	for i := range 5 {
		n := sample(request.Accepted, time.Duration(5-i)*time.Second)
		add(t, s, n, sample(request.AwaitingVerification, 0), sample(request.Closed, 0))
		want = append([]request.ID{n.Request.ID}, want...)
	}
	claim := func(state request.State, limit int) []request.ID {
		t.Helper()
		var ids []request.ID
		_, err := s.Advance(t.Context(), store.Selector{State: state, Limit: limit}, false, func(snaps []*store.Snapshot) error {
			ids = nil
			for _, snap := range snaps {
				ids = append(ids, snap.Request.ID)
				snap.Changed = true
				if err := snap.Request.Move(request.Running); err != nil {
					return err
				}
			}
			return nil
		})
		ok(t, err)
		return ids
	}
	if got := claim(request.Accepted, 3); !slices.Equal(got, want[:3]) {
		t.Errorf("claimed %v, want the three oldest %v", got, want[:3])
	}
	if got := claim(request.Accepted, 3); !slices.Equal(got, want[3:]) {
		t.Errorf("claimed %v, want the rest %v", got, want[3:])
	}
	if got := claim(request.Accepted, 3); len(got) != 0 {
		t.Errorf("claimed %v, want none", got)
	}
}

func testAdvanceWithoutJobs(t *testing.T, s store.Store) {
	n := sample(request.Running, 0)
	add(t, s, n)
	change(t, s, n.Request.ID, withJobs(job(n.Request.ID, "crm", request.JobPlanned)))
	_, err := s.Advance(t.Context(), byID(n.Request.ID), false, func(snaps []*store.Snapshot) error {
		if len(snaps[0].Jobs) != 0 || snaps[0].Stored != 0 {
			t.Errorf("jobs were loaded: %d", len(snaps[0].Jobs))
		}
		snaps[0].Request.Attention, snaps[0].Changed = "failed", true
		return nil
	})
	ok(t, err)
	if got, jobs := get(t, s, n.Request.ID); got.Attention != "failed" || len(jobs) != 1 {
		t.Errorf("attention %q and %d jobs", got.Attention, len(jobs))
	}
}

func testAdvanceWrites(t *testing.T, s store.Store) {
	n, bystander := sample(request.Accepted, 0), sample(request.Accepted, 0)
	add(t, s, n, bystander)
	id := n.Request.ID
	first := change(t, s, id, func(snap *store.Snapshot) {
		ok(t, snap.Request.Move(request.Running))
		snap.Changed = true
		snap.Jobs = append(snap.Jobs, job(id, "crm", request.JobSent), job(id, "billing", request.JobPlanned))
		snap.Records = append(snap.Records, record(id, start))
	})
	got, jobs := get(t, s, id)
	same(t, "request", first.Request, got)
	same(t, "jobs", first.Jobs, jobs)
	if got.Version != 2 || got.State() != request.Running || !contains(unlogged(t, s), first.Records[0].Digest) {
		t.Errorf("version %d, state %s", got.Version, got.State())
	}

	// Only what is marked as changed is written.
	second := change(t, s, id, func(snap *store.Snapshot) {
		if snap.Stored != 2 || len(snap.Jobs) != 2 {
			t.Fatalf("%d jobs, %d stored", len(snap.Jobs), snap.Stored)
		}
		snap.Request.Attention = "failed"
		snap.Jobs[0].State, snap.Jobs[0].Attempt = request.JobDone, 7
		snap.Jobs[1].State, snap.Jobs[1].Code = request.JobFailed, "denied"
		snap.Touch(1)
	})
	got, jobs = get(t, s, id)
	same(t, "request", first.Request, got)
	same(t, "untouched job", first.Jobs[0], jobs[0])
	same(t, "touched job", second.Jobs[1], jobs[1])

	other, otherJobs := get(t, s, bystander.Request.ID)
	same(t, "bystander", bystander.Request, other)
	if len(otherJobs) != 0 {
		t.Errorf("a bystander got %d jobs", len(otherJobs))
	}
}

// Coordinators on several machines make ids by clocks that differ: the order
// of jobs is the one they were added in.
func testJobOrder(t *testing.T, s store.Store) {
	n := sample(request.Running, 0)
	add(t, s, n)
	id := n.Request.ID
	late, early, third := job(id, "crm", request.JobDone), job(id, "crm", request.JobDone), job(id, "crm", request.JobPlanned)
	late.ID, early.ID = early.ID, late.ID
	late.ID, third.ID = third.ID, late.ID
	change(t, s, id, withJobs(late))
	change(t, s, id, withJobs(early))
	change(t, s, id, withJobs(third))
	want := []store.Job{late, early, third}
	_, jobs := get(t, s, id)
	same(t, "jobs", want, jobs)
	change(t, s, id, func(snap *store.Snapshot) { same(t, "jobs to decide over", want, snap.Jobs) })
}

// world is everything a failed Advance must leave as it was.
type world struct {
	requests []store.Request
	jobs     map[request.ID][]store.Job
	records  [][]byte
}

func look(t testing.TB, s store.Store) world {
	t.Helper()
	var w world
	var err error
	w.requests, err = s.List(t.Context(), store.Filter{Limit: 500})
	ok(t, err)
	var ids []request.ID
	for i := range w.requests {
		ids = append(ids, w.requests[i].ID)
	}
	w.jobs, err = s.JobsOf(t.Context(), ids)
	ok(t, err)
	w.records = unlogged(t, s)
	slices.SortFunc(w.records, bytes.Compare)
	return w
}

func (w world) stays(t testing.TB, s store.Store) {
	t.Helper()
	now := look(t, s)
	same(t, "requests", w.requests, now.requests)
	same(t, "jobs", w.jobs, now.jobs)
	same(t, "records", w.records, now.records)
}

// two stores two requests of which the first has a job.
func two(t testing.TB, s store.Store) (a, b request.ID) {
	t.Helper()
	first, second := sample(request.Running, 0), sample(request.Running, time.Second)
	add(t, s, first, second)
	change(t, s, first.Request.ID, withJobs(job(first.Request.ID, "crm", request.JobPlanned)))
	return first.Request.ID, second.Request.ID
}

// everything changes a request, a job, and adds a job and a record.
func everything(snap *store.Snapshot) {
	id := snap.Request.ID
	snap.Request.Round++
	snap.Changed = true
	if snap.Stored > 0 {
		snap.Jobs[0].Attempt++
		snap.Touch(0)
	}
	snap.Jobs = append(snap.Jobs, job(id, "billing", request.JobPlanned))
	snap.Records = append(snap.Records, record(id, start))
}

func testAdvanceError(t *testing.T, s store.Store) {
	a, b := two(t, s)
	before := look(t, s)
	want := errors.New("no")
	_, err := s.Advance(t.Context(), byID(a, b), true, func(snaps []*store.Snapshot) error {
		for _, snap := range snaps {
			everything(snap)
		}
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got %v, want decide's own error", err)
	}
	before.stays(t, s)
}

func testAdvancePanic(t *testing.T, s store.Store) {
	a, _ := two(t, s)
	before := look(t, s)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic was swallowed")
			}
		}()
		_, err := s.Advance(t.Context(), byID(a), true, func(snaps []*store.Snapshot) error {
			everything(snaps[0])
			panic("in decide")
		})
		t.Errorf("returned %v", err)
	}()
	before.stays(t, s)
	change(t, s, a, everything) // nothing is held any more
}

func testAdvanceCancelled(t *testing.T, s store.Store) {
	a, _ := two(t, s)
	before := look(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Advance(ctx, byID(a), true, func(snaps []*store.Snapshot) error {
		everything(snaps[0])
		cancel()
		return nil
	})
	if err == nil {
		t.Error("a cancelled call was carried through")
	}
	before.stays(t, s)
	change(t, s, a, everything)
}

func testAdvanceUnwritable(t *testing.T, s store.Store) {
	a, b := two(t, s)
	taken := unlogged(t, s)[0]
	before := look(t, s)
	_, err := s.Advance(t.Context(), byID(a, b), true, func(snaps []*store.Snapshot) error {
		for _, snap := range snaps {
			everything(snap)
		}
		snaps[1].Records[0].Digest = taken
		return nil
	})
	if err == nil {
		t.Error("a record was stored twice")
	}
	before.stays(t, s)
}
