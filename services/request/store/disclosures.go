package store

import (
	"context"
	"time"
)

// Disclosures is the ledger of what was given away of single persons. It holds
// keyed digests and nothing they could be read from. The stores that keep
// requests keep it too.
type Disclosures interface {
	// PutDisclosures adds rows; one whose Key is there stays as it is. It returns
	// how many were added.
	PutDisclosures(ctx context.Context, rows []Disclosure) (int64, error)
	// DisclosuresOf returns the rows that have one of the digests, oldest first.
	DisclosuresOf(ctx context.Context, digests [][]byte) ([]Disclosure, error)
	// ForgetDisclosures deletes rows of before a time, at most limit, and returns
	// how many.
	ForgetDisclosures(ctx context.Context, before time.Time, limit int) (int64, error)
	// Disclosed counts the disclosures by recipient and sense, with the newest.
	Disclosed(ctx context.Context) ([]Disclosed, error)
}

// Disclosure says that a recipient got data of a person, by one of the
// identifiers of theirs.
type Disclosure struct {
	// Key tells rows apart; the same disclosure imported again has the same. Ref
	// is what all rows of one disclosure share.
	Key []byte
	Ref string
	// Digest is of one identifier, under the key of the suppression list that
	// Pepper names.
	Digest []byte
	Pepper string
	// Recipient is the vendor's id in the company's file, Connector where the
	// data came from, if that is known.
	Recipient, Connector string
	Letters              string // categories, such as "ABK"
	As                   string // business_purpose, sold or shared
	Purpose              string
	At                   time.Time
}

// Disclosed is how often a recipient got data in one sense.
type Disclosed struct {
	Recipient, As string
	N             int64
	Last          time.Time
}
