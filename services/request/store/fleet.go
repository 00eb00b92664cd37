package store

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// CodePaused is [Job.Code] of a job that is not sent because its connector is
// paused. Such a job has no time at which it is looked at again: [Store.Due]
// names it once its connector is paused no more.
const CodePaused = "paused"

// Fleet is what staff decide about connectors, and the jobs that came to a dead
// end at them.
type Fleet interface {
	// Pause puts a pause in force, with the record that says so. A connector that
	// is paused already changes nothing and is not fresh; one that nobody knows is
	// [ErrNotFound].
	Pause(ctx context.Context, p Pause, r Record) (fresh bool, err error)
	// Resume ends the pause that is in force, with the record that says so.
	// Without one nothing changes, and it is not fresh.
	Resume(ctx context.Context, connector, by string, at time.Time, r Record) (fresh bool, err error)
	// Pauses returns the pauses in force, by connector.
	Pauses(ctx context.Context) ([]Pause, error)
	// PausesOf returns the pauses of a connector there were, newest first, at most
	// limit.
	PausesOf(ctx context.Context, connector string, limit int) ([]Pause, error)

	// DeadEnds counts the jobs that [Fleet.Letters] lists, by connector, state and
	// code.
	DeadEnds(ctx context.Context) ([]Stuck, error)
	// Letters returns jobs of open requests that ended so that a person must look,
	// those that ended first first. What was asked again since is none.
	Letters(ctx context.Context, f LetterFilter) ([]Letter, error)
}

// Pause is that a connector gets no jobs.
type Pause struct {
	Connector string
	// Since is when it was paused, and By who did it, a member of staff; Reason is
	// in words and names nobody.
	Since      time.Time
	By, Reason string
	// Until is when it ended, and EndedBy who ended it; zero while it lasts.
	Until   time.Time
	EndedBy string
}

// LetterFilter narrows a listing of dead letters. Zero fields don't.
type LetterFilter struct {
	Connector string
	State     request.JobState
	// Code is compared when HasCode is set: there are jobs without one.
	Code    string
	HasCode bool
	// Before leaves out what ended at or after it.
	Before time.Time
	// After is the last row of the previous page.
	After LetterCursor
	// Limit is the page size; see [PageSize].
	Limit int
}

// LetterCursor is a place in a listing of dead letters.
type LetterCursor struct {
	EndedAt time.Time
	Job     request.ID
}

// Letter is a job that came to a dead end.
type Letter struct {
	RequestID, JobID request.ID
	Connector        string
	Action           request.Action
	State            request.JobState
	Code, Message    string
	Attempt          int
	EndedAt          time.Time
	// Right and RespondBy are the request's.
	Right     request.Right
	RespondBy time.Time
}
