package store

import (
	"context"
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
}

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
}

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
