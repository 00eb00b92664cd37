package keyspace

import (
	"slices"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// sought is whom one pass looks for.
type sought struct {
	people    []sdk.Person
	normalise declared.Normalise
	by        map[sdk.Kind]map[string][]int // value to places in people
	since     bool                          // somebody has a look-back window
}

func newSought(people []sdk.Person, normalise declared.Normalise) *sought {
	q := &sought{people: people, normalise: normalise, by: map[sdk.Kind]map[string][]int{}}
	for i, p := range people {
		q.since = q.since || !p.Since().IsZero()
		for _, id := range p.Identifiers() {
			value := q.normalise.Value(id.Kind, id.Value.Reveal())
			if value == "" {
				continue
			}
			if q.by[id.Kind] == nil {
				q.by[id.Kind] = map[string][]int{}
			}
			if of := q.by[id.Kind][value]; !slices.Contains(of, i) {
				q.by[id.Kind][value] = append(of, i)
			}
		}
	}
	return q
}

// who are the people a value names.
func (q *sought) who(kind sdk.Kind, value string) []int {
	of := q.by[kind]
	if of == nil {
		return nil
	}
	return of[q.normalise.Value(kind, value)]
}

// concerns reports whether the store can find any of the people.
func (q *sought) concerns(s *store) bool {
	return slices.ContainsFunc(s.kinds(), func(k sdk.Kind) bool { return len(q.by[k]) > 0 })
}

// only is the one value sought of a kind, if there is one alone and it is
// compared as it is: the server can look for it.
func (q *sought) only(kind sdk.Kind) string {
	if len(q.by[kind]) == 1 && !q.normalise.Lower(kind) {
		for value := range q.by[kind] {
			return value
		}
	}
	return ""
}

// union adds b's members to a.
func union(a, b []int) []int {
	for _, i := range b {
		if !slices.Contains(a, i) {
			a = append(a, i)
		}
	}
	return a
}
