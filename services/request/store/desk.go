package store

import (
	"context"
	"errors"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Desk is what people who run the day need to see at a glance. What it reads
// grows with the open requests and with the days asked for, never with all
// requests there ever were.
type Desk interface {
	// Standing counts the open requests.
	Standing(ctx context.Context, now, soon time.Time) (Standing, error)
	// Pressing returns open requests, the first to be late first, at most limit.
	Pressing(ctx context.Context, limit int) ([]Request, error)
	// Days counts by UTC day, oldest first, from since on. Days on which nothing
	// happened are left out.
	Days(ctx context.Context, since time.Time) ([]Day, error)
	// Stuck counts the jobs of open requests that did not end well or have not
	// ended, by connector and state, and by the code of why.
	Stuck(ctx context.Context) ([]Stuck, error)
	// Tallied counts by state the requests of a filter's right, regime and
	// channel, and those that need a person when it says so; its other fields
	// are not looked at. It costs the same however many requests there are.
	Tallied(ctx context.Context, f Filter) (map[request.State]int64, error)
	// Matches counts the requests of a filter, but not beyond [CountMost].
	Matches(ctx context.Context, f Filter) (int64, error)
	// Pace tells how fast each connector has answered since a time.
	Pace(ctx context.Context, since time.Time) ([]Pace, error)
	// AtRisk counts for each connector the open requests with a job there that
	// has not ended, and that are late before the given time.
	AtRisk(ctx context.Context, free map[string]time.Time) (map[string]int64, error)
	// Tidy puts together what writers counted one by one, so that reading the
	// counts stays cheap.
	Tidy(ctx context.Context) error

	// SavedFilters returns a person's filters by name. SaveFilter stores one,
	// instead of another of its name; DropFilter forgets one. The error is
	// [ErrFull] when there are [SavedMost] already.
	SavedFilters(ctx context.Context, who string) ([]SavedFilter, error)
	SaveFilter(ctx context.Context, f SavedFilter) error
	DropFilter(ctx context.Context, who, name string) error
}

// ErrFull says that somebody has saved as many filters as there may be.
var ErrFull = errors.New("too many saved filters")

// Standing is how the open requests stand. Late are those whose answer was due
// by now, Soon those due between now and soon, and Attention those that a
// person must look at.
type Standing struct {
	Open                  map[request.State]int64
	Late, Soon, Attention int64
}

// Day is how many requests arrived on a UTC day and how many were closed.
type Day struct {
	Day             time.Time
	Arrived, Closed int64
	// Late are those of the closed that were closed when their answer was due.
	Late int64
	// Taken is the time from arrival to closing of those closed, and Spare the
	// time that was left, both in all and to the second.
	Taken, Spare time.Duration
}

// Pace is how many jobs a connector answered between the First and now: the
// last [PaceMost] at most.
type Pace struct {
	Connector string
	Answered  int64
	First     time.Time
}

// PaceMost is how many answers a connector's pace is taken from.
const PaceMost = 500

// Stuck is how many jobs of a connector are in a state for one reason. Code is
// empty for jobs that are only on their way. Oldest is when the first of them
// last changed.
type Stuck struct {
	Connector string
	State     request.JobState
	Code      string
	Jobs      int64
	Oldest    time.Time
}
