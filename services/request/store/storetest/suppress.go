package storetest

import (
	"bytes"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// testSuppressed checks the suppression list: what is added stays as it was,
// pages hold everything once, and what a request brings comes and goes with it.
func testSuppressed(t *testing.T, s store.Store) {
	pepper := store.Pepper{ID: "one", WrappedKey: []byte{1}, Sealed: []byte{2, 0}, CreatedAt: start}
	other := store.Pepper{ID: "two", WrappedKey: []byte{3}, Sealed: []byte{4}, CreatedAt: start.Add(-time.Hour)}
	ok(t, s.PutPeppers(t.Context(), []store.Pepper{pepper, other}))
	ok(t, s.PutPeppers(t.Context(), []store.Pepper{{ID: "one", WrappedKey: []byte{9}, Sealed: []byte{9}, CreatedAt: start}}))
	peppers, err := s.Peppers(t.Context())
	ok(t, err)
	same(t, "keys", []store.Pepper{other, pepper}, peppers)

	entry := func(why store.Why) store.Suppressed {
		return store.Suppressed{Digest: digest(), Why: why, Pepper: "one", Since: start}
	}
	var all []store.Suppressed
	for range 25 {
		all = append(all, entry(store.WhyDeleted))
	}
	twice := all[3]
	twice.Why = store.WhyOptedOut
	all = append(all, twice)
	ok(t, s.Suppress(t.Context(), append(all, all[0])))
	changed := all[0]
	changed.Since = start.Add(time.Hour)
	ok(t, s.Suppress(t.Context(), []store.Suppressed{changed})) // it stays as it was
	ok(t, s.Suppress(t.Context(), nil))

	var paged []store.Suppressed
	for last := (store.Suppressed{}); ; {
		page, err := s.SuppressedAfter(t.Context(), last, 4)
		ok(t, err)
		paged = append(paged, page...)
		if len(page) < 4 {
			break
		}
		last = page[len(page)-1]
	}
	n, err := s.CountSuppressed(t.Context())
	ok(t, err)
	if len(paged) != len(all) || n != int64(len(all)) {
		t.Fatalf("%d entries in pages and %d counted, want %d", len(paged), n, len(all))
	}
	for i := range paged[1:] {
		if c := bytes.Compare(paged[i].Digest, paged[i+1].Digest); c > 0 || c == 0 && paged[i].Why >= paged[i+1].Why {
			t.Errorf("entry %d is not in order", i)
		}
	}
	found, err := s.Suppressed(t.Context(), [][]byte{all[0].Digest, all[0].Digest, digest()})
	ok(t, err)
	same(t, "one that is there", []store.Suppressed{all[0]}, found)
	if found, err = s.Suppressed(t.Context(), [][]byte{twice.Digest}); err != nil || len(found) != 2 {
		t.Errorf("%d entries for two reasons: %v", len(found), err)
	}
	ok(t, s.Unsuppress(t.Context(), []store.Suppressed{{Digest: all[1].Digest, Why: store.WhyDeleted}, {Digest: all[2].Digest, Why: store.WhyOptedOut}}))
	if found, err = s.Suppressed(t.Context(), [][]byte{all[1].Digest, all[2].Digest}); err != nil || len(found) != 1 {
		t.Errorf("%d entries after one was taken off, %v", len(found), err)
	}

	news := sample(request.Running, 0)
	add(t, s, news)
	mine := entry(store.WhyOptedOut)
	change(t, s, news.Request.ID, func(snap *store.Snapshot) {
		snap.Suppress, snap.Unsuppress = []store.Suppressed{mine, mine}, []store.Suppressed{{Digest: twice.Digest, Why: store.WhyOptedOut}, {Digest: digest(), Why: store.WhyDeleted}}
	})
	found, err = s.Suppressed(t.Context(), [][]byte{mine.Digest, twice.Digest})
	ok(t, err)
	if len(found) != 2 {
		t.Errorf("%d entries after a request brought one and took one, want 2", len(found))
	}
	for _, f := range found {
		if bytes.Equal(f.Digest, twice.Digest) && f.Why != store.WhyDeleted {
			t.Error("the other reason was taken away")
		}
	}
}

// testRetained checks what is remembered of records that were kept: it comes with its
// request, all or nothing, and the newer end counts.
func testRetained(t *testing.T, s store.Store) {
	ok(t, s.PutPeppers(t.Context(), []store.Pepper{{ID: "one", WrappedKey: []byte{1}, Sealed: []byte{2}, CreatedAt: start}}))
	news := sample(request.Running, 0)
	add(t, s, news)
	person := digest()
	invoice := store.Retained{Digest: person, Pepper: "one", Connector: "billing", Store: "invoices", Basis: "D8", Until: start.AddDate(7, 0, 0)}
	deal := store.Retained{Digest: person, Pepper: "one", Connector: "crm", Store: "deals", Basis: "D1"}
	other := store.Retained{Digest: digest(), Pepper: "one", Connector: "crm", Store: "deals", Basis: "D1"}
	change(t, s, news.Request.ID, func(snap *store.Snapshot) { snap.Retained = []store.Retained{deal, invoice, other} })
	later := invoice
	later.Until = start.AddDate(8, 0, 0)
	change(t, s, news.Request.ID, func(snap *store.Snapshot) { snap.Retained = []store.Retained{later} })
	got, err := s.Retained(t.Context(), [][]byte{person, person, digest()})
	ok(t, err)
	same(t, "what was kept of one person", []store.Retained{later, deal}, got)
	unknown := deal
	unknown.Digest, unknown.Pepper = digest(), "nobody's"
	_, err = s.Advance(t.Context(), byID(news.Request.ID), true, func(snaps []*store.Snapshot) error {
		snaps[0].Retained = []store.Retained{unknown}
		return nil
	})
	if err == nil {
		t.Error("a row under an unknown key was taken")
	}
	if none, err := s.Retained(t.Context(), nil); err != nil || len(none) > 0 {
		t.Errorf("%d rows of nobody: %v", len(none), err)
	}
}
