package drop

import "errors"

// ErrCoverage says that answers do not cover a batch: an item has no status. The
// platform gives no new list before every item of the last has its own.
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
