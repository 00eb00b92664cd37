package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// closedSample is a request for deletion that was closed at start plus an offset.
func closedSample(offset time.Duration) store.New {
	n := sample(request.Closed, 0)
	n.Request.ClosedAt, n.Request.Corrections = start.Add(offset), []byte("corrections")
	return n
}

// gone is one retention record for each request.
func gone(ids []request.ID) ([]store.Record, error) {
	out := make([]store.Record, len(ids))
	for i := range ids {
		out[i] = store.Record{Digest: digest(), Type: "retention", Issuer: "coordinator", Envelope: []byte("{}"), CreatedAt: start}
	}
	return out, nil
}

func shreddable(after time.Duration) store.Shreddable {
	return store.Shreddable{Now: start.Add(after), ClosedBefore: start.Add(after), NoticedSince: start, Limit: 100}
}

// testShred checks that data is destroyed exactly when nobody needs it, whatever
// the requests, and only once.
func testShred(t *testing.T, s store.Store) {
	const after = 100 * time.Hour
	rapid.Check(t, func(rt *rapid.T) {
		n := closedSample(time.Duration(rapid.IntRange(0, 200).Draw(rt, "closed")) * time.Hour)
		state := rapid.SampledFrom([]request.State{request.Running, request.Closing, request.Closed}).Draw(rt, "state")
		if state != request.Closed {
			n.Request.Request, n.Request.ClosedAt = restore(n.Request.ID, request.Delete, state), time.Time{}
		}
		child := sample(rapid.SampledFrom([]request.State{request.Accepted, request.Closed}).Draw(rt, "child"), 0)
		hasChild, made := rapid.Bool().Draw(rt, "has child"), rapid.Bool().Draw(rt, "made")
		news := []store.New{n}
		if hasChild {
			news[0].Request.Case.Children = []request.Child{{ID: child.Request.ID, Right: request.Delete, Origin: request.FromRetention, At: start, Made: made}}
			if made {
				child.Request.Sealed = nil // of no interest here
				news = append(news, child)
			}
		}
		notice := store.Notice{RequestID: n.Request.ID, Kind: store.NoticeAnswer, CreatedAt: start.Add(time.Duration(rapid.SampledFrom([]int{-1, 1}).Draw(rt, "age")) * time.Hour)}
		hasNotice, told := rapid.Bool().Draw(rt, "notice"), rapid.Bool().Draw(rt, "told")
		if hasNotice {
			news[0].Notices = []store.Notice{notice}
		}
		if rapid.Bool().Draw(rt, "statements") {
			news[0].Request.Statements = []byte("statements")
		}
		add(t, s, news...)
		if told {
			ok(t, s.Noticed(t.Context(), []store.Notice{notice}))
		}
		may := state == request.Closed && n.Request.ClosedAt.Before(start.Add(after)) &&
			(!hasChild || made && child.Request.State() == request.Closed) && (!hasNotice || told || notice.CreatedAt.Before(start))
		before := len(unlogged(t, s))
		done, err := s.Shred(t.Context(), shreddable(after), gone)
		ok(t, err)
		got, _ := get(t, s, n.Request.ID)
		mine := slices.IndexFunc(done, func(d store.Shredded) bool { return d.ID == n.Request.ID })
		if destroyed := got.Sealed == nil && got.Corrections == nil; destroyed != may || (mine >= 0) != may {
			rt.Fatalf("destroyed is %v and said %v, want %v", destroyed, mine >= 0, may)
		}
		if kept := got.WrappedKey != nil; kept != (!may || news[0].Request.Statements != nil) {
			rt.Fatalf("the data key is there: %v; statements %q, may be destroyed %v", kept, got.Statements, may)
		}
		if len(unlogged(t, s)) != before+len(done) {
			rt.Fatalf("%d records more for %d requests", len(unlogged(t, s))-before, len(done))
		}
		if again, err := s.Shred(t.Context(), shreddable(after), gone); err != nil || len(again) != 0 {
			rt.Fatalf("a second time: %d requests, %v", len(again), err)
		}
		// What is not gone is not of interest to the next round.
		if !may {
			change(t, s, n.Request.ID, func(snap *store.Snapshot) { snap.Request.Sealed, snap.Changed = nil, true })
		}
	})
}

// Without a record nothing is destroyed.
func testShredUnsigned(t *testing.T, s store.Store) {
	n := closedSample(0)
	add(t, s, n)
	refused := errors.New("no key")
	if _, err := s.Shred(t.Context(), shreddable(time.Hour), func([]request.ID) ([]store.Record, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("destroying without a record: %v", err)
	}
	if _, err := s.Shred(t.Context(), shreddable(time.Hour), func([]request.ID) ([]store.Record, error) { // one that is there already
		return []store.Record{n.Records[0]}, nil
	}); err == nil {
		t.Error("a record that can't be stored is no error")
	}
	if got, _ := get(t, s, n.Request.ID); got.Sealed == nil || got.WrappedKey == nil {
		t.Error("destroyed without a record")
	}
}

// Several at once destroy each request once.
func testShredAtOnce(t *testing.T, s store.Store) {
	const n = 60
	for range n {
		add(t, s, closedSample(0))
	}
	before := len(unlogged(t, s))
	var wait sync.WaitGroup
	var mu sync.Mutex
	times := make(map[request.ID]int)
	for range 4 {
		wait.Go(func() {
			for {
				q := shreddable(time.Hour)
				q.Limit = 7
				done, err := s.Shred(t.Context(), q, gone)
				if err != nil {
					t.Error(err)
				}
				if len(done) == 0 {
					return
				}
				mu.Lock()
				for _, d := range done {
					times[d.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for id, k := range times {
		if k != 1 {
			t.Errorf("request %s was destroyed %d times", id, k)
		}
	}
	if len(times) != n || len(unlogged(t, s)) != before+n {
		t.Errorf("%d requests destroyed with %d records, want %d", len(times), len(unlogged(t, s))-before, n)
	}
}

// ClosedSample is a request for deletion that can be destroyed at the time given.
func ClosedSample() (n store.New, at time.Time) { return closedSample(0), start.Add(time.Hour) }

// Gone is a retention record for each request that is destroyed.
func Gone(ids []request.ID) ([]store.Record, error) { return gone(ids) }
