package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// OnwardStore is a store that remembers which recipients are told, too.
type OnwardStore interface {
	store.Store
	store.Records
	store.Onwards
}

// RunOnward tests the part of a store that remembers which recipients are told.
// open returns an empty store that is closed when its t ends.
func RunOnward(t *testing.T, open func(t testing.TB) OnwardStore) {
	t.Helper()
	t.Run("rows come and change with their request", func(t *testing.T) { testOnwardAdvance(t, open(t)) })
	t.Run("due, put off and overdue", func(t *testing.T) { testOnwardDue(t, open(t)) })
	t.Run("listed and counted by recipient", func(t *testing.T) { testOnwardListed(t, open(t)) })
	t.Run("all or nothing", func(t *testing.T) { testOnwardRollback(t, open(t)) })
}

func onwardOf(id request.ID, recipient string) store.Onward {
	return store.Onward{
		ID: request.NewID(), RequestID: id, Recipient: recipient, Role: "service_provider", Contract: "DPA-1", Letters: "AB", Basis: "flow", Channel: "email",
		State: request.OnwardWaiting, DecidedAt: start, Deadline: start.Add(48 * time.Hour), NextAt: start,
	}
}

func addOnward(t *testing.T, s store.Store, id request.ID, rows ...store.Onward) {
	t.Helper()
	change(t, s, id, func(snap *store.Snapshot) {
		snap.Changed = true
		snap.Request.Case.Onward = &request.Onward{Look: start.Add(time.Hour)}
		snap.Onward = append(snap.Onward, rows...)
	})
}

func testOnwardAdvance(t *testing.T, s OnwardStore) {
	a, b := sample(request.Running, 0), sample(request.Running, 0)
	add(t, s, a, b)
	first, second, third := onwardOf(a.Request.ID, "mailer"), onwardOf(a.Request.ID, "adnet"), onwardOf(b.Request.ID, "mailer")
	second.DecidedAt = start.Add(time.Second)
	addOnward(t, s, a.Request.ID, first, second)
	addOnward(t, s, b.Request.ID, third)

	told := first
	told.State, told.ToldAt, told.ShownAt, told.AcknowledgedAt = request.OnwardAcknowledged, start.Add(time.Minute), start.Add(2*time.Minute), start.Add(time.Hour)
	told.AcknowledgedBy, told.Reminders, told.Tries, told.Failed, told.NextAt = "recipient", 2, 1, "unavailable", time.Time{}
	told.Note = "said so by phone"
	_, err := s.Advance(t.Context(), store.Selector{IDs: []request.ID{a.Request.ID, b.Request.ID}}, true, func(snaps []*store.Snapshot) error {
		for _, snap := range snaps {
			want := []store.Onward{third}
			if snap.Request.ID == a.Request.ID {
				want = []store.Onward{first, second}
				snap.Onward[0] = told
				snap.TouchOnward(0)
			}
			if !slices.Equal(snap.Onward[len(snap.Onward)-1:], want[len(want)-1:]) || len(snap.Onward) != len(want) || snap.StoredOnward != len(want) {
				t.Errorf("loaded %+v, want %+v", snap.Onward, want)
			}
		}
		return nil
	})
	ok(t, err)
	got, err := s.OnwardOf(t.Context(), a.Request.ID)
	ok(t, err)
	same(t, "rows of the first request", []store.Onward{told, second}, got)
	one, err := s.GetOnward(t.Context(), third.ID)
	ok(t, err)
	same(t, "one row", third, one)
	if _, err := s.GetOnward(t.Context(), request.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a row that is not there: %v", err)
	}
	due, err := s.Due(t.Context(), start.Add(time.Hour), start, nil, 10)
	ok(t, err)
	if len(due) != 2 {
		t.Errorf("%d requests wake to look at their recipients, want 2", len(due))
	}

	change(t, s, b.Request.ID, func(snap *store.Snapshot) { // what it needs to be old enough to forget
		snap.Changed, snap.Request.ClosedAt = true, start
		ended := *snap.Request.Request
		ended.Ending = &request.Ending{Result: request.ResultComplete}
		closed, err := request.Restore(ended, snap.Request.Right(), request.Closed, request.Unverified{})
		ok(t, err)
		snap.Request.Request = closed
	})
	if n, err := s.Forget(t.Context(), start.Add(time.Hour), 10); err != nil || n != 1 {
		t.Errorf("%d requests forgotten, want 1: %v", n, err)
	}
	if rows, err := s.OnwardOf(t.Context(), b.Request.ID); err != nil || len(rows) > 0 {
		t.Errorf("%d recipients of a forgotten request: %v", len(rows), err)
	}
}

func testOnwardDue(t *testing.T, s OnwardStore) {
	a := sample(request.Running, 0)
	add(t, s, a)
	mailer, adnet, excused, acknowledged := onwardOf(a.Request.ID, "mailer"), onwardOf(a.Request.ID, "adnet"), onwardOf(a.Request.ID, "broker"), onwardOf(a.Request.ID, "host")
	adnet.State, adnet.NextAt, adnet.Deadline = request.OnwardTold, start.Add(time.Hour), start.Add(2*time.Hour)
	excused.State, excused.NextAt, excused.Code = request.OnwardExcused, time.Time{}, "impossible"
	acknowledged.State = request.OnwardAcknowledged
	addOnward(t, s, a.Request.ID, mailer, adnet, excused, acknowledged)
	due := func(at time.Time, want ...store.Onward) {
		t.Helper()
		got, err := s.DueOnward(t.Context(), at, 10)
		ok(t, err)
		same(t, "due", want, got)
	}
	due(start.Add(-time.Second))
	due(start, mailer)
	due(start.Add(time.Hour), mailer, adnet)
	ok(t, s.PutOffOnward(t.Context(), mailer.ID, start.Add(30*time.Minute), "unavailable"))
	ok(t, s.PutOffOnward(t.Context(), excused.ID, start, "unavailable")) // nothing is expected of it
	mailer.Tries, mailer.Failed, mailer.NextAt = 1, "unavailable", start.Add(30*time.Minute)
	due(start)
	due(start.Add(time.Hour), mailer, adnet)
	ok(t, s.PutOffOnward(t.Context(), adnet.ID, time.Time{}, "no_channel")) // not again
	due(start.Add(time.Hour), mailer)

	over, err := s.OverdueOnward(t.Context(), start.Add(3*time.Hour), 10)
	ok(t, err)
	if len(over) != 1 || over[0].ID != adnet.ID || !over[0].Overdue(start.Add(3*time.Hour)) {
		t.Errorf("overdue: %+v", over)
	}
	standing, err := s.OnwardStanding(t.Context(), start.Add(3*time.Hour))
	ok(t, err)
	same(t, "standing", store.OnwardStanding{Waiting: 1, Told: 1, Unsent: 1, Overdue: 1}, standing)
}

func testOnwardRollback(t *testing.T, s OnwardStore) {
	a := sample(request.Running, 0)
	add(t, s, a)
	failed := errors.New("no")
	_, err := s.Advance(t.Context(), store.Selector{IDs: []request.ID{a.Request.ID}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Onward = append(snaps[0].Onward, onwardOf(a.Request.ID, "mailer"))
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	one := onwardOf(a.Request.ID, "mailer")
	twice := onwardOf(a.Request.ID, "mailer")
	_, err = s.Advance(t.Context(), store.Selector{IDs: []request.ID{a.Request.ID}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Onward = append(snaps[0].Onward, one, twice)
		return nil
	})
	if err == nil {
		t.Error("one recipient is to be told twice of one request")
	}
	if rows, err := s.OnwardOf(t.Context(), a.Request.ID); err != nil || len(rows) > 0 {
		t.Errorf("%d rows are left of what was rolled back: %v", len(rows), err)
	}
}

func testOnwardListed(t *testing.T, s OnwardStore) {
	a, b := sample(request.Running, 0), sample(request.Running, 0)
	add(t, s, a, b)
	row := func(id request.ID, recipient string, state request.OnwardState, deadline time.Duration, failed string) store.Onward {
		o := onwardOf(id, recipient)
		o.State, o.Deadline, o.Failed = state, start.Add(deadline), failed
		if state == request.OnwardAcknowledged {
			o.AcknowledgedAt = start.Add(-deadline)
		}
		return o
	}
	late, soon := row(a.Request.ID, "mailer", request.OnwardTold, time.Hour, ""), row(b.Request.ID, "mailer", request.OnwardWaiting, 3*time.Hour, "")
	unsent, excused := row(a.Request.ID, "adnet", request.OnwardWaiting, 2*time.Hour, "refused"), row(b.Request.ID, "adnet", request.OnwardExcused, 4*time.Hour, "")
	done, old := row(a.Request.ID, "host", request.OnwardAcknowledged, 5*time.Hour, ""), row(b.Request.ID, "host", request.OnwardAcknowledged, 48*time.Hour, "")
	addOnward(t, s, a.Request.ID, late, unsent, done)
	addOnward(t, s, b.Request.ID, soon, excused, old)
	now := start.Add(90 * time.Minute)
	counts, err := s.OnwardCounts(t.Context(), now, start.Add(-24*time.Hour))
	ok(t, err)
	same(t, "counts", []store.OnwardCount{
		{Recipient: "adnet", Waiting: 1, Unsent: 1}, {Recipient: "host", Acknowledged: 1}, {Recipient: "mailer", Waiting: 1, Told: 1, Overdue: 1},
	}, counts)
	for name, c := range map[string]struct {
		filter store.OnwardFilter
		want   []store.Onward
	}{
		"all":                 {store.OnwardFilter{}, []store.Onward{old, done, excused, soon, unsent, late}},
		"open":                {store.OnwardFilter{Open: true}, []store.Onward{late, unsent, soon}},
		"overdue":             {store.OnwardFilter{Overdue: now}, []store.Onward{late}},
		"unsent":              {store.OnwardFilter{Unsent: true}, []store.Onward{unsent}},
		"acknowledged":        {store.OnwardFilter{Acknowledged: true}, []store.Onward{old, done}},
		"open of one":         {store.OnwardFilter{Open: true, Recipient: "mailer"}, []store.Onward{late, soon}},
		"all of one":          {store.OnwardFilter{Recipient: "adnet"}, []store.Onward{excused, unsent}},
		"the first two":       {store.OnwardFilter{Open: true, Limit: 2}, []store.Onward{late, unsent}},
		"after the first two": {store.OnwardFilter{Open: true, Limit: 2, After: store.OnwardCursor{Deadline: unsent.Deadline, ID: unsent.ID}}, []store.Onward{soon}},
		"all, after two":      {store.OnwardFilter{After: store.OnwardCursor{Deadline: done.Deadline, ID: done.ID}}, []store.Onward{excused, soon, unsent, late}},
		"of nobody":           {store.OnwardFilter{Recipient: "nobody"}, nil},
	} {
		got, err := s.ListOnward(t.Context(), c.filter)
		ok(t, err)
		if len(got) != len(c.want) || len(got) > 0 && !slices.Equal(got, c.want) {
			t.Errorf("%s: listed %+v, want %+v", name, got, c.want)
		}
	}
}
