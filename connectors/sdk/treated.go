package sdk

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// removals counts the records that a connector removed from stores whose erasures
// leave records.
type removals struct {
	mu sync.Mutex
	n  map[string]int64
}

func (r *removals) add(store string, n int64) {
	if r == nil || n <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == nil {
		r.n = map[string]int64{}
	}
	r.n[store] += n
}

func (r *removals) all() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.n)
}

// take takes up to most of what was removed from a store.
func (r *removals) take(store string, most int64) int64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(most, r.n[store])
	if n > 0 {
		r.n[store] -= n
	}
	return n
}

// treated says of records that were found and are not any more whether they are
// gone or only say nothing of the person any more: in a store whose erasures leave
// records they are there, and "erased" would not be true.
func treated(m Manifest, seen []*habeasv1.StoreCount, removed *removals) {
	for _, s := range seen {
		i := slices.IndexFunc(m.Stores, func(of Store) bool { return of.Name == s.GetStore() })
		if i < 0 {
			continue
		}
		of := m.Stores[i]
		if !of.Deidentifies && !of.Empties && !of.Masks {
			continue
		}
		left := max(0, s.GetLocatedCount()-s.GetKeptCount()-s.GetRemainingCount())
		left -= removed.take(s.GetStore(), left)
		switch {
		case of.Deidentifies:
			s.DeidentifiedCount = left
		case of.Masks:
			s.MaskedCount = left
		default:
			s.EmptiedCount = left
		}
	}
}

// checkTreatment refuses a store that says of its records two things of which only
// one can be so.
func checkTreatment(s Store) error {
	said := 0
	for _, is := range []bool{s.Deidentifies, s.Empties, s.Masks} {
		if is {
			said++
		}
	}
	if said > 1 {
		return fmt.Errorf("store %q: at most one of Deidentifies, Empties and Masks", s.Name)
	}
	return nil
}
