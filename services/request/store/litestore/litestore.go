// Package litestore keeps the rooms' memory in one SQLite file, for a company
// that runs Habeas on one machine.
//
// There is one writer at a time, and every write transaction is immediate, so
// that a transaction that read can't lose against another one. The journal is
// a write-ahead log with synchronous=FULL: what was returned is on disk. What was
// destroyed is overwritten, and the log is begun anew after it.
package litestore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
	"github.com/habeas-data/habeas/services/request/store/schema"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a [store.Store] on SQLite.
type Store struct {
	db *sql.DB
	// writing keeps writers in this process in a fair queue; SQLite's own lock
	// makes the rest wait by polling.
	writing sync.Mutex
	// unwiped says that the log may hold what was destroyed; writing guards it.
	unwiped bool
}

var _ store.Store = (*Store)(nil)

func open(path string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", fmt.Sprintf("busy_timeout(%d)", busyTimeout), "foreign_keys(on)", "cache_size(-16000)", "secure_delete(on)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	db.SetMaxOpenConns(8)
	return db, nil
}

// Open opens the database file. It does not migrate: call [Migrate] first.
func Open(ctx context.Context, path string) (*Store, error) {
	db, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database: %w", err), db.Close())
	}
	return &Store{db: db, unwiped: true}, nil
}

// Migrate makes the file if need be and brings its schema to the newest
// version, or with down takes back the last step.
func Migrate(ctx context.Context, path string, down bool) error {
	db, err := open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	err = schema.Migrate(ctx, goose.DialectSQLite3, db, migrations, down)
	if bad, ok := errors.AsType[*sqlite.Error](err); ok && bad.Code()&0xff == sqlite3.SQLITE_IOERR {
		return fmt.Errorf("%w: check that the disk is not full", err)
	}
	return err
}

// SQL is the database itself, for what is kept in tables of its own beside the
// requests, such as [github.com/habeas-data/habeas/services/drop]. It is closed
// with the store.
func (s *Store) SQL() *sql.DB { return s.db }

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// Close implements [store.Store].
func (s *Store) Close() error { return s.db.Close() }

// tx runs fn in an immediate transaction.
func (s *Store) tx(ctx context.Context, fn func(*sql.Tx) error) (err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// Also when fn panics: the lock must not outlive it.
	defer func() {
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, news []store.New) ([]store.Created, error) {
	var created []store.Created
	err := s.tx(ctx, func(tx *sql.Tx) error {
		created = make([]store.Created, len(news))
		var requests []*row.Request
		var records []*store.Record
		var people []*row.Person
		var notices []store.Notice
		for i := range news {
			n := &news[i]
			var err error
			if created[i], err = claimKey(ctx, tx, &n.Request); err != nil {
				return err
			}
			if created[i].Existing || created[i].Err != nil {
				continue
			}
			r, err := row.OfRequest(&n.Request)
			if err != nil {
				return err
			}
			requests = append(requests, r)
			people = append(people, row.PersonsOf(n)...)
			notices = append(notices, n.Notices...)
			for k := range n.Records {
				records = append(records, &n.Records[k])
			}
		}
		if err := insert(ctx, tx, "request", row.Requests, requests); err != nil {
			return err
		}
		if err := insert(ctx, tx, "person", row.Persons, people); err != nil {
			return err
		}
		if err := insertNotices(ctx, tx, notices); err != nil {
			return err
		}
		return insert(ctx, tx, "record", row.Records, records)
	})
	if err != nil {
		return nil, fmt.Errorf("storing requests: %w", err)
	}
	return created, nil
}

func claimKey(ctx context.Context, tx *sql.Tx, r *store.Request) (store.Created, error) {
	if r.IdempotencyKey == "" {
		return store.Created{ID: r.ID}, nil
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO idempotency (key, request_id, fingerprint) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		r.IdempotencyKey, string(r.ID), r.Fingerprint)
	if err != nil {
		return store.Created{}, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return store.Created{ID: r.ID}, err
	}
	var id string
	var fingerprint []byte
	if err := tx.QueryRowContext(ctx, `SELECT request_id, fingerprint FROM idempotency WHERE key = ?`, r.IdempotencyKey).Scan(&id, &fingerprint); err != nil {
		return store.Created{}, err
	}
	if !slices.Equal(fingerprint, r.Fingerprint) {
		return store.Created{Err: store.ErrConflict}, nil
	}
	return store.Created{ID: request.ID(id), Existing: true}, nil
}

// Advance implements [store.Store].
func (s *Store) Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	var snaps []*store.Snapshot
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var err error
		if snaps, err = load(ctx, tx, sel, withJobs); err != nil || len(snaps) == 0 {
			return err
		}
		if err := decide(snaps); err != nil {
			return err
		}
		return write(ctx, tx, snaps)
	})
	if err != nil {
		return nil, fmt.Errorf("advancing requests: %w", err)
	}
	return snaps, nil
}

func load(ctx context.Context, tx *sql.Tx, sel store.Selector, withJobs bool) ([]*store.Snapshot, error) {
	query, args := "SELECT "+row.Names(row.Requests)+" FROM request WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", []any{idList(sel.IDs)}
	if sel.State != "" {
		query = "SELECT " + row.Names(row.Requests) + " FROM request WHERE state = ? AND state <> 'closed' ORDER BY created_at, id LIMIT ?"
		args = []any{string(sel.State), sel.Limit}
	}
	requests, err := queryRequests(ctx, tx, query, args...)
	if err != nil {
		return nil, err
	}
	snaps, ids := make([]*store.Snapshot, len(requests)), make([]request.ID, len(requests))
	for i := range requests {
		snaps[i], ids[i] = &store.Snapshot{Request: requests[i]}, requests[i].ID
	}
	if !withJobs || len(ids) == 0 {
		return snaps, nil
	}
	jobs, err := queryJobs(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for _, s := range snaps {
		s.Jobs = jobs[s.Request.ID]
		s.Stored = len(s.Jobs)
	}
	return snaps, loadOnward(ctx, tx, snaps)
}

func write(ctx context.Context, tx *sql.Tx, snaps []*store.Snapshot) error {
	c, err := row.Of(snaps)
	if err != nil {
		return err
	}
	if err := update(ctx, tx, "request", row.Requests, c.Requests); err != nil {
		return err
	}
	if err := update(ctx, tx, "job", row.Jobs, c.Changed); err != nil {
		return err
	}
	if err := insert(ctx, tx, "job", row.Jobs, c.Added); err != nil {
		return err
	}
	if err := update(ctx, tx, "onward", row.Onwards, c.Onward); err != nil {
		return err
	}
	if err := insert(ctx, tx, "onward", row.Onwards, c.NewOnward); err != nil {
		return err
	}
	if err := insertNotices(ctx, tx, c.Notices); err != nil {
		return err
	}
	if err := unsuppress(ctx, tx, c.Unsuppress); err != nil {
		return err
	}
	if err := suppress(ctx, tx, c.Suppress); err != nil {
		return err
	}
	if err := retain(ctx, tx, c.Retained); err != nil {
		return err
	}
	if err := putIncidents(ctx, tx, c.Incidents); err != nil {
		return err
	}
	return insert(ctx, tx, "record", row.Records, c.Records)
}
