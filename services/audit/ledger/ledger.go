package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Errors that callers branch on. Each means that the log must not go on until
// a person has looked.
var (
	// ErrRolledBack says that the database has fewer leaves than a head that
	// was signed: it was restored from an older copy, or is another database.
	ErrRolledBack = errors.New("the database is behind a head that was signed")
	// ErrForked says that the database's leaves are not those of a head that
	// was signed.
	ErrForked = errors.New("the database disagrees with a head that was signed")
	// ErrGuardLost says that a log exists and no signed head is left outside
	// the database to hold it against.
	ErrGuardLost = errors.New("no signed head is left outside the database")
	// ErrKey says that the log's key is not the one it was begun with.
	ErrKey = errors.New("the log was begun with another key or origin")
	// ErrCorrupt says that rows of the log contradict each other.
	ErrCorrupt = errors.New("the log's tables contradict each other")
	// ErrNotMigrated says that the tables are missing; run "habeas migrate".
	ErrNotMigrated = errors.New(`the audit tables are missing or old; run "habeas migrate"`)
)

// Options say what a log is called and who guards it.
type Options struct {
	// Signer signs the heads; its name is the log's origin. See [LoadKey].
	Signer note.Signer
	// VerifierKey is the public half in note format.
	VerifierKey string
	// Heads keep the last signed head outside the database. At least one.
	Heads []Head
	// AcceptLostGuard begins to guard the database as it is when every head was
	// lost. Rolling back can't be noticed that one time.
	AcceptLostGuard bool
}

// Log is one append-only log. It may be used by many goroutines, and many
// processes may have the same log open.
type Log struct {
	store    store
	signer   note.Signer
	vkey     string
	verifier note.Verifier
	heads    []Head
	// entry makes the text that is hashed into the tree.
	entry func(Record) []byte

	mu   sync.Mutex // guards edge
	edge *edge

	signing sync.Mutex // one head is signed at a time

	signedMu sync.RWMutex // guards signed
	signed   SignedHead
}

// Open opens the log at dsn, "postgres://…" or "sqlite:PATH", and begins it
// when there is none. It returns [ErrRolledBack], [ErrForked], [ErrGuardLost]
// or [ErrKey] when the database is not the one the heads speak of.
func Open(ctx context.Context, dsn string, opts Options) (*Log, error) {
	return open(ctx, dsn, opts, func(r Record) []byte { return Entry(r.Digest) })
}

func open(ctx context.Context, dsn string, opts Options, entry func(Record) []byte) (_ *Log, err error) {
	if opts.Signer == nil || len(opts.Heads) == 0 {
		return nil, errors.New("opening the log: a signer and at least one head are required")
	}
	verifier, err := note.NewVerifier(opts.VerifierKey)
	if err != nil {
		return nil, fmt.Errorf("opening the log: verifier key: %w", err)
	}
	if err := checkVersion(ctx, dsn); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	s, err := openStore(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	l := &Log{store: s, signer: opts.Signer, vkey: opts.VerifierKey, verifier: verifier, heads: opts.Heads, entry: entry}
	if err := l.begin(ctx, opts.AcceptLostGuard); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the log: %w", err), s.close())
	}
	return l, nil
}

func openStore(ctx context.Context, dsn string) (store, error) {
	switch {
	case isPostgres(dsn):
		return openPG(ctx, dsn)
	case strings.HasPrefix(dsn, litePrefix):
		return openLite(strings.TrimPrefix(dsn, litePrefix))
	}
	return nil, errors.New(`the DSN is neither "postgres://…" nor "sqlite:PATH"`)
}

const litePrefix = "sqlite:"

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// begin holds the database against the guards. The order of first steps is
// key file, log row, signed empty head: a crash between any two is taken up
// here on the next start.
func (l *Log) begin(ctx context.Context, acceptLostGuard bool) error {
	kept, err := l.loadHeads(ctx)
	if err != nil {
		return err
	}
	st, err := l.store.state(ctx)
	if errors.Is(err, errNoLog) {
		if newest(kept).Size > 0 {
			return fmt.Errorf("the database has no log, a head of %d leaves was signed: %w", newest(kept).Size, ErrRolledBack)
		}
		if err := l.store.create(ctx, state{origin: l.Origin(), vkey: l.vkey, root: emptyRoot}); err != nil {
			return fmt.Errorf("beginning the log: %w", err)
		}
		st, err = l.store.state(ctx)
	}
	if err != nil {
		return err
	}
	if st.origin != l.Origin() || st.vkey != l.vkey {
		return fmt.Errorf("the database has log %s, this key is of log %s: %w", st.vkey, l.vkey, ErrKey)
	}
	if !newest(kept).known() && st.size > 0 && !acceptLostGuard {
		return fmt.Errorf("the database has %d leaves: %w", st.size, ErrGuardLost)
	}
	_, err = l.Checkpoint(ctx)
	return err
}

// Close closes the database.
func (l *Log) Close() error { return l.store.close() }

// Origin is the log's name.
func (l *Log) Origin() string { return l.signer.Name() }

// VerifierKey is the log's public key in note format.
func (l *Log) VerifierKey() string { return l.vkey }

// Size is the number of committed leaves.
func (l *Log) Size(ctx context.Context) (int64, error) {
	st, err := l.store.state(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the log's size: %w", err)
	}
	return st.size, nil
}

// Reject keeps records that were refused. A record rejected twice is kept once.
func (l *Log) Reject(ctx context.Context, rs []Rejected) error {
	if err := l.store.reject(ctx, rs); err != nil {
		return fmt.Errorf("keeping %d rejected records: %w", len(rs), err)
	}
	return nil
}

// Rejected calls fn for every record that was refused, or only for those that
// wait for the key keyID when it is not empty.
func (l *Log) Rejected(ctx context.Context, keyID string, fn func(Rejected) error) error {
	if err := l.store.rejected(ctx, keyID, fn); err != nil {
		return fmt.Errorf("reading rejected records: %w", err)
	}
	return nil
}

// Release forgets rejected records, by digest, that became leaves after all.
func (l *Log) Release(ctx context.Context, digests [][]byte) error {
	if err := l.store.release(ctx, digests); err != nil {
		return fmt.Errorf("releasing rejected records: %w", err)
	}
	return nil
}

// LeavesOf finds which digests are leaves, and their numbers.
func (l *Log) LeavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	found, err := l.store.leavesOf(ctx, digests)
	if err != nil {
		return nil, fmt.Errorf("finding leaves: %w", err)
	}
	return found, nil
}

// Leaves calls fn for each leaf of the query, in the order of the log.
func (l *Log) Leaves(ctx context.Context, q Query, fn func(Leaf) error) error {
	if err := l.store.leaves(ctx, q, fn); err != nil {
		return fmt.Errorf("reading leaves: %w", err)
	}
	return nil
}

// CheckpointAt returns the newest signed head of no later than t, or nil.
func (l *Log) CheckpointAt(ctx context.Context, t time.Time) ([]byte, error) {
	signed, err := l.store.checkpoint(ctx, l.Signed().Size, t)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return signed, nil
}
