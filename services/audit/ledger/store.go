package ledger

import (
	"context"
	"crypto/sha256"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A store keeps the rows of one log. It holds no rule of the log: those are in
// this package, once for every database.
type store interface {
	// create makes the log's row when there is none.
	create(ctx context.Context, st state) error
	// state reads the log's row; errNoLog when there is none.
	state(ctx context.Context) (state, error)
	// begin opens a write transaction and locks the log's row, so that there is
	// one writer among all processes until commit or rollback.
	begin(ctx context.Context) (txn, error)
	// tiles reads those of the tiles that exist.
	tiles(ctx context.Context, ids []tileID) (map[tileID][]byte, error)
	// digests reads the digests of n leaves from first on.
	digests(ctx context.Context, first int64, n int) ([][sha256.Size]byte, error)
	// leavesOf finds which digests are leaves.
	leavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error)
	// leaves calls fn for each leaf of the query, in order.
	leaves(ctx context.Context, q Query, fn func(Leaf) error) error

	// rests reads what there is of requests.
	rests(ctx context.Context, requests []string) (map[string]Rest, error)
	// tally counts the leaves from first to below by type, and those of them
	// that have lost their envelope.
	tally(ctx context.Context, first, below int64) (types map[string]int64, erased int64, err error)
	// leavesAt reads leaves by number, in order.
	leavesAt(ctx context.Context, numbers []int64) ([]Leaf, error)
	// intakes returns the numbers of the intake records from first to below.
	intakes(ctx context.Context, first, below int64) ([]int64, error)
	// numbersAround returns the numbers of leaves below end and outside of start
	// to closed that belong to a request whose intake is inside, and of key and
	// retention records outside; each once, in any order.
	numbersAround(ctx context.Context, start, closed, end int64) ([]int64, error)

	// saveCheckpoint keeps a signed head; the same size twice is kept once.
	saveCheckpoint(ctx context.Context, size int64, note []byte) error
	// checkpoint reads the newest signed head of at most the given size that
	// was signed no later than the given time; nil when there is none.
	checkpoint(ctx context.Context, size int64, until time.Time) ([]byte, error)

	// saveCosignature keeps a cosignature unless there is one of this witness on
	// this head.
	saveCosignature(ctx context.Context, c Cosignature) error
	// cosignatures reads those that a statement of cosignature.go asks for.
	cosignatures(ctx context.Context, query string, args ...any) ([]Cosignature, error)
	// numbers reads the numbers that a statement asks for.
	numbers(ctx context.Context, query string, args ...any) ([]int64, error)

	// reject keeps refused records; the same digest twice is kept once.
	reject(ctx context.Context, rs []Rejected) error
	// rejected calls fn for refused records, those waiting for one key or, with
	// an empty keyID, all.
	rejected(ctx context.Context, keyID string, fn func(Rejected) error) error
	// release forgets a refused record that has become a leaf after all.
	release(ctx context.Context, digests [][]byte) error

	close() error
}

// A txn is a write transaction that holds the log's row.
type txn interface {
	// state is the log's row as it was locked.
	state() state
	leavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error)
	tiles(ctx context.Context, ids []tileID) (map[tileID][]byte, error)
	// countEnvelopes counts the envelopes that erase would erase.
	countEnvelopes(ctx context.Context, first, last int64) (int64, error)
	// erase empties the envelopes of leaves first to last, except those of keys
	// and of earlier erasures.
	erase(ctx context.Context, first, last int64) error
	// append writes leaves from number first on, the changed tiles and the
	// log's new size and root.
	append(ctx context.Context, first int64, records []Record, tiles map[tileID][]byte, size int64, root tlog.Hash) error
	commit(ctx context.Context) error
	// rollback may be called after commit; it then does nothing.
	rollback(ctx context.Context) error
}

// state is the log's row.
type state struct {
	origin, vkey string
	size         int64
	root         tlog.Hash
}

// Record is one envelope to append.
type Record struct {
	// Digest is SHA-256 of the envelope.
	Digest [sha256.Size]byte
	// Envelope is kept as it is.
	Envelope []byte
	// RequestID is the request it belongs to, or empty.
	RequestID string
	// Type is the record's type, such as "outcome".
	Type string
	// Issuer is who signed it.
	Issuer string
}

// Leaf is one record in the log.
type Leaf struct {
	Record
	// Number is the leaf's index. Record.Envelope is nil once it was erased.
	Number int64
	// LoggedAt is when it was appended.
	LoggedAt time.Time
}

// Query chooses leaves. The zero value means all.
type Query struct {
	// RequestID, when set, asks for the leaves of one request.
	RequestID string
	// Type, when set, asks for one record type.
	Type string
	// First is the lowest leaf number wanted.
	First int64
	// Below, when above 0, is the first leaf number that is not wanted any more,
	// and Limit the most leaves wanted.
	Below, Limit int64
}

// Rest is what the log has of one request beside its intake.
type Rest struct {
	// Records counts all its records.
	Records int
	// Closure is its closure record; nil while it is open, or once it was erased.
	Closure []byte
	// ClosureLeaf is the number of that leaf; -1 while it is open.
	ClosureLeaf int64
}

// Rejected is a record that was refused.
type Rejected struct {
	// Digest is SHA-256 of Envelope.
	Digest [sha256.Size]byte
	// Subject is where it was published.
	Subject string
	// Reason is a code: "malformed", "unknown_key", "bad_signature",
	// "wrong_issuer", "key_not_valid", "not_authorised" or "incomplete".
	Reason string
	// Detail says it in words, without the record's content.
	Detail string
	// KeyID is the key it claims to be signed with, or empty.
	KeyID string
	// Envelope is what was published.
	Envelope []byte
	// At is when it was refused.
	At time.Time
}
