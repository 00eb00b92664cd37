package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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
	due := start.AddDate(0, 0, 45)
	spare := func(closed time.Time) time.Duration { return due.Sub(closed).Truncate(time.Second) }
	for i := range got {
		got[i].Taken = got[i].Taken.Round(10 * time.Second)
		got[i].Spare = got[i].Spare.Round(10 * time.Second)
	}
	same(t, "days", []store.Day{
		{Day: day, Arrived: 2, Closed: 1, Spare: spare(day).Round(10 * time.Second)},
		{Day: day.Add(2 * d), Arrived: 1, Closed: 1, Taken: d, Spare: spare(day.Add(3 * d)).Round(10 * time.Second)},
	}, got)
	// One that is closed now counts as closed, after its deadline as late.
	n := dueIn(request.Closing, time.Hour)
	n.Request.CreatedAt = day.Add(4 * d)
	add(t, s, n)
	change(t, s, n.Request.ID, func(snap *store.Snapshot) {
		ok(t, snap.Request.Move(request.Closed))
		snap.Request.ClosedAt, snap.Changed = day.Add(5*d), true
	})
	got, err = s.Days(t.Context(), day.Add(4*d))
	ok(t, err)
	if len(got) != 2 || got[0].Arrived != 1 || got[1].Closed != 1 || got[1].Late != 1 || got[1].Taken != d || got[1].Spare >= 0 {
		t.Errorf("after a late closing: %+v", got)
	}
}

// The counts follow every change, in whatever pieces they are kept, and say the
// same after they were put together.
func testTallied(t *testing.T, s store.Store) {
	a, b, c := sampleOf(request.Delete, request.Accepted, 0), sampleOf(request.KnowSpecific, request.Accepted, 0), sampleOf(request.Delete, request.Closed, 0)
	b.Request.Channel, b.Request.Regime = request.ChannelEmail, "us-va-vcdpa"
	add(t, s, a, b, c)
	check := func(f store.Filter, want map[request.State]int64) {
		t.Helper()
		for range 2 {
			got, err := s.Tallied(t.Context(), f)
			ok(t, err)
			same(t, "tallied", want, got)
			ok(t, s.Tidy(t.Context()))
		}
	}
	check(store.Filter{}, map[request.State]int64{request.Accepted: 2, request.Closed: 1})
	check(store.Filter{Right: request.Delete}, map[request.State]int64{request.Accepted: 1, request.Closed: 1})
	check(store.Filter{Channel: request.ChannelEmail, Regime: "us-va-vcdpa"}, map[request.State]int64{request.Accepted: 1})
	check(store.Filter{Attention: true}, map[request.State]int64{})
	change(t, s, a.Request.ID, func(snap *store.Snapshot) {
		ok(t, snap.Request.Move(request.Running))
		snap.Request.Attention, snap.Changed = "failed", true
	})
	change(t, s, a.Request.ID, func(snap *store.Snapshot) { snap.Request.Assignee, snap.Changed = "ana", true })
	check(store.Filter{}, map[request.State]int64{request.Accepted: 1, request.Running: 1, request.Closed: 1})
	check(store.Filter{Attention: true}, map[request.State]int64{request.Running: 1})
	for f, want := range map[*store.Filter]int64{
		{}: 3, {Open: true}: 2, {State: request.Running}: 1, {Right: request.Delete, Open: true}: 1, {Attention: true, Right: request.KnowSpecific}: 0,
		{Assignee: "ana"}: 1, {Assignee: "bob"}: 0,
	} {
		got, err := s.Matches(t.Context(), *f)
		ok(t, err)
		if got != want {
			t.Errorf("%+v matches %d requests, want %d", *f, got, want)
		}
	}
}

// Every listing gives the requests that match, all of them and in its order,
// whatever is combined.
func testListCombined(t *testing.T, s store.Store) {
	var all []store.Request
	waiting := make(map[request.ID]string)
	people := make(map[request.ID][]byte)
	for i := range 48 {
		state := []request.State{request.Accepted, request.Running, request.Closed}[i%3]
		n := sampleOf([]request.Right{request.Delete, request.KnowSpecific}[i%2], state, time.Duration(i/4)*time.Second)
		n.Request.Channel = []request.Channel{request.ChannelWeb, request.ChannelEmail}[i/2%2]
		n.Request.Regime = []string{"us-ca-ccpa", "us-va-vcdpa"}[i/4%2]
		n.Request.RespondBy = start.Add(time.Duration(100-i) * time.Hour)
		n.Request.Assignee = []string{"", "ana", "bob"}[i/5%3]
		n.Request.Attention = []string{"", "", "failed"}[i/7%3]
		if i%11 == 0 {
			n.People = [][]byte{fixed(9)}
			people[n.Request.ID] = fixed(9)
		}
		add(t, s, n)
		if i%5 == 0 {
			state := []request.JobState{request.JobSent, request.JobFailed, request.JobDone}[i/5%3]
			change(t, s, n.Request.ID, withJobs(job(n.Request.ID, "crm", state)))
			if state != request.JobDone {
				waiting[n.Request.ID] = "crm"
			}
		}
		all = append(all, n.Request)
	}
	matches := func(f store.Filter, r *store.Request) bool {
		return (f.State == "" || r.State() == f.State) && (f.Right == "" || r.Right() == f.Right) && (f.Channel == "" || r.Channel == f.Channel) &&
			(f.Regime == "" || r.Regime == f.Regime) && (!f.Attention || r.Attention != "") && (!f.OnlyOpen() || r.State() != request.Closed) &&
			(f.Assignee == "" || r.Assignee == f.Assignee) && (f.Connector == "" || waiting[r.ID] == f.Connector) &&
			(f.DueAfter.IsZero() || r.RespondBy.After(f.DueAfter)) && (f.DueUntil.IsZero() || !r.RespondBy.After(f.DueUntil)) &&
			(len(f.Person) == 0 || slices.Equal(people[r.ID], f.Person))
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := store.Filter{
			State: rapid.SampledFrom([]request.State{"", "", request.Accepted, request.Closed}).Draw(rt, "state"), Right: rapid.SampledFrom([]request.Right{"", request.Delete}).Draw(rt, "right"),
			Channel: rapid.SampledFrom([]request.Channel{"", request.ChannelEmail}).Draw(rt, "channel"), Regime: rapid.SampledFrom([]string{"", "us-va-vcdpa"}).Draw(rt, "regime"),
			Attention: rapid.Bool().Draw(rt, "attention"), Open: rapid.Bool().Draw(rt, "open"), Assignee: rapid.SampledFrom([]string{"", "", "ana"}).Draw(rt, "assignee"),
			Connector: rapid.SampledFrom([]string{"", "", "crm", "gone"}).Draw(rt, "connector"), Sort: rapid.SampledFrom([]store.Sort{store.SortNewest, store.SortOldest, store.SortDue}).Draw(rt, "sort"),
			Limit: rapid.IntRange(1, 20).Draw(rt, "limit"),
		}
		if rapid.Bool().Draw(rt, "due") {
			f.DueAfter, f.DueUntil = start.Add(60*time.Hour), start.Add(90*time.Hour)
		}
		if rapid.IntRange(0, 4).Draw(rt, "person") == 0 {
			f.Person = fixed(9)
		}
		var want []store.Request
		for i := range all {
			if matches(f, &all[i]) {
				want = append(want, all[i])
			}
		}
		slices.SortFunc(want, func(a, b store.Request) int {
			switch f.Sort {
			case store.SortDue:
				return cmp.Or(a.RespondBy.Compare(b.RespondBy), strings.Compare(string(a.ID), string(b.ID)))
			case store.SortOldest:
				return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(string(a.ID), string(b.ID)))
			default:
				return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(string(b.ID), string(a.ID)))
			}
		})
		var ids []request.ID
		for i := range want {
			ids = append(ids, want[i].ID)
		}
		n, err := s.Matches(t.Context(), f)
		if err != nil || n != int64(len(ids)) {
			rt.Fatalf("%+v: counted %d requests, %v; want %d", f, n, err, len(ids))
		}
		if got := pages(t, s, f); !slices.Equal(got, ids) {
			rt.Fatalf("%+v: listed %v, want %v", f, got, ids)
		}
	})
}

func testPace(t *testing.T, s store.Store) {
	n := dueIn(request.Running, time.Hour)
	late := dueIn(request.Running, 3*time.Hour)
	add(t, s, n, late)
	ok(t, s.PutConnector(t.Context(), writtenConnector()))
	ended := func(state request.JobState, at time.Duration) store.Job {
		j := job(n.Request.ID, "crm", state)
		j.UpdatedAt = start.Add(at)
		return j
	}
	change(t, s, n.Request.ID, withJobs(ended(request.JobDone, -2*time.Hour), ended(request.JobDone, 0), ended(request.JobPartial, time.Minute),
		ended(request.JobFailed, time.Minute), ended(request.JobSent, 0), ended(request.JobPlanned, 0)))
	change(t, s, late.Request.ID, withJobs(job(late.Request.ID, "crm", request.JobDeferred), job(late.Request.ID, "billing", request.JobDone)))
	got, err := s.Pace(t.Context(), start.Add(-time.Hour))
	ok(t, err)
	same(t, "pace", []store.Pace{{Connector: "crm", Answered: 2, First: start}}, got)
	for free, want := range map[time.Duration]map[string]int64{
		time.Hour: {}, 2 * time.Hour: {"crm": 1}, 4 * time.Hour: {"crm": 2},
	} {
		got, err := s.AtRisk(t.Context(), map[string]time.Time{"crm": start.Add(free), "billing": start.Add(free), "gone": start.Add(free)})
		ok(t, err)
		same(t, "at risk", want, got)
	}
}

func testSavedFilters(t *testing.T, s store.Store) {
	save := func(who, name, query string) error {
		return s.SaveFilter(t.Context(), store.SavedFilter{Who: who, Name: name, Query: query})
	}
	ok(t, save("ana", "mine", "assignee=ana"))
	ok(t, save("ana", "late", "sort=due"))
	ok(t, save("bob", "mine", "assignee=bob"))
	ok(t, save("ana", "mine", "assignee=ana&sort=due"))
	got, err := s.SavedFilters(t.Context(), "ana")
	ok(t, err)
	same(t, "saved", []store.SavedFilter{{Who: "ana", Name: "late", Query: "sort=due"}, {Who: "ana", Name: "mine", Query: "assignee=ana&sort=due"}}, got)
	ok(t, s.DropFilter(t.Context(), "ana", "mine"))
	ok(t, s.DropFilter(t.Context(), "ana", "mine"))
	for i := range store.SavedMost - 1 {
		ok(t, save("ana", fmt.Sprint(i), ""))
	}
	if err := save("ana", "one more", ""); !errors.Is(err, store.ErrFull) {
		t.Errorf("one filter too many: %v", err)
	}
	if got, err := s.SavedFilters(t.Context(), "ana"); err != nil || len(got) != store.SavedMost {
		t.Errorf("%d filters, %v", len(got), err)
	}
	if got, err := s.SavedFilters(t.Context(), "bob"); err != nil || len(got) != 1 {
		t.Errorf("somebody else has %d filters, %v", len(got), err)
	}
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
