package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

const day = 24 * time.Hour

// acted is a closed deletion, closed after an offset, whose job at crm ended in
// a state at the same time.
func acted(t *testing.T, s store.Store, offset time.Duration, state request.JobState, change func(*store.New)) store.New {
	t.Helper()
	n := closedSample(offset)
	if change != nil {
		change(&n)
	}
	add(t, s, n)
	withJob(t, s, n.Request.ID, state, offset, nil)
	return n
}

func withJob(t *testing.T, s store.Store, id request.ID, state request.JobState, offset time.Duration, change func(*store.Job)) store.Job {
	t.Helper()
	j := job(id, "crm", state)
	j.Action, j.Purpose, j.Attempt, j.UpdatedAt = request.ActionErase, "", 1, start.Add(offset)
	if change != nil {
		change(&j)
	}
	_, err := s.Advance(t.Context(), byID(id), true, func(snaps []*store.Snapshot) error {
		snaps[0].Jobs = append(snaps[0].Jobs, j)
		return nil
	})
	ok(t, err)
	return j
}

// testKept checks that nothing is destroyed before what a restored system must
// be told again is kept apart, and that this ends with the life of the backups.
func testKept(t *testing.T, s store.Store) {
	const life = 10 * day
	done, partly := acted(t, s, 0, request.JobDone, nil), acted(t, s, 0, request.JobPartial, nil)
	failed := acted(t, s, 0, request.JobFailed, nil)
	survey := closedSample(0)
	add(t, s, survey)
	withJob(t, s, survey.Request.ID, request.JobDone, 0, func(j *store.Job) { j.Purpose = store.PurposeSurvey })
	other := closedSample(0)
	add(t, s, other)
	withJob(t, s, other.Request.ID, request.JobDone, 0, func(j *store.Job) { j.Connector = "billing" })
	long := acted(t, s, -life, request.JobDone, nil)

	q := shreddable(5 * day)
	q.Backups = map[string]time.Duration{"crm": life, "unheard-of": time.Hour}
	parts, err := s.Unkept(t.Context(), q)
	ok(t, err)
	var want []store.Unkept
	for _, n := range []store.New{done, partly} {
		want = append(want, store.Unkept{RequestID: n.Request.ID, Connector: "crm", Until: start.Add(life), WrappedKey: n.Request.WrappedKey, Sealed: n.Request.Sealed})
	}
	slices.SortFunc(want, func(a, b store.Unkept) int { return cmp.Compare(a.RequestID, b.RequestID) })
	same(t, "to be kept", want, parts)

	destroyed, err := s.Shred(t.Context(), q, gone)
	ok(t, err)
	for _, n := range []store.New{failed, survey, other, long} {
		if !slices.ContainsFunc(destroyed, func(g store.Shredded) bool { return g.ID == n.Request.ID }) {
			t.Errorf("request %s was not destroyed", n.Request.ID)
		}
	}
	if len(destroyed) != 4 {
		t.Errorf("%d requests were destroyed, want 4", len(destroyed))
	}

	kept := store.Kept{RequestID: done.Request.ID, Connector: "crm", WrappedKey: []byte{1, 0}, Sealed: []byte{2, 0}, Until: start.Add(life)}
	ok(t, s.PutKept(t.Context(), []store.Kept{kept, kept}))
	changed := kept
	changed.Sealed = []byte{9}
	ok(t, s.PutKept(t.Context(), []store.Kept{changed})) // it stays as it was
	ok(t, s.PutKept(t.Context(), nil))
	if again, err := s.Shred(t.Context(), q, gone); err != nil || len(again) != 1 || again[0].ID != done.Request.ID {
		t.Errorf("destroyed once it is kept: %+v, %v", again, err)
	}
	jobs, err := s.Forgotten(t.Context(), "crm", start, "", 100)
	ok(t, err)
	for _, j := range jobs {
		if j.Request.ID == done.Request.ID {
			same(t, "kept", &kept, j.Kept)
		} else if j.Kept != nil {
			t.Errorf("something is kept for %s", j.Request.ID)
		}
	}

	sign := func(by map[string]int64) ([]store.Record, error) {
		same(t, "ended", map[string]int64{"crm": 1}, by)
		return gone([]request.ID{done.Request.ID})
	}
	if n, err := s.DropKept(t.Context(), start.Add(life-time.Second), 10, sign); n != 0 || err != nil {
		t.Errorf("%d dropped before their end, %v", n, err)
	}
	refused := errors.New("no key")
	if _, err := s.DropKept(t.Context(), start.Add(life), 10, func(map[string]int64) ([]store.Record, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("dropping without a record: %v", err)
	}
	before := len(unlogged(t, s))
	if n, err := s.DropKept(t.Context(), start.Add(life), 10, sign); n != 1 || err != nil {
		t.Errorf("%d dropped, %v", n, err)
	}
	if n, err := s.DropKept(t.Context(), start.Add(life), 10, sign); n != 0 || err != nil || len(unlogged(t, s)) != before+1 {
		t.Errorf("a second time: %d dropped, %v, %d records", n, err, len(unlogged(t, s))-before)
	}
}

// restoreEnded is a closed request that ended as said.
func restoreEnded(id request.ID, right request.Right, e request.Ending) *request.Request {
	r := *restore(id, right, request.Closed)
	r.Ending = &e
	restored, err := request.Restore(r, right, request.Closed, verified)
	if err != nil {
		panic(err) // the samples are wrong
	}
	return restored
}

// testForgotten checks what a restored system has forgotten, case by case.
func testForgotten(t *testing.T, s store.Store) {
	const since = 10 * day
	want := make(map[request.ID]bool)
	expect := func(n store.New, yes bool) {
		want[n.Request.ID] = yes
	}
	for _, state := range []request.JobState{request.JobDone, request.JobNoMatch, request.JobRetained, request.JobPartial} {
		expect(acted(t, s, since, state, nil), true)
		expect(acted(t, s, since-time.Microsecond, state, nil), false)
	}
	for _, state := range []request.JobState{request.JobFailed, request.JobCancelled, request.JobNeedsIdentifier, request.JobNotSupported, request.JobOverLimit} {
		expect(acted(t, s, since, state, nil), false)
	}
	open := func(state request.JobState, change func(*store.Job)) store.New {
		n := sample(request.Running, 0)
		add(t, s, n)
		withJob(t, s, n.Request.ID, state, 0, change)
		return n
	}
	for _, state := range []request.JobState{request.JobPlanned, request.JobSent, request.JobDeferred} {
		expect(open(state, nil), true)
		expect(open(state, func(j *store.Job) { j.Attempt = 0 }), false)
	}
	for _, action := range []request.Action{request.ActionOptOut, request.ActionLimit} {
		expect(open(request.JobSent, func(j *store.Job) { j.Action = action }), true)
	}
	for _, action := range []request.Action{request.ActionExport, request.ActionLocate, request.ActionCorrect, request.ActionResolve} {
		expect(open(request.JobSent, func(j *store.Job) { j.Action = action }), false)
	}
	expect(open(request.JobSent, func(j *store.Job) { j.Connector = "billing" }), false)
	denied := acted(t, s, since, request.JobDone, func(n *store.New) {
		n.Request.Request = restoreEnded(n.Request.ID, request.Delete, request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "they changed their mind"})
	})
	expect(denied, false)

	// A later look counts when it found something and what it looked after is out
	// of reach.
	lookAfter := func(parent request.ID, redone int64) store.New {
		return acted(t, s, since, request.JobRetained, func(n *store.New) {
			n.Request.Case.Parent, n.Request.Case.Origin, n.Request.Case.Redone = parent, request.FromRecheck, redone
		})
	}
	long, late := acted(t, s, since-day, request.JobDone, nil), acted(t, s, since, request.JobDone, nil)
	expect(long, false)
	expect(late, true)
	expect(lookAfter(long.Request.ID, 3), true)
	expect(lookAfter(long.Request.ID, 0), false)
	expect(lookAfter(late.Request.ID, 3), false)

	under := sample(request.Running, 0) // one that is under way may have done something
	under.Request.Case.Parent, under.Request.Case.Origin = long.Request.ID, request.FromReplay
	add(t, s, under)
	withJob(t, s, under.Request.ID, request.JobSent, 0, nil)
	expect(under, true)

	got := make(map[request.ID]bool)
	for after, pages := request.ID(""), 0; ; pages++ {
		page, err := s.Forgotten(t.Context(), "crm", start.Add(since), after, 4)
		ok(t, err)
		for _, f := range page {
			if f.JobID <= after {
				t.Fatalf("job %s comes after %s", f.JobID, after)
			}
			after = f.JobID
			got[f.Request.ID] = true
			stored, jobs := get(t, s, f.Request.ID)
			same(t, "request", stored, f.Request)
			if f.Action != jobs[0].Action || len(jobs[0].Outcome) != len(f.Outcome) && !sameJSON(jobs[0].Outcome, f.Outcome) {
				t.Errorf("job %s: %s %s", f.JobID, f.Action, f.Outcome)
			}
		}
		if len(page) < 4 {
			break
		}
	}
	for id, yes := range want {
		if got[id] != yes {
			_, jobs := get(t, s, id)
			t.Errorf("%s %s of %s is forgotten: %v, want %v", jobs[0].Action, jobs[0].State, jobs[0].UpdatedAt, got[id], yes)
		}
	}
}

// testReplays checks that a replay is one however often it is started, and that
// of two who go on with it one does.
func testReplays(t *testing.T, s store.Store) {
	made := func(connector string, since time.Time) store.Replay {
		return store.Replay{ID: string(request.NewID()), Connector: connector, Since: since, By: "op", CreatedAt: start}
	}
	first := made("crm", start)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			again := first
			again.ID = string(request.NewID())
			if _, err := s.StartReplay(t.Context(), again); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	unplanned, err := s.Unplanned(t.Context())
	ok(t, err)
	if len(unplanned) != 1 {
		t.Fatalf("%d replays were started, want 1", len(unplanned))
	}
	one := unplanned[0]
	first.ID = one.ID
	same(t, "replay", first, one)
	for _, r := range []store.Replay{made("crm", start.Add(time.Hour)), made("billing", start)} {
		got, err := s.StartReplay(t.Context(), r)
		ok(t, err)
		same(t, "another", r, got)
	}

	next := one
	next.After, next.Planned, next.Lost, next.Released = request.NewID(), 5, 2, 1
	if mine, err := s.AdvanceReplay(t.Context(), next, one.After); err != nil || !mine {
		t.Errorf("going on: %v, %v", mine, err)
	}
	if mine, err := s.AdvanceReplay(t.Context(), next, one.After); err != nil || mine {
		t.Errorf("going on from where it is not any more: %v, %v", mine, err)
	}
	next.PlannedAt = start.Add(time.Minute)
	if mine, err := s.AdvanceReplay(t.Context(), next, next.After); err != nil || !mine {
		t.Errorf("ending: %v, %v", mine, err)
	}
	got, err := s.Replay(t.Context(), one.ID)
	ok(t, err)
	same(t, "ended", next, got)
	if mine, err := s.AdvanceReplay(t.Context(), next, next.After); err != nil || mine {
		t.Errorf("going on with what is ended: %v, %v", mine, err)
	}
	if _, err := s.Replay(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a replay that is not there: %v", err)
	}
	fresh := made("crm", start)
	if got, err := s.StartReplay(t.Context(), fresh); err != nil || got.ID != fresh.ID {
		t.Errorf("once more, after it has ended: %+v, %v", got, err)
	}
	all, err := s.Replays(t.Context(), 10)
	if err != nil || len(all) != 4 {
		t.Errorf("%d replays, %v", len(all), err)
	}

	// What became of its requests.
	part := func(state request.State, e request.Ending, attention string, redone int64) {
		n := sample(request.Running, 0)
		if state == request.Closed {
			n = closedSample(0)
			n.Request.Request = restoreEnded(n.Request.ID, request.Delete, e)
		}
		n.Request.Case.Run, n.Request.Attention, n.Request.Case.Redone = one.ID, attention, redone
		add(t, s, n)
	}
	complete := request.Ending{Result: request.ResultComplete}
	part(request.Running, complete, "", 0)
	part(request.Running, complete, "failed", 0)
	part(request.Closed, complete, "", 0)
	part(request.Closed, complete, "", 3)
	part(request.Closed, request.Ending{Result: request.ResultCompleteWithExceptions}, "", 1)
	part(request.Closed, request.Ending{Result: request.ResultPartial}, "", 1)
	progress, err := s.ReplayProgress(t.Context(), one.ID)
	ok(t, err)
	same(t, "progress", store.Progress{Requests: 6, Closed: 4, Again: 2, Clean: 1, Failed: 1, Attention: 1}, progress)
	if progress, err = s.ReplayProgress(t.Context(), "none"); err != nil || progress != (store.Progress{}) {
		t.Errorf("progress of none: %+v, %v", progress, err)
	}
}

// testIncidents checks that incidents come with their request, stay as they are
// and are closed once.
func testIncidents(t *testing.T, s store.Store) {
	n := sample(request.Running, 0)
	add(t, s, n)
	var all []store.Incident
	for i := range 5 {
		all = append(all, store.Incident{
			ID: fmt.Sprintf("incident-%d", i), Kind: store.Resurrected, Connector: "crm", Store: []string{"people", "orders"}[i%2],
			RequestID: n.Request.ID, ParentID: "parent", Records: int64(i + 1), OpenedAt: start.Add(time.Duration(i) * time.Hour),
		})
	}
	change(t, s, n.Request.ID, func(snap *store.Snapshot) { snap.Incidents = all[:3] })
	again := all[0]
	again.Records = 99
	ok(t, s.PutIncidents(t.Context(), append([]store.Incident{again}, all[3:]...)))
	got, err := s.Incidents(t.Context(), true, 10)
	ok(t, err)
	newest := slices.Clone(all)
	slices.Reverse(newest)
	same(t, "incidents", newest, got)
	trouble, err := s.Trouble(t.Context())
	ok(t, err)
	same(t, "trouble", []store.Trouble{
		{Kind: store.Resurrected, Connector: "crm", Store: "people", Incidents: 3, Records: 9, First: start, Last: start.Add(4 * time.Hour)},
		{Kind: store.Resurrected, Connector: "crm", Store: "orders", Incidents: 2, Records: 6, First: start.Add(time.Hour), Last: start.Add(3 * time.Hour)},
	}, trouble)

	ok(t, s.CloseIncident(t.Context(), all[4].ID, "ann", "an old import", start.Add(day)))
	ok(t, s.CloseIncident(t.Context(), all[4].ID, "bob", "another", start.Add(2*day)))
	if err := s.CloseIncident(t.Context(), "none", "ann", "", start); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("closing what is not there: %v", err)
	}
	if got, err = s.Incidents(t.Context(), true, 10); err != nil || len(got) != 4 {
		t.Errorf("%d incidents are open, %v", len(got), err)
	}
	if got, err = s.Incidents(t.Context(), false, 1); err != nil || len(got) != 1 {
		t.Fatalf("%d incidents, %v", len(got), err)
	}
	closed := all[4]
	closed.ClosedAt, closed.By, closed.Note = start.Add(day), "ann", "an old import"
	same(t, "closed", closed, got[0])
}
