package store

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Onward is one recipient that has to be told of a request. The store keeps one
// of each recipient for a request. Rows are made and decided about in
// [Store.Advance]; only how sending went is written outside it.
type Onward struct {
	ID        request.ID
	RequestID request.ID
	// Recipient is the vendor's id in the company's file; Role and Contract are
	// what it was when this was decided.
	Recipient, Role, Contract string
	// Letters are the categories it got, such as "ABK"; Basis says how that is
	// known: "flow" or "ledger". It is [request.BasisSource] for one that gave them.
	Letters, Basis string
	// Channel is how it is told: "connector", "webhook", "email", or "" while
	// there is no way.
	Channel string
	State   request.OnwardState
	// Code and Explanation say why it is excused.
	Code, Explanation string
	DecidedAt         time.Time
	// Deadline is when it should have acknowledged.
	Deadline time.Time
	ToldAt   time.Time
	// ShownAt is when it first asked whom this is about.
	ShownAt        time.Time
	AcknowledgedAt time.Time
	// AcknowledgedBy is "recipient", the connector's name, or who of the staff
	// was told another way.
	AcknowledgedBy string
	// Reminders sent so far.
	Reminders int
	// Tries of sending failed since the last success, with the code Failed; the
	// next is at NextAt, and zero is none.
	Tries  int
	Failed string
	NextAt time.Time
	// Note is what staff wrote when they took its word another way.
	Note string
}

// Overdue reports whether the recipient should have acknowledged and did not.
func (o *Onward) Overdue(now time.Time) bool { return o.State.Open() && !now.Before(o.Deadline) }

// OnwardStanding is how telling recipients stands. Unsent are those of Waiting
// whose last try failed, Overdue those that should have acknowledged by now.
type OnwardStanding struct {
	Waiting int64 `json:"waiting"`
	Told    int64 `json:"told"`
	Unsent  int64 `json:"unsent"`
	Overdue int64 `json:"overdue"`
}

// Onwards is what telling recipients needs remembered besides requests. The
// stores that keep requests keep it too.
type Onwards interface {
	// DueOnward returns rows whose time to be sent, or sent again, has come,
	// oldest first, at most limit.
	DueOnward(ctx context.Context, now time.Time, limit int) ([]Onward, error)
	// PutOffOnward counts a try that failed: why, as a code, and when the next one
	// is. One that nothing is expected of any more stays as it is.
	PutOffOnward(ctx context.Context, id request.ID, again time.Time, code string) error
	// GetOnward returns one row, or [ErrNotFound].
	GetOnward(ctx context.Context, id request.ID) (Onward, error)
	// OnwardOf returns all rows of a request, oldest first.
	OnwardOf(ctx context.Context, id request.ID) ([]Onward, error)
	// OverdueOnward returns open rows whose deadline is over, the oldest deadline
	// first, at most limit.
	OverdueOnward(ctx context.Context, now time.Time, limit int) ([]Onward, error)
	// OnwardStanding counts the open rows.
	OnwardStanding(ctx context.Context, now time.Time) (OnwardStanding, error)
	// OnwardCounts counts the open rows of each recipient, and those it has
	// acknowledged since then, in the order of the recipients' ids. One without
	// either is left out.
	OnwardCounts(ctx context.Context, now, since time.Time) ([]OnwardCount, error)
	// ListOnward returns rows: the open ones with the next deadline first, or all
	// with the last deadline first.
	ListOnward(ctx context.Context, f OnwardFilter) ([]Onward, error)
}

// OnwardCount is how telling one recipient stands; see [OnwardStanding].
type OnwardCount struct {
	Recipient                      string
	Waiting, Told, Unsent, Overdue int64
	Acknowledged                   int64
}

// OnwardFilter says which rows are listed. Empty fields let everything through.
type OnwardFilter struct {
	Recipient string
	// Open leaves out what nothing is expected of; Unsent and Overdue are open
	// ones, too. Overdue is those whose deadline is over by then.
	Open, Unsent bool
	Overdue      time.Time
	// Acknowledged is those that were.
	Acknowledged bool
	// After is the last row of the page before.
	After OnwardCursor
	// Limit is the size of a page; see [PageSize].
	Limit int
}

// Ascending reports whether the next deadline comes first.
func (f *OnwardFilter) Ascending() bool { return f.Open || f.Unsent || !f.Overdue.IsZero() }

// OnwardCursor is a place between two pages.
type OnwardCursor struct {
	Deadline time.Time
	ID       request.ID
}
