package store

import (
	"context"
	"errors"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Doors is what the doors of intake need remembered besides requests: what is
// being verified, what must be kept of it, who opted out on which device, how
// often something was tried, and which package was taken. The stores that keep
// requests keep it too, in tables of its own.
type Doors interface {
	// PutCase stores the verification data of a request, once: a case that is
	// there already is left as it is.
	PutCase(ctx context.Context, c Case) error
	// GetCase returns a case, or [ErrNotFound].
	GetCase(ctx context.Context, id request.ID) (Case, error)
	// SaveCase writes a case back when its version is still the one that was
	// read, and [ErrStale] otherwise.
	SaveCase(ctx context.Context, c Case) error
	// DueCases returns the cases whose time has come, oldest first.
	DueCases(ctx context.Context, now time.Time, limit int) ([]request.ID, error)
	// PurgeCase forgets what a case held, key and all, and stores the record
	// that says so, both or neither. A case that was purged before, or never
	// was, changes nothing and is not fresh.
	PurgeCase(ctx context.Context, id request.ID, at time.Time, r Record) (fresh bool, err error)

	// KeepDocument stores a sealed document that belongs to the record of a
	// request; the same document again changes nothing.
	KeepDocument(ctx context.Context, d Document) error
	// Documents returns what is kept for a request.
	Documents(ctx context.Context, id request.ID) ([]Document, error)
	// ExpireDocuments forgets the documents whose time is over.
	ExpireDocuments(ctx context.Context, now time.Time) (int64, error)

	// Count counts one more try in a bucket and returns how many there were
	// since the window began; a window that is over begins again.
	Count(ctx context.Context, bucket []byte, window time.Duration, now time.Time) (int64, error)

	// ClaimDownload reserves the one download of a request's package; false
	// means that it was taken, or that another one began after stale.
	ClaimDownload(ctx context.Context, id request.ID, claim string, now, stale time.Time) (bool, error)
	// EndDownload says whether the claimed download came to its end; when it
	// did not, the claim is given back.
	EndDownload(ctx context.Context, id request.ID, claim string, done bool) error

	// Choose ties the digests of one visitor's identifiers together and, when
	// out is set, opts all that they belong to out. It answers how they stand.
	Choose(ctx context.Context, digests [][]byte, out bool, at time.Time) (Choice, error)
	// Lift undoes what was chosen before: who opted in again, in two steps, is
	// in. Later signals count anew.
	Lift(ctx context.Context, digests [][]byte) error
	// Carried remembers that a request carries an opt-out to the systems that
	// know the person by these.
	Carried(ctx context.Context, digests [][]byte, id request.ID) error
}

// ErrStale says that somebody else changed a row since it was read.
var ErrStale = errors.New("changed since it was read")

// Case is the verification data of one request, sealed under a key of its own.
type Case struct {
	RequestID          request.ID
	WrappedKey, Sealed []byte
	// NextAt is when it is looked at again; zero while it waits for the person.
	NextAt    time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
	// PurgedAt is set once the data and its key are gone.
	PurgedAt time.Time
	Version  int64
}

// Document is a paper that is kept with the record of a request, such as a
// declaration (11 CCR 7101, 7062(c)).
type Document struct {
	RequestID          request.ID
	Kind               string
	WrappedKey, Sealed []byte
	KeepUntil          time.Time
}

// Choice is how a visitor stands.
type Choice struct {
	// OptedOutAt is when any of the tied identifiers opted out first; zero for
	// never.
	OptedOutAt time.Time
	// Uncarried are those of the given digests that opted out and that no
	// request carries yet.
	Uncarried [][]byte
}
