package store

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Aftercare is what is remembered after an answer: identifiers for a system
// that may be restored, replays of what it forgot, and what later looks found.
type Aftercare interface {
	// Unkept returns parts of requests that are to be destroyed under q and whose
	// connector's backups still live, while nothing is kept for them; at most
	// q.Limit. [Shredder.Shred] leaves their requests alone.
	Unkept(ctx context.Context, q Shreddable) ([]Unkept, error)
	// PutKept stores what is kept; what is there stays as it is.
	PutKept(ctx context.Context, kept []Kept) error
	// DropKept destroys what is kept no longer than now, with the records that
	// sign makes of it by connector, all or nothing, and returns how many; at
	// most limit.
	DropKept(ctx context.Context, now time.Time, limit int, sign func(map[string]int64) ([]Record, error)) (int, error)

	// Forgotten returns what a connector's system has done since a time, or may
	// have done, and forgot when it was restored to that time: after a job, in
	// the order of job ids, at most limit. What was undone or taken back since is
	// not among it.
	Forgotten(ctx context.Context, connector string, since time.Time, after request.ID, limit int) ([]Forgotten, error)
	// StartReplay stores a replay, unless the same one, of that connector and
	// time, has not been planned to its end; then it returns that.
	StartReplay(ctx context.Context, r Replay) (Replay, error)
	// Replays returns the newest replays, at most limit, and Replay one of them,
	// or [ErrNotFound].
	Replays(ctx context.Context, limit int) ([]Replay, error)
	Replay(ctx context.Context, id string) (Replay, error)
	// Unplanned returns the replays that are not planned to their end.
	Unplanned(ctx context.Context) ([]Replay, error)
	// AdvanceReplay writes how far a replay is planned, if it still stands at the
	// given job; it reports whether it did.
	AdvanceReplay(ctx context.Context, r Replay, from request.ID) (bool, error)
	// ReplayProgress counts what became of a replay's requests.
	ReplayProgress(ctx context.Context, id string) (Progress, error)

	// PutIncidents stores incidents; one that is there stays as it is.
	PutIncidents(ctx context.Context, incidents []Incident) error
	// Incidents returns the newest incidents, at most limit, and with open those
	// alone that nobody has closed.
	Incidents(ctx context.Context, open bool, limit int) ([]Incident, error)
	// CloseIncident closes an incident, or returns [ErrNotFound]. Closing it
	// again changes nothing.
	CloseIncident(ctx context.Context, id string, by, note string, at time.Time) error
	// Trouble counts the open incidents by what they are about.
	Trouble(ctx context.Context) ([]Trouble, error)
}

// Unkept is a request's part at one connector.
type Unkept struct {
	RequestID request.ID
	Connector string
	// Until is when the connector's backups have forgotten it by themselves.
	Until time.Time
	// WrappedKey and Sealed are the request's own.
	WrappedKey, Sealed []byte
}

// Kept are the identifiers of one request that one connector was given, for the
// one purpose of doing again what its system forgets when it is restored. They
// are sealed under a key of their own.
type Kept struct {
	RequestID          request.ID
	Connector          string
	WrappedKey, Sealed []byte
	Until              time.Time
}

// Forgotten is one job that a restored system has forgotten.
type Forgotten struct {
	JobID   request.ID
	Action  request.Action
	Request Request
	// Kept is what is kept for it; nil when nothing is.
	Kept *Kept
	// Outcome is what the connector said when it was done, as in [Job].
	Outcome []byte
}

// Replay does again what a restored system has forgotten.
type Replay struct {
	ID        string
	Connector string
	// Since is the time the system was restored to.
	Since     time.Time
	By        string
	CreatedAt time.Time
	// After is the last job that was planned again.
	After request.ID
	// Planned are the jobs gone through so far. Lost are those of them whose
	// identifiers are destroyed, and Released those of people who are not to stay
	// erased or opted out any more.
	Planned, Lost, Released int64
	// PlannedAt is when all had been gone through; zero before.
	PlannedAt time.Time
}

// Progress is how far a replay has come. Of the closed requests, Again found what
// was brought back and did it again, Clean found nothing, and Failed could not be
// carried out in full. Attention are open ones that a person must look at.
type Progress struct {
	Requests, Closed, Again, Clean, Failed, Attention int64
}

// IncidentKind is what an incident is.
type IncidentKind string

// The kinds.
const (
	Resurrected IncidentKind = "resurrected" // what was erased was found again, and erased again
	Lapsed      IncidentKind = "lapsed"      // an opt-out was not in force any more, or not for what was linked since, and made again
	Reimported  IncidentKind = "reimported"  // a program was about to import somebody who is to stay erased
)

// Incident is something that went wrong after an answer. It names a system and
// nobody.
type Incident struct {
	ID   string
	Kind IncidentKind
	// Connector and Store are the source: where it was found, or for a program
	// that imports, its name.
	Connector, Store string
	// RequestID is the request that found it, ParentID the one it looks after.
	RequestID, ParentID request.ID
	// Records are how many were found.
	Records  int64
	OpenedAt time.Time
	// ClosedAt is when a person was done with it, By who and Note what it was.
	ClosedAt time.Time
	By, Note string
}

// Trouble is the open incidents of one kind at one source.
type Trouble struct {
	Kind               IncidentKind
	Connector, Store   string
	Incidents, Records int64
	First, Last        time.Time
}
