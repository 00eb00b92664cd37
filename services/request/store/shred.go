package store

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Shredder destroys what a request was about once nobody needs it.
type Shredder interface {
	// Shred destroys the identifiers, corrections and data key of closed
	// requests, and stores the records that sign makes of it, all or nothing. A
	// request whose statements are kept (11 CCR 7023(f)(3)) keeps its data key
	// with them. It skips requests that q does not let go and those that
	// somebody is working on; what was destroyed before is not destroyed again.
	// sign may be called again when the transaction has to be.
	Shred(ctx context.Context, q Shreddable, sign func([]request.ID) ([]Record, error)) ([]Shredded, error)
}

// Shreddable says which requests may be destroyed: those closed before
// ClosedBefore that have no request to come, none under way that came of them,
// and no untold notice made at NoticedSince or later; the first to be closed
// first, at most Limit.
type Shreddable struct {
	Now, ClosedBefore, NoticedSince time.Time
	Limit                           int
	// Backups says by connector how long its system's backups keep what was
	// erased. While they do, a request is not destroyed before what a restored
	// system must be told again is kept apart (see [Aftercare.Unkept]).
	Backups map[string]time.Duration
}

// Shredded is a request whose data is destroyed.
type Shredded struct {
	ID request.ID
	// WrappedKey is the key that was destroyed, to be forgotten where it is
	// remembered; empty when it is kept for statements.
	WrappedKey []byte
}
