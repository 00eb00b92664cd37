package storetest

import (
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// PostStore is a store that remembers who was told what, too.
type PostStore interface {
	store.Store
	store.Post
}

// RunPost tests the part of a store that remembers who was told what. open
// returns an empty store that is closed when its t ends.
func RunPost(t *testing.T, open func(t testing.TB) PostStore) {
	t.Helper()
	s := open(t)
	n := sample(request.Running, 0)
	receipt := store.Notice{RequestID: n.Request.ID, Kind: store.NoticeReceipt, CreatedAt: start}
	denial := store.Notice{RequestID: n.Request.ID, Kind: store.NoticeDenial, Key: "2", CreatedAt: start.Add(time.Minute)}
	n.Notices = []store.Notice{receipt, denial}
	add(t, s, n)
	due := func(at time.Time) []store.Posted {
		t.Helper()
		got, err := s.DueNotices(t.Context(), at, 10)
		ok(t, err)
		return got
	}
	untold := func(want map[string]int64) {
		t.Helper()
		got, err := s.Untold(t.Context())
		ok(t, err)
		same(t, "notices nobody was told of", want, got)
	}
	same(t, "new notices", []store.Posted{{Notice: receipt}, {Notice: denial}}, due(start))
	untold(map[string]int64{"": 2})

	again := start.Add(time.Hour)
	for range 2 {
		ok(t, s.PutOffNotice(t.Context(), receipt, again, "unavailable"))
	}
	put := store.Posted{Notice: receipt, Tries: 2, Failed: "unavailable", NextAt: again}
	same(t, "due before the next try", []store.Posted{{Notice: denial}}, due(again.Add(-time.Second)))
	same(t, "due at the next try", []store.Posted{put, {Notice: denial}}, due(again))
	untold(map[string]int64{"": 1, "unavailable": 1})

	ok(t, s.Noticed(t.Context(), []store.Notice{denial}))
	ok(t, s.PutOffNotice(t.Context(), denial, again, "late")) // it was told: nothing changes
	same(t, "due after one was told", []store.Posted{put}, due(again))
	all, err := s.NoticesOf(t.Context(), n.Request.ID)
	ok(t, err)
	same(t, "all notices", []store.Posted{put, {Notice: denial, Told: true}}, all)
	none, err := s.NoticesOf(t.Context(), request.NewID())
	ok(t, err)
	if len(none) > 0 {
		t.Errorf("a request that is not there has notices: %v", none)
	}
}
