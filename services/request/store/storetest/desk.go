package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// dueIn makes a request whose answer is late at start plus d.
func dueIn(state request.State, d time.Duration) store.New {
	n := sample(state, 0)
	n.Request.RespondBy, n.Request.Attention = start.Add(d), ""
	return n
}

func testListRegime(t *testing.T, s store.Store) {
	a, b := sample(request.Accepted, 0), sample(request.Accepted, time.Second)
	b.Request.Regime = "us-va-vcdpa"
	add(t, s, a, b)
	got := pages(t, s, store.Filter{Regime: "us-va-vcdpa", Limit: 2})
	if !slices.Equal(got, []request.ID{b.Request.ID}) {
		t.Errorf("listed %v, want %v", got, b.Request.ID)
	}
	if got := pages(t, s, store.Filter{Regime: "nowhere", Limit: 2}); len(got) != 0 {
		t.Errorf("a regime nobody used lists %v", got)
	}
}

func testStanding(t *testing.T, s store.Store) {
	late, edge := dueIn(request.Running, -time.Hour), dueIn(request.Running, 0)
	near, far := dueIn(request.Accepted, time.Hour), dueIn(request.Accepted, time.Hour+time.Microsecond)
	far.Request.Attention = "failed"
	closed := dueIn(request.Closed, -time.Hour)
	closed.Request.Attention = "failed"
	add(t, s, late, edge, near, far, closed)
	got, err := s.Standing(t.Context(), start, start.Add(time.Hour))
	ok(t, err)
	same(t, "standing", store.Standing{
		Open: map[request.State]int64{request.Running: 2, request.Accepted: 2}, Late: 2, Soon: 1, Attention: 1,
	}, got)
}

func testPressing(t *testing.T, s store.Store) {
	a, b, c := dueIn(request.Running, 3*time.Hour), dueIn(request.Held, -time.Hour), dueIn(request.Accepted, 2*time.Hour)
	add(t, s, a, b, c, dueIn(request.Closed, -time.Hour))
	for limit, want := range map[int][]request.ID{
		2: {b.Request.ID, c.Request.ID}, 9: {b.Request.ID, c.Request.ID, a.Request.ID},
	} {
		rows, err := s.Pressing(t.Context(), limit)
		ok(t, err)
		var got []request.ID
		for i := range rows {
			got = append(got, rows[i].ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the first %d: %v, want %v", limit, got, want)
		}
	}
}

func testDays(t *testing.T, s store.Store) {
	day := start.UTC().Truncate(24 * time.Hour)
	at := func(created, closed time.Time) store.New {
		n := sample(request.Accepted, 0)
		if !closed.IsZero() {
			n = sample(request.Closed, 0)
		}
		n.Request.CreatedAt, n.Request.ClosedAt = created, closed
		return n
	}
	const d = 24 * time.Hour
	add(t, s,
		at(day.Add(-time.Microsecond), day),             // came too early to be counted, closed on the first day
		at(day, time.Time{}),                            // at the first instant
		at(day.Add(d-time.Microsecond), time.Time{}),    // at the last of the same day
		at(day.Add(2*d), day.Add(3*d-time.Microsecond)), // came and went on the third
	)
	got, err := s.Days(t.Context(), day)
	ok(t, err)
	same(t, "days", []store.Day{{Day: day, Arrived: 2, Closed: 1}, {Day: day.Add(2 * d), Arrived: 1, Closed: 1}}, got)
}

func testStuck(t *testing.T, s store.Store) {
	n, done := sample(request.Running, 0), sample(request.Closed, 0)
	add(t, s, n, done)
	failed := func(id request.ID, connector string, at time.Duration) store.Job {
		j := job(id, connector, request.JobFailed)
		j.Code, j.UpdatedAt = "denied", start.Add(at)
		return j
	}
	sent := job(n.Request.ID, "billing", request.JobSent)
	sent.Code, sent.UpdatedAt = "", start
	change(t, s, n.Request.ID, withJobs(failed(n.Request.ID, "crm", time.Minute), failed(n.Request.ID, "crm", time.Second), sent, job(n.Request.ID, "crm", request.JobDone)))
	change(t, s, done.Request.ID, withJobs(failed(done.Request.ID, "crm", 0)))
	got, err := s.Stuck(t.Context())
	ok(t, err)
	same(t, "stuck", []store.Stuck{
		{Connector: "billing", State: request.JobSent, Jobs: 1, Oldest: start},
		{Connector: "crm", State: request.JobFailed, Code: "denied", Jobs: 2, Oldest: start.Add(time.Second)},
	}, got)
}
