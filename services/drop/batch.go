package drop

import (
	"errors"
	"fmt"
)

// ErrCoverage says that answers do not cover a batch: an item has no status, or
// two, or an answer belongs to no item. The platform gives no new list before
// every item of the last has its status.
var ErrCoverage = errors.New("answers do not cover the batch")

// Match is what a broker found for one item: how many people its hash names,
// and whether all records of the one person are exempt.
type Match struct {
	People int
	Exempt bool
}

// StatusOf is the status that follows from a match (11 CCR 7613-7614). One
// identifier that several people share deletes nobody and opts all of them out.
func (m Match) StatusOf() Status {
	switch {
	case m.People <= 0:
		return NotFound
	case m.People > 1:
		return OptedOut
	case m.Exempt:
		return Exempted
	default:
		return Deleted
	}
}

// Cover checks answers against the batch they are for: every item once, with a
// status, and nothing else. The error is [ErrCoverage], says how many items are
// wrong in which way, and names the first of each by its ID.
func Cover(batch []Item, answers []Answer) error {
	open := make(map[string]bool, len(batch))
	var errs []error
	twice := tally{what: "are in the batch twice"}
	for _, item := range batch {
		if _, ok := open[item.ID]; ok {
			twice.add(item.ID)
		}
		open[item.ID] = true
	}
	unknown, again, without := tally{what: "are not in the batch"}, tally{what: "are answered twice"}, tally{what: "have no status that there is"}
	for _, a := range answers {
		waits, known := open[a.ID]
		switch {
		case !known:
			unknown.add(a.ID)
		case !waits:
			again.add(a.ID)
		case !a.Status.Valid():
			without.add(a.ID)
		}
		if known {
			open[a.ID] = false
		}
	}
	missing := tally{what: "have no answer"}
	for _, item := range batch {
		if open[item.ID] {
			missing.add(item.ID)
			open[item.ID] = false
		}
	}
	for _, t := range []tally{twice, unknown, again, without, missing} {
		if t.n > 0 {
			errs = append(errs, fmt.Errorf("%d items %s, the first %q: %w", t.n, t.what, t.first, ErrCoverage))
		}
	}
	return errors.Join(errs...)
}

type tally struct {
	what, first string
	n           int
}

func (t *tally) add(id string) {
	if t.n == 0 {
		t.first = id
	}
	t.n++
}
