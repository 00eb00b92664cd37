package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func testGet(t *testing.T, s store.Store) {
	a, b := two(t, s)
	if _, jobs := get(t, s, a); len(jobs) != 1 {
		t.Errorf("%d jobs, want 1", len(jobs))
	}
	if _, jobs := get(t, s, b); len(jobs) != 0 {
		t.Errorf("%d jobs, want none", len(jobs))
	}
	if _, _, err := s.Get(t.Context(), request.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// pages reads a whole listing and returns its ids.
func pages(t testing.TB, s store.Store, f store.Filter) []request.ID {
	t.Helper()
	var ids []request.ID
	for range 100 {
		page, err := s.List(t.Context(), f)
		ok(t, err)
		if len(page) > f.Limit {
			t.Fatalf("a page has %d requests, want at most %d", len(page), f.Limit)
		}
		for i := range page {
			ids = append(ids, page[i].ID)
		}
		if len(page) < f.Limit {
			return ids
		}
		last := page[len(page)-1]
		f.Before = f.CursorOf(&last)
	}
	t.Fatal("the listing does not end")
	return nil
}

func testListPages(t *testing.T, s store.Store) {
	// Three at each of four instants a microsecond apart.
	var want []request.ID
	for i := range 12 {
		n := sample(request.Accepted, time.Duration(i/3)*time.Microsecond)
		add(t, s, n)
		want = append([]request.ID{n.Request.ID}, want...)
	}
	for _, limit := range []int{1, 2, 3, 5, 12, 13} {
		if got := pages(t, s, store.Filter{Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	all, err := s.List(t.Context(), store.Filter{})
	ok(t, err)
	if len(all) != 12 {
		t.Errorf("the usual page has %d requests, want 12", len(all))
	}
	// A request that arrives meanwhile is on no later page.
	first, err := s.List(t.Context(), store.Filter{Limit: 6})
	ok(t, err)
	add(t, s, sample(request.Accepted, time.Hour))
	rest := pages(t, s, store.Filter{Limit: 6, Before: store.Cursor{CreatedAt: first[5].CreatedAt, ID: first[5].ID}})
	if !slices.Equal(rest, want[6:]) {
		t.Errorf("second page %v, want %v", rest, want[6:])
	}
}

func testListFilters(t *testing.T, s store.Store) {
	var all []store.Request
	for i, right := range []request.Right{request.Delete, request.KnowSpecific, request.OptOutSaleShare} {
		for k, state := range []request.State{request.Accepted, request.Closed} {
			for _, attention := range []string{"", "failed"} {
				n := sampleOf(right, state, time.Duration(i*k)*time.Second)
				n.Request.Attention = attention
				add(t, s, n)
				all = append(all, n.Request)
			}
		}
	}
	for _, state := range []request.State{"", request.Accepted, request.Closed, request.Running} {
		for _, right := range []request.Right{"", request.Delete, request.OptOutSaleShare, request.Correct} {
			for _, attention := range []bool{false, true} {
				var want []request.ID
				for _, r := range all {
					if (state == "" || r.State() == state) && (right == "" || r.Right() == right) && (!attention || r.Attention != "") {
						want = append(want, r.ID)
					}
				}
				got := pages(t, s, store.Filter{State: state, Right: right, Attention: attention, Limit: 2})
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("state %q, right %q, attention %v: %d requests, want %d", state, right, attention, len(got), len(want))
				}
			}
		}
	}
}

func testSeveral(t *testing.T, s store.Store) {
	a, b := two(t, s)
	two(t, s)
	got, err := s.Several(t.Context(), []request.ID{b, request.NewID(), a, b})
	ok(t, err)
	var want []store.Request
	for _, id := range []request.ID{a, b} {
		one, _, err := s.Get(t.Context(), id)
		ok(t, err)
		want = append(want, one)
	}
	slices.SortFunc(got, func(x, y store.Request) int { return strings.Compare(string(x.ID), string(y.ID)) })
	slices.SortFunc(want, func(x, y store.Request) int { return strings.Compare(string(x.ID), string(y.ID)) })
	same(t, "requests", want, got)
	none, err := s.Several(t.Context(), nil)
	if err != nil || len(none) != 0 {
		t.Errorf("of none: %v, %v", none, err)
	}
}

func testJobsOf(t *testing.T, s store.Store) {
	a, b := two(t, s)
	c := sample(request.Running, 0)
	add(t, s, c)
	second := change(t, s, b, withJobs(job(b, "crm", request.JobDone), job(b, "crm", request.JobPlanned)))
	jobs, err := s.JobsOf(t.Context(), []request.ID{b, request.NewID(), a, c.Request.ID})
	ok(t, err)
	if len(jobs[a]) != 1 || len(jobs[c.Request.ID]) != 0 || len(jobs) > 3 {
		t.Errorf("got jobs of %d requests", len(jobs))
	}
	same(t, "jobs", second.Jobs, jobs[b])
	none, err := s.JobsOf(t.Context(), nil)
	if err != nil || len(none) != 0 {
		t.Errorf("jobs of nobody: %v, %v", none, err)
	}
}

func testCounts(t *testing.T, s store.Store) {
	counts, err := s.Counts(t.Context())
	if err != nil || len(counts) != 0 {
		t.Errorf("an empty store counts %v, %v", counts, err)
	}
	add(t, s, sample(request.Accepted, 0), sample(request.Accepted, 0), sample(request.Closed, 0))
	counts, err = s.Counts(t.Context())
	ok(t, err)
	same(t, "counts", map[request.State]int64{request.Accepted: 2, request.Closed: 1}, counts)
}

func testDueJobs(t *testing.T, s store.Store) {
	now := start.Add(time.Hour)
	stale := now.Add(-30 * time.Second)
	var want []request.ID
	for i, c := range []struct {
		state     request.JobState
		connector string
		next      time.Time
		sent      time.Time
		due       bool
	}{
		{request.JobPlanned, "crm", now, time.Time{}, true},
		{request.JobPlanned, "crm", now.Add(-time.Hour), time.Time{}, true},
		{request.JobPlanned, "crm", now.Add(time.Microsecond), time.Time{}, false},
		{request.JobDeferred, "crm", now, now.Add(-time.Hour), true},
		{request.JobDeferred, "crm", now.Add(time.Second), now.Add(-time.Hour), false},
		{request.JobSent, "lost", time.Time{}, stale.Add(-time.Microsecond), true},
		{request.JobSent, "lost", time.Time{}, stale, false},
		{request.JobSent, "lost", now.Add(-time.Hour), now, false}, // next_at is for jobs that wait
		{request.JobSent, "crm", time.Time{}, stale.Add(-time.Hour), false},
		{request.JobSent, "gone", time.Time{}, stale.Add(-time.Hour), true},
		{request.JobDone, "lost", now.Add(-time.Hour), stale.Add(-time.Hour), false},
		{request.JobFailed, "lost", now.Add(-time.Hour), stale.Add(-time.Hour), false},
	} {
		n := sample(request.Running, 0)
		add(t, s, n)
		j := job(n.Request.ID, c.connector, c.state)
		j.NextAt, j.SentAt = c.next, c.sent
		jobs := []store.Job{j}
		if i == 0 {
			again := job(n.Request.ID, "billing", request.JobPlanned) // two due jobs are one due request
			jobs = append(jobs, again)
		}
		change(t, s, n.Request.ID, withJobs(jobs...))
		if c.due {
			want = append(want, n.Request.ID)
		}
	}
	got, err := s.Due(t.Context(), now, stale, []string{"lost", "gone"}, 100)
	ok(t, err)
	slices.Sort(got)
	same(t, "due", want, got)
	for _, lost := range [][]string{nil, {}, {"other"}} {
		got, err := s.Due(t.Context(), now, stale, lost, 100)
		ok(t, err)
		if len(got) != 3 {
			t.Errorf("with %v lost %d requests are due, want 3", lost, len(got))
		}
	}
}

func testDueClosures(t *testing.T, s store.Store) {
	open, closing, recorded, closed := sample(request.Running, 0), sample(request.Closing, 0), sample(request.Closing, 0), sample(request.Closed, 0)
	recorded.Request.ClosureDigest = digest()
	add(t, s, open, closing, recorded, closed)
	got, err := s.Due(t.Context(), start, start, nil, 100)
	ok(t, err)
	same(t, "due", []request.ID{closing.Request.ID}, got)
}

func testDueLimit(t *testing.T, s store.Store) {
	for i := range 6 {
		n := sample(request.Running, 0)
		add(t, s, n, sample(request.Closing, 0))
		j := job(n.Request.ID, "crm", request.JobPlanned)
		if i%2 == 0 {
			j.State, j.SentAt = request.JobSent, start
		}
		change(t, s, n.Request.ID, withJobs(j))
	}
	for limit, want := range map[int]int{1: 1, 4: 4, 12: 12, 100: 12} {
		got, err := s.Due(t.Context(), start.Add(time.Hour), start.Add(time.Hour), []string{"crm"}, limit)
		ok(t, err)
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != want {
			t.Errorf("limit %d: %d requests, want %d", limit, n, want)
		}
	}
}

func testOutstanding(t *testing.T, s store.Store) {
	before := start.Add(time.Minute)
	n := sample(request.Running, 0)
	add(t, s, n)
	var jobs []store.Job
	for i, c := range []struct {
		connector string
		state     request.JobState
		sent      time.Time
	}{
		{"crm", request.JobSent, before.Add(-2 * time.Second)},
		{"crm", request.JobSent, before.Add(-5 * time.Second)},
		{"crm", request.JobSent, before}, // not before
		{"crm", request.JobDone, before.Add(-time.Hour)},
		{"billing", request.JobSent, before.Add(-time.Microsecond)},
		{"adtech", request.JobDeferred, before.Add(-time.Hour)},
	} {
		j := job(n.Request.ID, c.connector, c.state)
		j.SentAt, j.Message = c.sent, fmt.Sprint(i)
		jobs = append(jobs, j)
	}
	change(t, s, n.Request.ID, withJobs(jobs...))
	got, err := s.Outstanding(t.Context(), before)
	ok(t, err)
	same(t, "outstanding", []store.Outstanding{
		{Connector: "billing", Sent: 1, Oldest: before.Add(-time.Microsecond)},
		{Connector: "crm", Sent: 2, Oldest: before.Add(-5 * time.Second)},
	}, got)
}
