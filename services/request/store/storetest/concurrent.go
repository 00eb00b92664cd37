package storetest

import (
	"runtime"
	"sync"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func testConcurrentAdvance(t *testing.T, s store.Store) {
	const workers, turns = 20, 4
	a, b, c := sample(request.Running, 0), sample(request.Running, 0), sample(request.Running, 0)
	add(t, s, a, b, c)
	ids := []request.ID{a.Request.ID, b.Request.ID, c.Request.ID}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			// Each takes two of the three, in its own order.
			mine := byID(ids[w%3], ids[(w+1+w/3%2)%3])
			for range turns {
				if _, err := s.Advance(t.Context(), mine, true, func(snaps []*store.Snapshot) error {
					for _, snap := range snaps {
						everything(snap)
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, id := range ids {
		got, jobs := get(t, s, id)
		total += got.Round
		if int64(got.Round) != got.Version-1 || len(jobs) != got.Round || jobs[0].Attempt != got.Round-1 {
			t.Errorf("round %d, version %d, %d jobs, first at attempt %d: something was lost", got.Round, got.Version, len(jobs), jobs[0].Attempt)
		}
	}
	if want := workers * turns * 2; total != want || len(unlogged(t, s)) != want+3 {
		t.Errorf("%d changes and %d records, want %d and %d", total, len(unlogged(t, s)), want, want+3)
	}
}

func testConcurrentClaims(t *testing.T, s store.Store) {
	const requests, workers = 40, 8
	for range requests {
		add(t, s, sample(request.Accepted, 0))
	}
	var mu sync.Mutex
	held := make(map[request.ID]bool)
	claims := make(map[request.ID]int)
	claim := func() (n int, err error) {
		var mine []request.ID
		_, err = s.Advance(t.Context(), store.Selector{State: request.Accepted, Limit: 3}, true, func(snaps []*store.Snapshot) error {
			mu.Lock()
			for _, snap := range snaps {
				id := snap.Request.ID
				if held[id] {
					t.Errorf("two hold %s", id)
				}
				held[id] = true
				mine = append(mine, id)
			}
			mu.Unlock()
			runtime.Gosched()
			for _, snap := range snaps {
				snap.Changed = true
				if err := snap.Request.Move(request.Running); err != nil {
					return err
				}
			}
			// Let go before the store does, so that the check is never too strict.
			mu.Lock()
			defer mu.Unlock()
			for _, id := range mine {
				delete(held, id)
				claims[id]++
			}
			return nil
		})
		return len(mine), err
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				n, err := claim()
				if err != nil {
					t.Error(err)
				}
				if err != nil || n == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(claims) != requests {
		t.Errorf("%d of %d requests were claimed", len(claims), requests)
	}
	for id, n := range claims {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
}
