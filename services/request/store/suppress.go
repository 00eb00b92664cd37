package store

import (
	"context"
	"time"
)

// Suppressions is the list of those who are to stay erased or opted out. It
// holds keyed digests and nothing they could be read from.
type Suppressions interface {
	// Suppressed returns the entries that have one of the digests.
	Suppressed(ctx context.Context, digests [][]byte) ([]Suppressed, error)
	// SuppressedAfter returns the entries that follow one, in the order of
	// digest and reason, at most limit; the zero entry begins.
	SuppressedAfter(ctx context.Context, last Suppressed, limit int) ([]Suppressed, error)
	// Suppress adds entries; one that is there stays as it is.
	Suppress(ctx context.Context, entries []Suppressed) error
	// Unsuppress takes entries away, by digest and reason.
	Unsuppress(ctx context.Context, entries []Suppressed) error
	// CountSuppressed counts the entries.
	CountSuppressed(ctx context.Context) (int64, error)
	// Peppers returns the keys of the digests, the oldest first.
	Peppers(ctx context.Context) ([]Pepper, error)
	// PutPeppers adds keys; one that is there stays as it is.
	PutPeppers(ctx context.Context, peppers []Pepper) error
	// Retained returns what was kept of the people of the digests.
	Retained(ctx context.Context, digests [][]byte) ([]Retained, error)
}

// Retained says that records of an erased person were kept in a store, and what for.
type Retained struct {
	// Digest is of one identifier, under the key named by Pepper.
	Digest           []byte
	Pepper           string
	Connector, Store string
	// Basis is the code of why, and the only purpose the records may serve (11
	// CCR 7022(f)(3)). Until is when it ends; zero is not known.
	Basis string
	Until time.Time
}

// Why is why somebody is on the suppression list.
type Why string

// The reasons.
const (
	WhyDeleted  Why = "deleted"   // erased at their request (Civ. Code 1798.105(c)(2))
	WhyOptedOut Why = "opted_out" // of sale and sharing (Civ. Code 1798.120)
)

// Suppressed is one entry of the suppression list.
type Suppressed struct {
	// Digest is of one identifier, under the key named by Pepper.
	Digest []byte
	Why    Why
	Pepper string
	Since  time.Time
}

// Pepper is a key of digests, sealed under a data key.
type Pepper struct {
	ID                 string
	WrappedKey, Sealed []byte
	CreatedAt          time.Time
}
