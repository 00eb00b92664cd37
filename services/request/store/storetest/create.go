package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func testCreate(t *testing.T, s store.Store) {
	news := []store.New{sample(request.AwaitingVerification, 0), sample(request.Accepted, time.Second), sampleOf(request.OptOutSaleShare, request.Accepted, 0)}
	news[1].Records = append(news[1].Records, record(news[1].Request.ID, start))
	add(t, s, news...)
	digests := unlogged(t, s)
	if len(digests) != 4 {
		t.Errorf("%d records are stored, want 4", len(digests))
	}
	for _, n := range news {
		got, jobs := get(t, s, n.Request.ID)
		same(t, "request", n.Request, got)
		if len(jobs) != 0 {
			t.Errorf("a new request has %d jobs", len(jobs))
		}
		for _, r := range n.Records {
			if !contains(digests, r.Digest) {
				t.Error("a record of the intake is missing")
			}
		}
	}
}

func testCreateNothing(t *testing.T, s store.Store) {
	created, err := s.Create(t.Context(), nil)
	if err != nil || len(created) != 0 {
		t.Errorf("got %v, %v", created, err)
	}
}

func testIdempotency(t *testing.T, s store.Store) {
	first := keyed(sample(request.Accepted, 0), "key", "one")
	add(t, s, first)
	repeat, clash, other := keyed(sample(request.Accepted, 0), "key", "one"), keyed(sample(request.Accepted, 0), "key", "two"), keyed(sample(request.Accepted, 0), "other", "one")
	unkeyed, again := sample(request.Accepted, 0), sample(request.Accepted, 0)
	created, err := s.Create(t.Context(), []store.New{repeat, clash, other, unkeyed, again})
	ok(t, err)
	if c := created[0]; c.ID != first.Request.ID || !c.Existing || c.Err != nil {
		t.Errorf("the same again: %+v, want the first request", c)
	}
	if c := created[1]; !errors.Is(c.Err, store.ErrConflict) || c.Existing {
		t.Errorf("another submission under the same key: %+v, want ErrConflict", c)
	}
	for i, n := range []store.New{other, unkeyed, again} {
		if c := created[2+i]; c.ID != n.Request.ID || c.Existing || c.Err != nil {
			t.Errorf("new request %d: %+v", i, c)
		}
	}
	if n, records := count(t, s), len(unlogged(t, s)); n != 4 || records != 4 {
		t.Errorf("%d requests and %d records are stored, want 4 and 4", n, records)
	}
	for _, n := range []store.New{repeat, clash} {
		if _, _, err := s.Get(t.Context(), n.Request.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what was not taken is there: %v", err)
		}
	}
}

func testIdempotencyInBatch(t *testing.T, s store.Store) {
	first, repeat, clash := keyed(sample(request.Accepted, 0), "key", "one"), keyed(sample(request.Accepted, 0), "key", "one"), keyed(sample(request.Accepted, 0), "key", "two")
	created, err := s.Create(t.Context(), []store.New{first, repeat, clash})
	ok(t, err)
	if created[0].ID != first.Request.ID || created[0].Existing || created[0].Err != nil {
		t.Errorf("first: %+v", created[0])
	}
	if created[1].ID != first.Request.ID || !created[1].Existing {
		t.Errorf("repeat: %+v", created[1])
	}
	if !errors.Is(created[2].Err, store.ErrConflict) {
		t.Errorf("clash: %+v", created[2])
	}
	if n := count(t, s); n != 1 {
		t.Errorf("%d requests are stored, want 1", n)
	}
}

func testIdempotencyAtOnce(t *testing.T, s store.Store) {
	const callers = 12
	answers := make([]store.Created, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			// Each batch names its keys in another order.
			batch := []store.New{keyed(sample(request.Accepted, 0), "a", "a"), keyed(sample(request.Accepted, 0), "b", "b")}
			if i%2 == 1 {
				batch[0], batch[1] = batch[1], batch[0]
			}
			created, err := s.Create(t.Context(), batch)
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = created[i%2]
		})
	}
	wg.Wait()
	fresh := 0
	for _, c := range answers {
		if !c.Existing {
			fresh++
		}
		if c.Err != nil || c.ID != answers[0].ID {
			t.Errorf("answers differ: %+v and %+v", c, answers[0])
		}
	}
	if n := count(t, s); fresh != 1 || n != 2 {
		t.Errorf("%d callers were told their request is new and %d requests are stored; want 1 and 2", fresh, n)
	}
}

// A caller whose answer was lost sends the very same again.
func testCreateAgain(t *testing.T, s store.Store) {
	keyed, unkeyed := keyed(sample(request.Accepted, 0), "key", "one"), sample(request.Accepted, 0)
	add(t, s, keyed, unkeyed)
	created, err := s.Create(t.Context(), []store.New{keyed})
	ok(t, err)
	if c := created[0]; c.ID != keyed.Request.ID || !c.Existing || c.Err != nil {
		t.Errorf("the same again: %+v, want the stored request", c)
	}
	if _, err := s.Create(t.Context(), []store.New{unkeyed}); err == nil {
		t.Error("an id was used twice")
	}
	if n, records := count(t, s), len(unlogged(t, s)); n != 2 || records != 2 {
		t.Errorf("%d requests and %d records are stored, want 2 and 2", n, records)
	}
}

func testCreateAllOrNothing(t *testing.T, s store.Store) {
	stored := sample(request.Accepted, 0)
	add(t, s, stored)
	good, bad := keyed(sample(request.Accepted, 0), "key", "one"), sample(request.Accepted, 0)
	bad.Records = append(bad.Records, stored.Records[0]) // a digest is stored once
	if _, err := s.Create(t.Context(), []store.New{good, bad}); err == nil {
		t.Fatal("a record was stored twice")
	}
	if n, records := count(t, s), len(unlogged(t, s)); n != 1 || records != 1 {
		t.Errorf("%d requests and %d records are left of a batch that was refused, want 1 and 1", n, records)
	}
	add(t, s, keyed(sample(request.Accepted, 0), "key", "two")) // the key was not taken
}
