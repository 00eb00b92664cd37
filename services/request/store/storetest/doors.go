package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// DoorStore is a store that keeps what the doors need, too.
type DoorStore interface {
	store.Store
	store.Doors
}

// RunDoors tests the part of a store that the doors of intake use. open returns
// an empty store that is closed when its t ends.
func RunDoors(t *testing.T, open func(t testing.TB) DoorStore) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, DoorStore)
	}{
		{"cases", testCases},
		{"a purged case is gone once", testPurge},
		{"documents", testDocuments},
		{"counting tries", testCount},
		{"counting tries at once", testCountAtOnce},
		{"one download", testDownload},
		{"downloads at once", testDownloadsAtOnce},
		{"choices", testChoices},
		{"choices at once", testChoicesAtOnce},
		{"who carries a choice", testCarried},
		{"lifting a choice", testLift},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func testCases(t *testing.T, s DoorStore) {
	c := store.Case{RequestID: request.NewID(), WrappedKey: []byte{1}, Sealed: []byte{2, 0}, NextAt: start, CreatedAt: start}
	ok(t, s.PutCase(t.Context(), c))
	other := c
	other.Sealed = []byte("another")
	ok(t, s.PutCase(t.Context(), other)) // changes nothing
	got, err := s.GetCase(t.Context(), c.RequestID)
	ok(t, err)
	want := c
	want.UpdatedAt, want.Version = start, 1
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the case (-want +got):\n%s", diff)
	}
	if _, err := s.GetCase(t.Context(), request.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a case that is not there: %v", err)
	}
	due := func(at time.Time) int {
		ids, err := s.DueCases(t.Context(), at, 10)
		ok(t, err)
		return len(ids)
	}
	if due(start.Add(-time.Second)) != 0 || due(start) != 1 {
		t.Error("a case is due before its time, or not at it")
	}
	got.Sealed, got.NextAt, got.UpdatedAt = []byte("changed"), time.Time{}, start.Add(time.Minute)
	ok(t, s.SaveCase(t.Context(), got))
	if err := s.SaveCase(t.Context(), got); !errors.Is(err, store.ErrStale) {
		t.Errorf("saving over a change: %v, want %v", err, store.ErrStale)
	}
	if due(start.Add(time.Hour)) != 0 {
		t.Error("a case that waits for the person is due")
	}
}

func testPurge(t *testing.T, s DoorStore) {
	c := store.Case{RequestID: request.NewID(), WrappedKey: []byte("key"), Sealed: []byte("data"), NextAt: start, CreatedAt: start}
	ok(t, s.PutCase(t.Context(), c))
	r := store.Record{Digest: fixed(9), Type: "retention", Issuer: "intake", Envelope: []byte("{}"), CreatedAt: start}
	for i, want := range []bool{true, false} {
		fresh, err := s.PurgeCase(t.Context(), c.RequestID, start.Add(time.Hour), r)
		if err != nil || fresh != want {
			t.Fatalf("purge %d: fresh is %v, %v; want %v", i+1, fresh, err, want)
		}
	}
	got, err := s.GetCase(t.Context(), c.RequestID)
	ok(t, err)
	if got.WrappedKey != nil || got.Sealed != nil || !got.NextAt.IsZero() || !got.PurgedAt.Equal(start.Add(time.Hour)) {
		t.Errorf("after the purge there is %+v", got)
	}
	if n := len(unlogged(t, s)); n != 1 {
		t.Errorf("%d records of the purge, want 1", n)
	}
	got.Sealed = []byte("back again")
	if err := s.SaveCase(t.Context(), got); !errors.Is(err, store.ErrStale) {
		t.Errorf("writing into a purged case: %v", err)
	}
	if fresh, err := s.PurgeCase(t.Context(), request.NewID(), start, r); err != nil || fresh {
		t.Errorf("purging what never was: %v, %v", fresh, err)
	}
}

func testDocuments(t *testing.T, s DoorStore) {
	id := request.NewID()
	d := store.Document{RequestID: id, Kind: "declaration", WrappedKey: []byte{1}, Sealed: []byte{2}, KeepUntil: start.Add(time.Hour)}
	ok(t, s.KeepDocument(t.Context(), d))
	ok(t, s.KeepDocument(t.Context(), d))
	got, err := s.Documents(t.Context(), id)
	ok(t, err)
	if diff := cmp.Diff([]store.Document{d}, got); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		at   time.Time
		want int64
	}{{start, 0}, {start.Add(time.Hour), 1}, {start.Add(time.Hour), 0}} {
		if n, err := s.ExpireDocuments(t.Context(), c.at); err != nil || n != c.want {
			t.Errorf("%d documents expired, %v; want %d", n, err, c.want)
		}
	}
}

func testCount(t *testing.T, s DoorStore) {
	for i, c := range []struct {
		bucket string
		at     time.Duration
		want   int64
	}{{"a", 0, 1}, {"a", time.Second, 2}, {"b", time.Second, 1}, {"a", 59 * time.Second, 3}, {"a", time.Minute, 1}, {"a", 61 * time.Second, 2}} {
		n, err := s.Count(t.Context(), []byte(c.bucket), time.Minute, start.Add(c.at))
		if err != nil || n != c.want {
			t.Errorf("try %d: %d, %v; want %d", i, n, err, c.want)
		}
	}
}

func testCountAtOnce(t *testing.T, s DoorStore) {
	const n = 20
	var sum int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			got, err := s.Count(t.Context(), []byte("a"), time.Minute, start)
			mu.Lock()
			defer mu.Unlock()
			sum += got
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if sum != n*(n+1)/2 {
		t.Errorf("the counts add up to %d, want %d: two saw the same", sum, n*(n+1)/2)
	}
}

func testDownload(t *testing.T, s DoorStore) {
	id := request.NewID()
	claim := func(who string, at time.Duration) bool {
		t.Helper()
		got, err := s.ClaimDownload(t.Context(), id, who, start.Add(at), start.Add(at-time.Minute))
		ok(t, err)
		return got
	}
	if !claim("first", 0) || claim("second", time.Second) {
		t.Fatal("the first claim fails, or two hold it")
	}
	ok(t, s.EndDownload(t.Context(), id, "first", false))
	if !claim("second", 2*time.Second) {
		t.Error("a claim that was given back can't be taken")
	}
	ok(t, s.EndDownload(t.Context(), id, "first", true)) // not the holder's
	if !claim("third", 2*time.Minute) {
		t.Error("a claim whose holder went away can't be taken")
	}
	ok(t, s.EndDownload(t.Context(), id, "third", true))
	ok(t, s.EndDownload(t.Context(), id, "third", false))
	if claim("fourth", time.Hour) {
		t.Error("a package was taken twice")
	}
}

func testDownloadsAtOnce(t *testing.T, s DoorStore) {
	id, won := request.NewID(), make(chan string, 10)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			who := strconv.Itoa(i)
			if got, err := s.ClaimDownload(t.Context(), id, who, start, start.Add(-time.Minute)); err != nil {
				t.Error(err)
			} else if got {
				won <- who
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d claims hold one download", len(won))
	}
}

func digestOf(text string) []byte { return append(make([]byte, 32-len(text)), text...) }

func choose(t *testing.T, s DoorStore, out bool, at time.Duration, names ...string) store.Choice {
	t.Helper()
	digests := make([][]byte, len(names))
	for i, n := range names {
		digests[i] = digestOf(n)
	}
	c, err := s.Choose(t.Context(), digests, out, start.Add(at))
	ok(t, err)
	return c
}

func testChoices(t *testing.T, s DoorStore) {
	if c := choose(t, s, false, 0, "phone"); !c.OptedOutAt.IsZero() || len(c.Uncarried) != 0 {
		t.Errorf("a visitor who chose nothing: %+v", c)
	}
	choose(t, s, false, 0, "phone", "anna") // she logs in: her devices are hers
	choose(t, s, false, 0, "laptop", "anna")
	c := choose(t, s, true, time.Hour, "laptop")
	if !c.OptedOutAt.Equal(start.Add(time.Hour)) || len(c.Uncarried) != 1 {
		t.Errorf("opting out: %+v", c)
	}
	for _, who := range []string{"phone", "anna", "laptop"} {
		if c := choose(t, s, false, 2*time.Hour, who); !c.OptedOutAt.Equal(start.Add(time.Hour)) {
			t.Errorf("%s is not opted out: %+v", who, c)
		}
	}
	if c := choose(t, s, true, 3*time.Hour, "laptop"); !c.OptedOutAt.Equal(start.Add(time.Hour)) {
		t.Errorf("opting out again moved the day: %+v", c)
	}
	if c := choose(t, s, false, 4*time.Hour, "bert"); !c.OptedOutAt.IsZero() {
		t.Errorf("a stranger is opted out: %+v", c)
	}
	choose(t, s, true, 5*time.Hour, "tablet")
	if c := choose(t, s, false, 6*time.Hour, "tablet", "anna"); !c.OptedOutAt.Equal(start.Add(time.Hour)) {
		t.Errorf("two that opted out are one since %v, want the earlier", c.OptedOutAt)
	}
	if _, err := s.Choose(t.Context(), nil, false, start); err != nil {
		t.Errorf("nobody at all: %v", err)
	}
}

func testChoicesAtOnce(t *testing.T, s DoorStore) {
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			_, err := s.Choose(t.Context(), [][]byte{digestOf("hub"), digestOf("spoke" + strconv.Itoa(i))}, i == 7, start)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 12 {
		if c := choose(t, s, false, 0, "spoke"+strconv.Itoa(i)); c.OptedOutAt.IsZero() {
			t.Errorf("spoke %d is not tied to the one that opted out", i)
		}
	}
}

func testCarried(t *testing.T, s DoorStore) {
	choose(t, s, true, 0, "cookie")
	id := request.NewID()
	ok(t, s.Carried(t.Context(), [][]byte{digestOf("cookie")}, id))
	if c := choose(t, s, true, 0, "cookie"); len(c.Uncarried) != 0 {
		t.Errorf("a choice that is carried is to be carried again: %+v", c)
	}
	c := choose(t, s, false, 0, "cookie", "anna")
	if diff := cmp.Diff([][]byte{digestOf("anna")}, c.Uncarried, cmpopts.SortSlices(bytes.Compare)); diff != "" {
		t.Errorf("after the login (-want +got):\n%s", diff)
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails
	ok(t, s.Carried(t.Context(), [][]byte{random}, id))
}

func testLift(t *testing.T, s DoorStore) {
	choose(t, s, false, 0, "phone", "anna")
	choose(t, s, true, 0, "phone")
	choose(t, s, true, 0, "bert")
	ok(t, s.Carried(t.Context(), [][]byte{digestOf("phone"), digestOf("anna")}, request.NewID()))
	ok(t, s.Lift(t.Context(), [][]byte{digestOf("anna")}))
	if c := choose(t, s, false, time.Hour, "phone"); !c.OptedOutAt.IsZero() {
		t.Errorf("after she opted in again her phone is out: %+v", c)
	}
	if c := choose(t, s, false, time.Hour, "bert"); c.OptedOutAt.IsZero() {
		t.Error("somebody else's choice was lifted")
	}
	if c := choose(t, s, true, 2*time.Hour, "phone"); !c.OptedOutAt.Equal(start.Add(2*time.Hour)) || len(c.Uncarried) != 1 {
		t.Errorf("a later signal: %+v", c)
	}
	ok(t, s.Lift(t.Context(), [][]byte{digestOf("nobody")}))
}
