package store

import (
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Filter narrows a listing. Zero fields don't.
type Filter struct {
	State     request.State
	Right     request.Right
	Regime    string
	Channel   request.Channel
	Attention bool
	// Open leaves out what is closed.
	Open bool
	// Assignee is the member of staff who looks after it.
	Assignee string
	// Connector leaves open requests that have a job there which has not ended
	// well.
	Connector string
	// DueAfter and DueUntil leave open requests whose answer becomes late after
	// the one and not after the other.
	DueAfter, DueUntil time.Time
	// Person is a keyed digest of one of the person's identifiers; see
	// [New.People].
	Person []byte

	Sort Sort
	// Before is the last row of the previous page: a keyset cursor.
	Before Cursor
	// Limit is the page size; 0 means 50, and 500 is the most.
	Limit int
}

// Sort is the order of a listing.
type Sort string

// The orders.
const (
	SortNewest Sort = ""       // by arrival, the newest first
	SortOldest Sort = "oldest" // by arrival, the oldest first
	SortDue    Sort = "due"    // open requests alone, the first to be late first
)

// Valid reports whether s is one of the orders.
func (s Sort) Valid() bool { return s == SortNewest || s == SortOldest || s == SortDue }

// Cursor is a place in a listing: of the last row, its id and the time that the
// listing is ordered by.
type Cursor struct {
	// CreatedAt is the time, and of a listing by deadline [Request.RespondBy].
	CreatedAt time.Time
	ID        request.ID
}

// CursorOf returns the place of a request in a listing.
func (f Filter) CursorOf(r *Request) Cursor {
	if f.Sort == SortDue {
		return Cursor{CreatedAt: r.RespondBy, ID: r.ID}
	}
	return Cursor{CreatedAt: r.CreatedAt, ID: r.ID}
}

// Narrow reports whether the filter asks for more than what is tallied: see
// [Desk.Tallied].
func (f Filter) Narrow() bool {
	return f.Assignee != "" || f.Connector != "" || !f.DueAfter.IsZero() || !f.DueUntil.IsZero() || len(f.Person) > 0
}

// OnlyOpen reports whether no closed request can match.
func (f Filter) OnlyOpen() bool {
	return f.Open || f.Sort == SortDue || f.Connector != "" || !f.DueAfter.IsZero() || !f.DueUntil.IsZero()
}

// CountMost is the highest number that [Desk.Matches] counts to.
const CountMost = 1000

// SavedFilter is a filter that a member of staff gave a name.
type SavedFilter struct {
	Who, Name string
	// Query is how the console writes the filter.
	Query string
}

// SavedMost is how many filters one person can save.
const SavedMost = 30
