package lake

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// sought are the people of one pass. Looking a value up costs the same for one
// person as for ten thousand.
type sought struct {
	// people are the numbers of the people who have a value, by kind. Two
	// numbers share a value when one person is sought twice, or two at once.
	people map[sdk.Kind]map[string][]int32
	lower  map[sdk.Kind]map[string][]int32
	since  []time.Time
	// earliest is the start of the longest look-back window; zero when
	// somebody's is unlimited.
	earliest time.Time
	// latest is the start of the shortest; zero when nobody's is limited.
	latest time.Time
	any    bool // somebody has an identifier the stores know
}

func newSought(people []sdk.Person, stores []*store) *sought {
	q := &sought{people: make(map[sdk.Kind]map[string][]int32), lower: make(map[sdk.Kind]map[string][]int32)}
	for _, s := range stores {
		for _, kind := range s.kinds {
			q.people[kind] = make(map[string][]int32)
			q.lower[kind] = make(map[string][]int32)
		}
	}
	for i, p := range people {
		q.since = append(q.since, p.Since())
		if i == 0 || p.Since().Before(q.earliest) {
			q.earliest = p.Since()
		}
		if p.Since().After(q.latest) {
			q.latest = p.Since()
		}
		for kind, values := range q.people {
			for _, v := range p.Values(kind) {
				if v = strings.TrimSpace(v); v == "" {
					continue
				}
				q.any = true
				addNumber(values, v, int32(i))
				addNumber(q.lower[kind], strings.ToLower(v), int32(i))
			}
		}
	}
	return q
}

func addNumber(values map[string][]int32, v string, n int32) {
	if !slices.Contains(values[v], n) {
		values[v] = append(values[v], n)
	}
}

// lookup is a sought made ready for one store.
type lookup struct {
	*store
	sought *sought
	byKind []map[string][]int32
}

func (q *sought) in(s *store) *lookup {
	l := &lookup{store: s, sought: q}
	for i, kind := range s.kinds {
		if s.lower[i] {
			l.byKind = append(l.byKind, q.lower[kind])
		} else {
			l.byKind = append(l.byKind, q.people[kind])
		}
	}
	return l
}

// take notes a value at node n in the record; elem is the shared element it is
// in, or -1.
func (l *lookup) take(rec *record, n *node, text []byte, elem int) {
	if n.typ && !rec.hasTyp {
		rec.typ, rec.hasTyp = append(rec.typ, text...), true
	}
	if n.time && len(rec.when) == 0 {
		rec.when = append(rec.when, text...)
	}
	if n.kind < 0 || len(text) == 0 {
		return
	}
	if elem < 0 {
		rec.owners++
	} else {
		rec.elems[elem].named = true
	}
	if people := l.find(n.kind, text); people != nil {
		rec.hits = append(rec.hits, hit{people: people, elem: elem})
	}
}

// find returns the people who have a value.
func (l *lookup) find(kind int, value []byte) []int32 {
	value = bytes.TrimSpace(value)
	if l.lower[kind] {
		value = bytes.ToLower(value)
	}
	return l.byKind[kind][string(value)]
}

// outside reports whether a file of a day can hold nothing in anybody's
// look-back window. A day's partition may hold the neighbouring day's records,
// because the writer's clock or time zone need not be ours.
func (q *sought) outside(day time.Time) bool {
	return !day.IsZero() && !q.earliest.IsZero() && day.AddDate(0, 0, 2).Before(q.earliest)
}

// record is one record in which somebody sought was named. It is valid until
// the callback it was given to returns.
type record struct {
	raw    []byte // without the line end
	number int64  // of its first line or of the row, from 1
	row    bool   // number counts rows
	hits   []hit
	owners int    // identifier values outside of shared elements
	elems  []elem // elements of shared lists
	typ    []byte
	when   []byte
	hasTyp bool
	hidden []hidden // withheld values

	dialect dialect     // what read it, for text formats
	parquet *parquetRow // where its values are, for Parquet
}

// place says where in its file the record is.
func (r *record) place() string {
	if r.row {
		return fmt.Sprintf("row %d", r.number)
	}
	return fmt.Sprintf("line %d", r.number)
}

// hit is a value that belongs to people sought.
type hit struct {
	people []int32
	elem   int // in elems, or -1
}

// elem is one element of a shared list.
type elem struct {
	start, end int // in raw, without the commas around it
	first      bool
	list       int // elements with the same number are in one list
	named      bool
}

// hidden is one value that is withheld.
type hidden struct {
	start, end int
	item       int // in store.withheldAs
}

func (r *record) reset(raw []byte, number int64) {
	*r = record{raw: raw, number: number, hits: r.hits[:0], elems: r.elems[:0], typ: r.typ[:0], when: r.when[:0], hidden: r.hidden[:0]}
}
