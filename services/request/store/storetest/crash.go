package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// call is one Advance of a worker: over two requests, each of which gets a job
// and a record that name it.
type call struct {
	name    string
	ids     []request.ID
	digests [][]byte
	done    bool // it returned without an error
}

// RunCrash stops the database in the middle of concurrent work and starts it
// again: what had returned without an error must be there, whole, and of
// everything else all or nothing. s is empty; stop and start do to its
// database what their names say.
func RunCrash(t *testing.T, s store.Store, stop, start func()) {
	t.Helper()
	const requests, workers, before = 6, 8, 60
	var ids []request.ID
	for range requests {
		n := sample(request.Running, 0)
		n.Records = nil
		add(t, s, n)
		ids = append(ids, n.Request.ID)
	}
	var mu sync.Mutex
	var calls []*call
	busy := make(chan struct{}) // closed once much has been done
	done := 0
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for turn := 0; ; turn++ {
				c := &call{name: fmt.Sprintf("%d/%d", w, turn), ids: []request.ID{ids[(w+turn)%requests], ids[(w+3*turn+1)%requests]}}
				if c.ids[0] == c.ids[1] {
					c.ids = c.ids[:1]
				}
				err := c.run(t, s)
				mu.Lock()
				calls = append(calls, c)
				if c.done = err == nil; c.done {
					if done++; done == before {
						close(busy)
					}
				}
				mu.Unlock()
				if err != nil {
					return // the database is gone
				}
			}
		})
	}
	select {
	case <-busy:
	case <-time.After(time.Minute):
		t.Error("the workers make no progress")
	}
	stop()
	wg.Wait()
	start()
	awake(t, s)
	checkCalls(t, s, ids, calls)
	change(t, s, ids[0], everything)
}

func (c *call) run(t *testing.T, s store.Store) error {
	_, err := s.Advance(t.Context(), byID(c.ids...), true, func(snaps []*store.Snapshot) error {
		c.digests = nil
		for _, snap := range snaps {
			everything(snap)
			snap.Jobs[len(snap.Jobs)-1].Message = c.name
			c.digests = append(c.digests, snap.Records[0].Digest)
		}
		return nil
	})
	return err
}

// awake waits until the store answers again: connections that died with the
// database are found out one by one.
func awake(t *testing.T, s store.Store) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := s.Counts(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the store does not come back: %v", err)
		}
	}
}

func checkCalls(t *testing.T, s store.Store, ids []request.ID, calls []*call) {
	t.Helper()
	there := make(map[string]map[request.ID]bool)
	rounds := 0
	for _, id := range ids {
		got, jobs := get(t, s, id)
		rounds += got.Round
		if len(jobs) != got.Round || int64(got.Round) != got.Version-1 || (len(jobs) > 0 && jobs[0].Attempt != got.Round-1) {
			t.Errorf("round %d, version %d, %d jobs: half of a change is there", got.Round, got.Version, len(jobs))
		}
		for _, j := range jobs {
			if there[j.Message] == nil {
				there[j.Message] = make(map[request.ID]bool)
			}
			there[j.Message][id] = true
		}
	}
	records := unlogged(t, s)
	if len(records) != rounds {
		t.Errorf("%d records of %d changes", len(records), rounds)
	}
	lost, stored := 0, 0
	for _, c := range calls {
		n := len(there[c.name])
		if n != 0 && n != len(c.ids) {
			t.Errorf("call %s changed %d of its %d requests", c.name, n, len(c.ids))
		}
		if c.done && n == 0 {
			lost++
		}
		if n > 0 {
			stored++
		}
		for _, d := range c.digests {
			if contains(records, d) != (n > 0) {
				t.Errorf("call %s is stored without its record, or the record without it", c.name)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d changes that were acknowledged are lost", lost)
	}
	t.Logf("%d calls, %d stored", len(calls), stored)
}
