package store

import (
	"context"
	"errors"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Records is what a company has to be able to show of the requests it got: the
// log and the yearly numbers, who looked at them, who was trained to answer, and
// what forms, rules and notices said at the time. The stores that keep requests
// keep it too.
type Records interface {
	// Tally counts the requests of a query by what the numbers are made of. It
	// answers in a few hundred rows however many requests there are.
	Tally(ctx context.Context, q LogQuery) ([]Tally, error)
	// Log returns a page of the log of requests (11 CCR 7101(b)), in the order
	// of their arrival.
	Log(ctx context.Context, q LogQuery, after Cursor, limit int) ([]LogEntry, error)
	// Forget deletes requests that were closed before a time and have nothing
	// to come, with all that belongs to them; at most limit. It returns how many.
	Forget(ctx context.Context, closedBefore time.Time, limit int) (int64, error)

	// PutAccess records that somebody read the log, or was kept from it.
	PutAccess(ctx context.Context, a Access) error
	// Accesses returns who read the log from a time on, oldest first.
	Accesses(ctx context.Context, since time.Time, limit int) ([]Access, error)

	// PutTraining records that somebody was trained on a day; the same again
	// changes nothing.
	PutTraining(ctx context.Context, t Training) error
	// LastTraining returns the newest training of a person, or [ErrNotFound].
	LastTraining(ctx context.Context, who string) (Training, error)

	// PutVersion records what a form, a rule or a notice says from now on, with
	// the records that say so. What is in force already changes nothing and is
	// not fresh.
	PutVersion(ctx context.Context, v Version, records []Record) (fresh bool, err error)
	// PutRecords keeps new records that belong to no request until the log has
	// them: all of them or none.
	PutRecords(ctx context.Context, records []Record) error

	// VersionsAt returns what was in force at a time, by kind and name.
	VersionsAt(ctx context.Context, at time.Time) ([]Version, error)
}

// LogQuery says which requests the log or the numbers are about: those received
// from one day to another, both included, in the regime's zone. An empty tenant
// or regime is every one.
type LogQuery struct {
	Tenant, Regime string
	From, To       request.Date
}

// Tally is a number of requests that are alike in all that the yearly numbers
// are made of.
type Tally struct {
	Right request.Right
	// Result is how they ended; "" for those that are open. A request for
	// specific pieces that was answered as one for categories, because the
	// person could not be verified, counts once, as answered in part.
	Result request.Result
	// Code is the reason, where they were not answered in full.
	Code string
	// Days are from the day of receipt to the day of response; -1 while open.
	Days int
	N    int64
}

// LogEntry is one line of the log: the six fields of 11 CCR 7101(b), and the
// request's own id. It names nobody.
type LogEntry struct {
	ID         request.ID
	Regime     string
	Received   request.Date    // date of request
	Nature     request.Right   // nature of request
	Manner     request.Channel // manner in which it was made
	Responded  request.Date    // date of response; zero while open
	Response   request.Result  // nature of response
	Basis      string          // basis for denial, where it was denied in whole or in part: its code
	BasisWords string          // and in words
	CreatedAt  time.Time       // with ID, the place in the listing
}

// Access is one look at the log, or at the numbers.
type Access struct {
	At      time.Time
	Who     string // a member of staff or a system; not a consumer
	Role    string
	Purpose string
	Allowed bool
}

// Training is that somebody who answers requests was trained (11 CCR 7100).
type Training struct {
	Who    string
	Course string
	On     request.Date
}

// Version is what a form, a rule or a notice said from a time on.
type Version struct {
	Kind    string // form, regime, calendar, notice, tenant
	Name    string
	Version string
	Digest  []byte // SHA-256 of Content
	Content []byte // the text itself; it holds nothing personal
	At      time.Time
	By      string
}

// ErrTooSoon says that records may not be deleted yet.
var ErrTooSoon = errors.New("records are kept for at least 24 months")
