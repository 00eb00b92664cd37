// Package store says what the rooms need remembered, in verbs of the domain.
//
// A Store owes its callers this: what a call returned without an error is on
// disk; what it returned an error for did not happen, unless the answer itself
// was lost, and then doing it again is harmless. Every change of a request goes
// through [Store.Advance], which hands the current truth to a pure function
// while nobody else can change it and writes what the function changed, all or
// nothing. Rows are read and written in sets, so that hundreds of outcomes
// cost about what one does.
//
// Nothing personal is stored in clear: identifiers are sealed under the
// request's own key, and that key is stored only wrapped.
//
// pgstore keeps it in PostgreSQL and litestore in SQLite; storetest is what
// both must pass.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Errors that callers branch on.
var (
	// ErrNotFound says that there is no such request, job or connector.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that an idempotency key was used for something else.
	ErrConflict = errors.New("idempotency key was used for another request")
)

// Request is one stored request: what the domain knows of it, and what is
// needed to work on it.
type Request struct {
	*request.Request
	// RespondBy is the first instant at which the answer is late.
	RespondBy time.Time
	// WrappedKey is the request's data key under the master key. Sealed are
	// the identifiers under the data key. Both are empty once destroyed.
	WrappedKey, Sealed []byte
	// Corrections are the fields to put right, and Statements what the consumer
	// wants said about disputed ones, both under the data key.
	Corrections, Statements []byte
	// Kinds are the identifier kinds in hand.
	Kinds []Kind
	// Commitment is HMAC-SHA-256 over the submitted identifiers.
	Commitment []byte
	// IdempotencyKey is the caller's, or empty; Fingerprint is a keyed digest
	// of the submission, to tell a repeat from a clash.
	IdempotencyKey string
	Fingerprint    []byte
	// Round counts the times identifiers were added; PlanDigest is the last
	// plan's.
	Round      int
	PlanDigest []byte
	// Plan is the last plan as JSON: lines, omissions and the rules and
	// versions they were made under.
	Plan []byte
	// RecordDigests are the digests of the request's records so far, 32 bytes
	// each, one after the other.
	RecordDigests []byte
	// ClosureDigest names the closure record once it was made.
	ClosureDigest []byte
	// Attention says why a person must look, as a code; empty when nobody must.
	Attention string
	// Assignee is the member of staff who looks after it; empty for nobody.
	Assignee  string
	Package   Package
	CreatedAt time.Time
	UpdatedAt time.Time
	ClosedAt  time.Time
	// Version grows by one with every change.
	Version int64
}

// NoDeadline is [Request.RespondBy] of a request whose rules are not known: no
// clock runs out for it, and a person has to look.
var NoDeadline = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Kind is an identifier kind in hand.
type Kind struct {
	Name string
	// Round is the request's round when a value of this kind was last added,
	// and By the connector that knew it; "" for the consumer's own.
	Round int
	By    string
}

// Package is the answer to a copy request.
type Package struct {
	// Key is where it lies in the package store.
	Key string
	// Identity opens it, sealed under the request's data key.
	Identity []byte
	SHA256   []byte
	Size     int64
}

// Job is one connector's part of a request.
type Job struct {
	ID               request.ID
	RequestID        request.ID
	Connector        string
	ConnectorVersion string
	ManifestDigest   string
	// KeyID is the evidence key that may sign the answer.
	KeyID  string
	Action request.Action
	// Round is the request's round when the job was planned.
	Round int
	// After are the jobs of the same request that must have ended first.
	After   []request.ID
	Kinds   []string
	State   request.JobState
	Purpose Purpose
	// Attempt counts the times the job was sent, Failures those of them that
	// failed since a person last looked: putting off and sending again what the
	// bus lost are none.
	Attempt, Failures int
	// PlanDigest is the plan that introduced the job.
	PlanDigest []byte
	// Located and Outcome are what the connector said, as the JSON of the
	// contract's messages; empty until it did.
	Located, Outcome []byte
	// Discovered is set once the identifiers that a resolve job found have
	// arrived; without them its outcome does not count.
	Discovered bool
	// Code and Message explain an outcome that is no success.
	Code, Message string
	CapOverride   int64
	// LocatedEnvelope is the first located record, kept until the job ends, so
	// that a later attempt can be told what there was.
	LocatedEnvelope []byte
	SentAt          time.Time
	// NextAt is when a deferred or planned job is looked at again.
	NextAt    time.Time
	UpdatedAt time.Time
}

// Purpose is what a job is for, when that is not its request's right.
type Purpose string

// PurposeSurvey asks how sensitive what is held is, before the right is acted
// on (11 CCR 7062(d)).
const PurposeSurvey Purpose = "survey"

// Record is a signed record on its way into the log. It stays until audit has
// told that it is a leaf.
type Record struct {
	Digest    []byte
	RequestID request.ID
	JobID     request.ID
	Type      string
	Issuer    string
	Envelope  []byte
	CreatedAt time.Time
}

// Created is what came of one new request.
type Created struct {
	ID request.ID
	// Existing is set when the idempotency key was known: ID is the earlier
	// request and nothing was stored.
	Existing bool
	// Err is ErrConflict, or nil.
	Err error
}

// New is a request to store with the records of its intake.
type New struct {
	Request Request
	Records []Record
	// People are keyed digests of the person's identifiers, by which requests
	// of one person are found; see [Store.Related].
	People [][]byte
	// Notices are what the person has to be told.
	Notices []Notice
}

// Notice is something the person has to be told, waiting to be told. The store
// keeps one of each kind and key for a request.
type Notice struct {
	RequestID request.ID
	Kind      NoticeKind
	// Key tells notices of one kind apart; usually empty.
	Key       string
	CreatedAt time.Time
}

// NoticeKind is what a notice is about.
type NoticeKind string

// The notices the law demands.
const (
	NoticeReceipt     NoticeKind = "receipt"      // 11 CCR 7021(a)
	NoticeFixIt       NoticeKind = "fix_it"       // how to make the request the designated way (11 CCR 7020(e))
	NoticeExtension   NoticeKind = "extension"    // with its reason (11 CCR 7021(b))
	NoticeDenial      NoticeKind = "denial"       // with its basis (11 CCR 7022(f), 7024(e))
	NoticeVerifyAgain NoticeKind = "verify_again" // what was found wants a surer verification (11 CCR 7062(d))
	NoticeConfirm     NoticeKind = "confirm"      // the second step is to come (11 CCR 7020(d), 7028)
	NoticeAnswer      NoticeKind = "answer"       // what was done (11 CCR 7022(e), 7023(f), 7024)
)

// Related is another request of a person who was asked about.
type Related struct {
	// Digest is the one of those asked for that they share.
	Digest []byte
	request.Past
}

// Snapshot is one request as it stands inside [Store.Advance].
type Snapshot struct {
	Request Request
	// Jobs are all of its jobs, oldest first.
	Jobs []Job
	// Changed must be set when Request was changed; ChangedJobs names the jobs
	// that were, by index. Jobs appended to Jobs are new.
	Changed     bool
	ChangedJobs map[int]bool
	// Records are new records of the request, stored with it.
	Records []Record
	// Notices are new notices of the request; one that is there is left alone.
	Notices []Notice
	// Suppress are entries of the suppression list to be added, and Unsuppress
	// those to be taken away, with the request.
	Suppress, Unsuppress []Suppressed
	// Retained is what was kept of the person, to be remembered with the request.
	Retained []Retained
	// Incidents are what the request found; one that is there is left alone.
	Incidents []Incident
	// Onward are those who have to be told of it, oldest first; they are loaded
	// with the jobs. What is appended is new, and ChangedOnward names those that
	// were changed, by index.
	Onward        []Onward
	ChangedOnward map[int]bool
	// Stored is the number of Jobs that came from the store, StoredOnward that of
	// Onward.
	Stored, StoredOnward int
}

// TouchOnward marks Onward i as changed.
func (s *Snapshot) TouchOnward(i int) {
	if s.ChangedOnward == nil {
		s.ChangedOnward = make(map[int]bool)
	}
	s.ChangedOnward[i] = true
}

// Touch marks job i as changed.
func (s *Snapshot) Touch(i int) {
	if s.ChangedJobs == nil {
		s.ChangedJobs = make(map[int]bool)
	}
	s.ChangedJobs[i] = true
}

// Selector says which requests Advance locks: those named, or up to Limit of
// those in State that nobody else is working on.
type Selector struct {
	IDs   []request.ID
	State request.State
	Limit int
}

// Connector is what is known of a connector.
type Connector struct {
	Name string
	// Manifest is the protobuf message last announced.
	Manifest []byte
	// KeyID and Key are the evidence key in force.
	KeyID     string
	Key       []byte
	SeenAt    time.Time
	UpdatedAt time.Time
}

// Outstanding counts the jobs of one connector that are out.
type Outstanding struct {
	Connector string
	// Sent is how many were sent before the lease and not answered.
	Sent int64
	// Oldest is when the first of them was sent.
	Oldest time.Time
}

// Store is the memory of the rooms. Methods may be called concurrently and by
// several processes.
type Store interface {
	// Create stores requests with their records, each or not at all,
	// and answers in the order of the input.
	Create(ctx context.Context, news []New) ([]Created, error)
	// Advance locks the selected requests, loads them with their jobs when
	// withJobs is set, calls decide once with all of them, and writes what
	// decide changed, in one transaction. decide may be called again when the
	// transaction has to be; it is pure. An error from decide rolls back.
	Advance(ctx context.Context, sel Selector, withJobs bool, decide func([]*Snapshot) error) ([]*Snapshot, error)

	// Get returns one request with its jobs.
	Get(ctx context.Context, id request.ID) (Request, []Job, error)
	// List returns a page of requests in the filter's order, newest first when
	// it names none.
	List(ctx context.Context, f Filter) ([]Request, error)
	// Several returns those of the requests that there are, in no order.
	Several(ctx context.Context, ids []request.ID) ([]Request, error)
	// JobsOf returns the jobs of several requests, oldest first.
	JobsOf(ctx context.Context, ids []request.ID) (map[request.ID][]Job, error)
	// Counts returns how many requests are in each state.
	Counts(ctx context.Context) (map[request.State]int64, error)

	// Due returns requests that have a planned or deferred job whose time has
	// come, a job sent before stale to one of the connectors in lost, that are
	// closing without a closure record or whose own time to wake has come
	// ([request.Request.Wake]), or a job that waited for a connector which is
	// paused no more ([CodePaused]); at most limit.
	Due(ctx context.Context, now, stale time.Time, lost []string, limit int) ([]request.ID, error)
	// Outstanding counts by connector the jobs sent before the given time and
	// not answered.
	Outstanding(ctx context.Context, before time.Time) ([]Outstanding, error)

	// Related returns the requests whose person has one of the digests, each
	// once for each digest, oldest first.
	Related(ctx context.Context, digests [][]byte) ([]Related, error)
	// PeopleOf returns the digests a request was stored with.
	PeopleOf(ctx context.Context, id request.ID) ([][]byte, error)
	// Notices returns notices that nobody was told of yet, oldest first, at most
	// limit; Noticed forgets those that were.
	Notices(ctx context.Context, limit int) ([]Notice, error)
	Noticed(ctx context.Context, told []Notice) error

	// Unlogged returns records stored before the given time that audit has not
	// acknowledged, oldest first, at most limit.
	Unlogged(ctx context.Context, before time.Time, limit int) ([]Record, error)
	// Logged forgets records that are in the log.
	Logged(ctx context.Context, digests [][]byte) error

	// PutConnector stores what a connector announced.
	PutConnector(ctx context.Context, c Connector) error
	// PutKey accepts an evidence key and stores the record that says so. A key
	// that was accepted before changes nothing and is not fresh.
	PutKey(ctx context.Context, id string, k Key, r Record) (fresh bool, err error)
	// Connectors returns all connectors by name.
	Connectors(ctx context.Context) ([]Connector, error)
	// Keys returns every evidence key ever accepted: fingerprint to connector
	// and PKIX DER.
	Keys(ctx context.Context) (map[string]Key, error)

	Shredder
	Suppressions
	Aftercare
	Desk
	Fleet

	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close releases the database.
	Close() error
}

// Key is an evidence key that was accepted.
type Key struct {
	Owner string
	DER   []byte
}

// MostPage is the most rows of a page.
const MostPage = 500

// PageSize bounds what a caller asked for.
func PageSize(asked int) int {
	const usual = 50
	switch {
	case asked <= 0:
		return usual
	case asked > MostPage:
		return MostPage
	default:
		return asked
	}
}

// WaitsForReview reports whether the copy is made and somebody has to look at it before
// it is handed over.
func (r *Request) WaitsForReview() bool {
	return r.State() == request.Packaging && r.Package.Key != "" && r.Case.Review != nil && r.Case.Review.Approved.IsZero()
}

// HandsOver reports whether the package may be given to the person, or printed for
// them: it is made, nobody has to look at it any more, and the request was not denied or
// stopped while it waited.
func (r *Request) HandsOver() bool {
	return r.Package.Key != "" && (r.Case.Review == nil || !r.Case.Review.Approved.IsZero()) && (r.Ending == nil || r.Ending.Result.Answered())
}

// WaitsForMail reports whether the answer is made, may be handed over and has to be
// printed and mailed, as the person chose.
func (r *Request) WaitsForMail() bool {
	return r.State() == request.Packaging && r.Case.Answer == request.AnswerByMail && r.Package.Key != "" && !r.WaitsForReview()
}
