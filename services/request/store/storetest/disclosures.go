package storetest

import (
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// DisclosureStore is a store that keeps the disclosure ledger, too.
type DisclosureStore interface {
	store.Store
	store.Disclosures
}

// RunDisclosures tests the disclosure ledger of a store. open returns an empty
// store that is closed when its t ends.
func RunDisclosures(t *testing.T, open func(t testing.TB) DisclosureStore) {
	t.Helper()
	s := open(t)
	ok(t, s.PutPeppers(t.Context(), []store.Pepper{{ID: "one", WrappedKey: []byte{1}, Sealed: []byte{2}, CreatedAt: start}}))
	person, other := digest(), digest()
	of := func(who []byte, ref, recipient string, at time.Time) store.Disclosure {
		return store.Disclosure{
			Key: digest(), Ref: ref, Digest: who, Pepper: "one", Recipient: recipient, Connector: "crm", Letters: "AF", As: "sold", Purpose: "advertising", At: at,
		}
	}
	put := func(want int64, rows ...store.Disclosure) {
		t.Helper()
		n, err := s.PutDisclosures(t.Context(), rows)
		ok(t, err)
		if n != want {
			t.Errorf("%d rows added, want %d", n, want)
		}
	}
	first, second, others := of(person, "a", "adnet", start), of(person, "b", "broker", start.Add(time.Hour)), of(other, "b", "broker", start.Add(time.Hour))
	put(0)
	put(3, second, first, others)
	changed := first
	changed.Purpose = "another"
	put(0, changed) // it stays as it was
	got, err := s.DisclosuresOf(t.Context(), [][]byte{person, person, digest()})
	ok(t, err)
	same(t, "what was disclosed of one person", []store.Disclosure{first, second}, got)
	if none, err := s.DisclosuresOf(t.Context(), nil); err != nil || len(none) > 0 {
		t.Errorf("%d rows of nobody: %v", len(none), err)
	}

	counted, err := s.Disclosed(t.Context())
	ok(t, err)
	same(t, "counts", []store.Disclosed{{Recipient: "adnet", As: "sold", N: 1, Last: first.At}, {Recipient: "broker", As: "sold", N: 1, Last: second.At}}, counted)

	if n, err := s.ForgetDisclosures(t.Context(), start.Add(time.Minute), 10); err != nil || n != 1 {
		t.Errorf("%d rows forgotten, want 1: %v", n, err)
	}
	got, err = s.DisclosuresOf(t.Context(), [][]byte{person})
	ok(t, err)
	same(t, "what is left", []store.Disclosure{second}, got)

	unknown := of(person, "c", "adnet", start)
	unknown.Pepper = "nobody's"
	if _, err := s.PutDisclosures(t.Context(), []store.Disclosure{of(person, "d", "adnet", start), unknown}); err == nil {
		t.Error("a row under an unknown key was taken")
	}
	if got, err = s.DisclosuresOf(t.Context(), [][]byte{person}); err != nil || len(got) != 1 {
		t.Errorf("%d rows after one of a batch was refused, want 1: %v", len(got), err)
	}
}
