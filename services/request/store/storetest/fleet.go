package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func pauseRecord() store.Record {
	return store.Record{Digest: digest(), Type: "connector", Issuer: "intake", Envelope: []byte(`{"payload":""}`), CreatedAt: start}
}

func testPause(t *testing.T, s store.Store) {
	ok(t, s.PutConnector(t.Context(), writtenConnector()))
	p := store.Pause{Connector: "crm", Since: start, By: "ann", Reason: "it is being moved"}
	if _, err := s.Pause(t.Context(), store.Pause{Connector: "nobody", Since: start, By: "ann"}, pauseRecord()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("pausing a connector that nobody knows: %v", err)
	}
	if fresh, err := s.Resume(t.Context(), "crm", "bob", start, pauseRecord()); err != nil || fresh {
		t.Errorf("resuming what is not paused: %v, %v", fresh, err)
	}
	if n := len(unlogged(t, s)); n != 0 {
		t.Errorf("%d records say what did not happen", n)
	}
	for i, want := range []bool{true, false} {
		again := p
		again.Reason = []string{p.Reason, "another"}[i]
		fresh, err := s.Pause(t.Context(), again, pauseRecord())
		if err != nil || fresh != want {
			t.Errorf("pausing %d: %v, %v", i, fresh, err)
		}
	}
	got, err := s.Pauses(t.Context())
	ok(t, err)
	same(t, "pauses", []store.Pause{p}, got)
	for i, want := range []bool{true, false} {
		fresh, err := s.Resume(t.Context(), "crm", []string{"bob", "eve"}[i], start.Add(time.Hour), pauseRecord())
		if err != nil || fresh != want {
			t.Errorf("resuming %d: %v, %v", i, fresh, err)
		}
	}
	if n := len(unlogged(t, s)); n != 2 {
		t.Errorf("%d records, want one of each change", n)
	}
	second := store.Pause{Connector: "crm", Since: start.Add(2 * time.Hour), By: "ann", Reason: "again"}
	if fresh, err := s.Pause(t.Context(), second, pauseRecord()); err != nil || !fresh {
		t.Errorf("pausing after a resume: %v, %v", fresh, err)
	}
	ended := p
	ended.Until, ended.EndedBy = start.Add(time.Hour), "bob"
	past, err := s.PausesOf(t.Context(), "crm", 10)
	ok(t, err)
	same(t, "all pauses", []store.Pause{second, ended}, past)
}

// Of many that pause at once one does, and there is one record.
func testPauseAtOnce(t *testing.T, s store.Store) {
	ok(t, s.PutConnector(t.Context(), writtenConnector()))
	var group sync.WaitGroup
	var mu sync.Mutex
	first := 0
	for range 8 {
		group.Go(func() {
			fresh, err := s.Pause(t.Context(), store.Pause{Connector: "crm", Since: start, By: "ann", Reason: "moved"}, pauseRecord())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if fresh {
				first++
			}
		})
	}
	group.Wait()
	if n := len(unlogged(t, s)); first != 1 || n != 1 {
		t.Errorf("%d were first, and %d records say so", first, n)
	}
}

func testDuePaused(t *testing.T, s store.Store) {
	ok(t, s.PutConnector(t.Context(), writtenConnector()))
	paused := func(state request.JobState) store.New {
		n := sample(request.Running, 0)
		add(t, s, n)
		j := job(n.Request.ID, "crm", state)
		j.Code, j.NextAt = store.CodePaused, time.Time{}
		change(t, s, n.Request.ID, withJobs(j))
		return n
	}
	planned, deferred := paused(request.JobPlanned), paused(request.JobDeferred)
	paused(request.JobCancelled)
	due := func() []request.ID {
		t.Helper()
		ids, err := s.Due(t.Context(), start.AddDate(1, 0, 0), start, nil, 10)
		ok(t, err)
		slices.Sort(ids)
		return ids
	}
	if _, err := s.Pause(t.Context(), store.Pause{Connector: "crm", Since: start, By: "ann", Reason: "moved"}, pauseRecord()); err != nil {
		t.Fatal(err)
	}
	if ids := due(); len(ids) != 0 {
		t.Errorf("%d requests are due while their connector is paused", len(ids))
	}
	if _, err := s.Resume(t.Context(), "crm", "ann", start, pauseRecord()); err != nil {
		t.Fatal(err)
	}
	want := []request.ID{planned.Request.ID, deferred.Request.ID}
	slices.Sort(want)
	same(t, "due after the pause", want, due())
}

// dead makes an open request with a job that ended like this after d.
func dead(t testing.TB, s store.Store, connector string, state request.JobState, code string, d time.Duration) store.Job {
	t.Helper()
	n := sample(request.Running, 0)
	add(t, s, n)
	j := job(n.Request.ID, connector, state)
	j.Code, j.Message, j.Attempt, j.UpdatedAt = code, "the system says no", 10, start.Add(d)
	change(t, s, n.Request.ID, withJobs(j))
	return j
}

func jobsOf(letters []store.Letter) []request.ID {
	ids := make([]request.ID, len(letters))
	for i, l := range letters {
		ids[i] = l.JobID
	}
	return ids
}

func testLetters(t *testing.T, s store.Store) {
	b := dead(t, s, "crm", request.JobFailed, "denied", 2*time.Second)
	a := dead(t, s, "billing", request.JobFailed, "denied", time.Second)
	c := dead(t, s, "crm", request.JobOverLimit, "over_limit", 3*time.Second)
	d := dead(t, s, "crm", request.JobFailed, "", 4*time.Second)
	dead(t, s, "crm", request.JobDone, "", 0)
	dead(t, s, "crm", request.JobDeferred, "unavailable", 0)
	// What was asked again since is history, and so is what belongs to a request
	// that has ended.
	again := sample(request.Running, 0)
	add(t, s, again)
	first, second := job(again.Request.ID, "crm", request.JobFailed), job(again.Request.ID, "crm", request.JobSent)
	change(t, s, again.Request.ID, withJobs(first, second))
	closed := sample(request.Closed, 0)
	add(t, s, closed)
	change(t, s, closed.Request.ID, withJobs(job(closed.Request.ID, "crm", request.JobFailed)))

	ends, err := s.DeadEnds(t.Context())
	ok(t, err)
	same(t, "dead ends", []store.Stuck{
		{Connector: "billing", State: request.JobFailed, Code: "denied", Jobs: 1, Oldest: a.UpdatedAt},
		{Connector: "crm", State: request.JobFailed, Jobs: 1, Oldest: d.UpdatedAt},
		{Connector: "crm", State: request.JobFailed, Code: "denied", Jobs: 1, Oldest: b.UpdatedAt},
		{Connector: "crm", State: request.JobOverLimit, Code: "over_limit", Jobs: 1, Oldest: c.UpdatedAt},
	}, ends)
	for name, q := range map[string]struct {
		filter store.LetterFilter
		want   []request.ID
	}{
		"all":          {store.LetterFilter{}, []request.ID{a.ID, b.ID, c.ID, d.ID}},
		"connector":    {store.LetterFilter{Connector: "crm"}, []request.ID{b.ID, c.ID, d.ID}},
		"state":        {store.LetterFilter{State: request.JobOverLimit}, []request.ID{c.ID}},
		"code":         {store.LetterFilter{Code: "denied", HasCode: true}, []request.ID{a.ID, b.ID}},
		"without code": {store.LetterFilter{Connector: "crm", HasCode: true}, []request.ID{d.ID}},
		"before":       {store.LetterFilter{Before: c.UpdatedAt}, []request.ID{a.ID, b.ID}},
	} {
		got, err := s.Letters(t.Context(), q.filter)
		ok(t, err)
		same(t, name, q.want, jobsOf(got))
	}
	got, err := s.Letters(t.Context(), store.LetterFilter{Connector: "billing"})
	ok(t, err)
	same(t, "letter", []store.Letter{{
		RequestID: a.RequestID, JobID: a.ID, Connector: "billing", Action: a.Action, State: a.State, Code: "denied", Message: a.Message, Attempt: 10,
		EndedAt: a.UpdatedAt, Right: request.Delete, RespondBy: start.AddDate(0, 0, 45),
	}}, got)
}

func testLetterPages(t *testing.T, s store.Store) {
	var want []request.ID
	for i := range 7 {
		want = append(want, dead(t, s, "crm", request.JobFailed, "denied", time.Duration(i/3)*time.Second).ID) // three at a time ended together
	}
	all, err := s.Letters(t.Context(), store.LetterFilter{})
	ok(t, err)
	var got []request.ID
	f := store.LetterFilter{Limit: 2}
	for {
		page, err := s.Letters(t.Context(), f)
		ok(t, err)
		if len(page) == 0 {
			break
		}
		got = append(got, jobsOf(page)...)
		last := page[len(page)-1]
		f.After = store.LetterCursor{EndedAt: last.EndedAt, Job: last.JobID}
	}
	same(t, "pages", jobsOf(all), got)
	slices.Sort(got)
	slices.Sort(want)
	same(t, "listed", want, got)
}
