package storetest

import (
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func testRelated(t *testing.T, s store.Store) {
	mail, phone, other := digest(), digest(), digest()
	first, second, third := sample(request.Running, 0), sampleOf(request.KnowSpecific, request.Closed, time.Second), sample(request.Running, 2*time.Second)
	first.People, second.People, third.People = [][]byte{mail, phone, mail}, [][]byte{mail}, [][]byte{other}
	first.Request.Case.Portions = []string{"A"}
	add(t, s, first, second, third)

	got, err := s.Related(t.Context(), [][]byte{mail, phone})
	ok(t, err)
	type seen struct {
		digest string
		id     request.ID
	}
	want := map[seen]request.Past{
		{string(mail), first.Request.ID}: past(&first), {string(phone), first.Request.ID}: past(&first), {string(mail), second.Request.ID}: past(&second),
	}
	for _, r := range got {
		key := seen{string(r.Digest), r.ID}
		if _, known := want[key]; !known {
			t.Errorf("request %s is related, and was not asked for", r.ID)
		}
		same(t, "related request", want[key], r.Past)
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("%d related requests are missing", len(want))
	}
	none, err := s.Related(t.Context(), [][]byte{digest()})
	ok(t, err)
	nothing, err := s.Related(t.Context(), nil)
	ok(t, err)
	if len(none)+len(nothing) > 0 {
		t.Errorf("strangers are related: %v %v", none, nothing)
	}
	people, err := s.PeopleOf(t.Context(), second.Request.ID)
	ok(t, err)
	same(t, "digests", [][]byte{mail}, people)
}

func past(n *store.New) request.Past {
	r := n.Request.Request
	p := request.Past{ID: r.ID, Right: r.Right(), Channel: r.Channel, State: r.State(), Received: r.Terms.Received, Day: r.Terms.Due.Received, Due: r.Terms.Due, Case: r.Case}
	if r.Ending != nil {
		p.Result, p.Code = r.Ending.Result, r.Ending.Code
	}
	return p
}

func testNotices(t *testing.T, s store.Store) {
	n := sample(request.Running, 0)
	receipt := store.Notice{RequestID: n.Request.ID, Kind: store.NoticeReceipt, CreatedAt: start}
	n.Notices = []store.Notice{receipt}
	add(t, s, n)
	denial := store.Notice{RequestID: n.Request.ID, Kind: store.NoticeDenial, CreatedAt: start.Add(time.Minute)}
	for range 2 { // the second time it is there
		change(t, s, n.Request.ID, func(snap *store.Snapshot) { snap.Notices = append(snap.Notices, denial, receipt) })
	}
	open := func() []store.Notice {
		t.Helper()
		got, err := s.Notices(t.Context(), 10)
		ok(t, err)
		return got
	}
	same(t, "notices", []store.Notice{receipt, denial}, open())
	ok(t, s.Noticed(t.Context(), []store.Notice{receipt}))
	ok(t, s.Noticed(t.Context(), nil))
	same(t, "notices", []store.Notice{denial}, open())
	change(t, s, n.Request.ID, func(snap *store.Snapshot) { snap.Notices = append(snap.Notices, receipt) })
	same(t, "notices after one was told of again", []store.Notice{denial}, open())
}

// A request wakes at its own time, whatever its state.
func testDueWake(t *testing.T, s store.Store) {
	waiting, closed := sample(request.AwaitingVerification, 0), sample(request.Closed, 0)
	closed.Request.ClosureDigest = digest()
	closed.Request.Case.Children = []request.Child{{ID: request.NewID(), Right: request.Delete, Origin: request.FromRetention, At: start.AddDate(1, 0, 0)}}
	add(t, s, waiting, closed)
	due := func(at time.Time) []request.ID {
		t.Helper()
		ids, err := s.Due(t.Context(), at, start, nil, 10)
		ok(t, err)
		return ids
	}
	if ids := due(waiting.Request.Wake().Add(-time.Second)); len(ids) > 0 {
		t.Errorf("woken early: %v", ids)
	}
	same(t, "due at the end of the clock", []request.ID{waiting.Request.ID}, due(waiting.Request.Wake()))
	if ids := due(start.AddDate(1, 0, 0)); len(ids) != 2 {
		t.Errorf("due when a basis has ended: %v", ids)
	}
	change(t, s, closed.Request.ID, func(snap *store.Snapshot) {
		snap.Request.Case.Children[0].Made, snap.Changed = true, true
	})
	same(t, "due once the child is made", []request.ID{waiting.Request.ID}, due(start.AddDate(1, 0, 0)))
}
