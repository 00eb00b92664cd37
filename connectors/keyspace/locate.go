package keyspace

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func (c *Connector) sought(people []sdk.Person) *sought {
	return newSought(people, c.stores[0].normalise)
}

// Locate implements [sdk.Connector].
func (c *Connector) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	found, err := c.LocateBatch(ctx, []sdk.Person{p})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// tally counts one person's records in one store.
type tally struct {
	free, kept int64
	until      time.Time
}

// LocateBatch implements [sdk.BatchLocator]: the keys are walked once for all.
func (c *Connector) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	results := make([][]sdk.Found, len(people))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q := c.sought(people)
	now := time.Now()
	for _, s := range c.stores {
		tallies := make([]tally, len(people))
		w := wants{times: q.since || s.keep != nil}
		err := c.search(ctx, q, s, w, func(r record) error {
			for _, i := range r.people {
				if outside(people[i], r.at) {
					continue
				}
				if until, kept := s.keptUntil(r.at, now); kept {
					tallies[i].kept += r.n
					if until.After(tallies[i].until) {
						tallies[i].until = until
					}
					continue
				}
				tallies[i].free += r.n
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for i, t := range tallies {
			if t.free > 0 {
				results[i] = append(results[i], sdk.Found{Store: s.name, Count: t.free})
			}
			if t.kept > 0 {
				results[i] = append(results[i], sdk.Found{Store: s.name, Count: t.kept, Keep: &sdk.Keep{Basis: s.keep.Basis, Until: t.until, Facts: s.keep.Facts}})
			}
		}
	}
	return results, nil
}

// outside reports whether a record lies before a person's look-back window. A
// record without a date is in every window.
func outside(p sdk.Person, at time.Time) bool {
	return !at.IsZero() && !p.Since().IsZero() && at.Before(p.Since())
}

// keptUntil reports whether the law wants a record kept now, and until when.
func (s *store) keptUntil(at, now time.Time) (time.Time, bool) {
	if s.keep == nil || at.IsZero() {
		return time.Time{}, false
	}
	until := at.Add(s.keep.For)
	return until, until.After(now)
}
