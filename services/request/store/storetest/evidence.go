package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func testRecords(t *testing.T, s store.Store) {
	n := sample(request.Running, 0)
	n.Records = nil
	for i := range 5 {
		n.Records = append(n.Records, record(n.Request.ID, start.Add(time.Duration(5-i)*time.Second)))
	}
	add(t, s, n)
	read := func(before time.Time, limit int) []store.Record {
		t.Helper()
		got, err := s.Unlogged(t.Context(), before, limit)
		ok(t, err)
		return got
	}
	oldest := []store.Record{n.Records[4], n.Records[3], n.Records[2], n.Records[1], n.Records[0]}
	same(t, "all", oldest, read(start.Add(time.Hour), 10))
	same(t, "the oldest two", oldest[:2], read(start.Add(time.Hour), 2))
	same(t, "those before the third", oldest[:2], read(oldest[2].CreatedAt, 10))

	ok(t, s.Logged(t.Context(), [][]byte{oldest[0].Digest, oldest[3].Digest, digest()}))
	left := []store.Record{oldest[1], oldest[2], oldest[4]}
	same(t, "what is left", left, read(start.Add(time.Hour), 10))
	for range 2 { // and again: audit tells more than once
		ok(t, s.Logged(t.Context(), [][]byte{oldest[0].Digest}))
	}
	ok(t, s.Logged(t.Context(), nil))
	same(t, "what is left", left, read(start.Add(time.Hour), 10))
}

func testConnectors(t *testing.T, s store.Store) {
	list := func() []store.Connector {
		t.Helper()
		got, err := s.Connectors(t.Context())
		ok(t, err)
		return got
	}
	if got := list(); len(got) != 0 {
		t.Errorf("an empty store has %d connectors", len(got))
	}
	crm := store.Connector{Name: "crm", Manifest: []byte{1, 0, 2}, KeyID: "SHA256:a", Key: []byte{3}, SeenAt: start, UpdatedAt: start}
	billing := store.Connector{Name: "billing", Manifest: []byte{4}, KeyID: "SHA256:b", Key: []byte{5}, SeenAt: start.Add(time.Second), UpdatedAt: start}
	ok(t, s.PutConnector(t.Context(), crm))
	ok(t, s.PutConnector(t.Context(), billing))
	same(t, "connectors by name", []store.Connector{billing, crm}, list())
	crm.Manifest, crm.KeyID, crm.Key, crm.SeenAt, crm.UpdatedAt = []byte{9}, "SHA256:c", []byte{8}, start.Add(time.Hour), start.Add(time.Minute)
	ok(t, s.PutConnector(t.Context(), crm))
	same(t, "after an update", []store.Connector{billing, crm}, list())
}

func testKeys(t *testing.T, s store.Store) {
	key, other := store.Key{Owner: "crm", DER: []byte{1, 2}}, store.Key{Owner: "billing", DER: []byte{3}}
	put := func(id string, k store.Key, r store.Record) bool {
		t.Helper()
		fresh, err := s.PutKey(t.Context(), id, k, r)
		ok(t, err)
		return fresh
	}
	first, second := record("", start), record("", start.Add(time.Second))
	if !put("SHA256:a", key, first) || !put("SHA256:b", other, second) {
		t.Error("a new key is not fresh")
	}
	// The same key again, and under another owner: what was accepted stands.
	if put("SHA256:a", key, record("", start)) || put("SHA256:a", store.Key{Owner: "billing", DER: []byte{9}}, record("", start)) {
		t.Error("an accepted key is fresh")
	}
	got, err := s.Keys(t.Context())
	ok(t, err)
	same(t, "keys", map[string]store.Key{"SHA256:a": key, "SHA256:b": other}, got)
	records, err := s.Unlogged(t.Context(), start.Add(time.Hour), 10)
	ok(t, err)
	same(t, "records", []store.Record{first, second}, records)

	// A key whose record can't be stored is not accepted.
	if _, err := s.PutKey(t.Context(), "SHA256:c", key, first); err == nil {
		t.Error("a record was stored twice")
	}
	if got, err = s.Keys(t.Context()); err != nil || len(got) != 2 {
		t.Errorf("%d keys, %v", len(got), err)
	}
}

func testKeysAtOnce(t *testing.T, s store.Store) {
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			yes, err := s.PutKey(t.Context(), fmt.Sprintf("SHA256:%d", i%2), store.Key{Owner: "crm", DER: []byte{1}}, record("", start))
			if err != nil {
				t.Error(err)
			}
			if yes {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if n := fresh.Load(); n != 2 || len(unlogged(t, s)) != 2 {
		t.Errorf("%d were fresh and %d records are stored, want 2 and 2", n, len(unlogged(t, s)))
	}
}

func testPing(t *testing.T, s store.Store) {
	ok(t, s.Ping(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Ping(ctx) == nil {
		t.Error("a cancelled ping was answered")
	}
}
