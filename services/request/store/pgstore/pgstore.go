// Package pgstore keeps the rooms' memory in PostgreSQL.
//
// Rows are inserted with COPY and updated with one statement over unnested
// arrays. Requests are locked in the order of their ids, so that two
// coordinators that want overlapping sets wait for each other and never
// deadlock. synchronous_commit is left on: what was returned is on disk.
package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
	"github.com/habeas-data/habeas/services/request/store/schema"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a [store.Store] on PostgreSQL.
type Store struct{ pool *pgxpool.Pool }

var _ store.Store = (*Store)(nil)

// Open connects to the database that dsn names. It does not migrate: call
// [Migrate] first.
func Open(ctx context.Context, dsn string) (*Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("database: not a PostgreSQL connection string such as postgres://user@host:5432/habeas")
	}
	// Statements are short; compiling one takes longer than running it.
	config.ConnConfig.RuntimeParams["jit"] = "off"
	// Every statement has an index. A plan made while a table was empty, and
	// kept, would read the whole table for as long as the connection lives.
	if params := config.ConnConfig.RuntimeParams; params["enable_seqscan"] == "" {
		params["enable_seqscan"] = "off"
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return &Store{pool: pool}, nil
}

// Migrate brings the schema to the newest version, or with down takes back the
// last step.
func Migrate(ctx context.Context, dsn string, down bool) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("database: not a PostgreSQL connection string such as postgres://user@host:5432/habeas")
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	return schema.Migrate(ctx, goose.DialectPostgres, db, migrations, down)
}

// SQL is the database itself, for what is kept in tables of its own beside the
// requests, such as [github.com/habeas-data/habeas/services/drop]. The caller
// closes it before the store.
func (s *Store) SQL() *sql.DB { return stdlib.OpenDBFromPool(s.pool) }

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Close implements [store.Store].
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, news []store.New) ([]store.Created, error) {
	var created []store.Created
	err := s.tx(ctx, func(tx pgx.Tx) error {
		created = make([]store.Created, len(news))
		fresh, err := claimKeys(ctx, tx, news, created)
		if err != nil {
			return err
		}
		requests := make([]*row.Request, 0, len(fresh))
		records := make([]*store.Record, 0, len(fresh))
		people := make([]*row.Person, 0, len(fresh))
		var notices []store.Notice
		for _, i := range fresh {
			r, err := row.OfRequest(&news[i].Request)
			if err != nil {
				return err
			}
			created[i] = store.Created{ID: news[i].Request.ID}
			requests = append(requests, r)
			people = append(people, row.PersonsOf(&news[i])...)
			notices = append(notices, news[i].Notices...)
			for k := range news[i].Records {
				records = append(records, &news[i].Records[k])
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

// claimKeys takes the idempotency keys of news and returns the indexes of those
// that are to be stored.
func claimKeys(ctx context.Context, tx pgx.Tx, news []store.New, created []store.Created) ([]int, error) {
	var keys, ids []string
	var prints [][]byte
	for _, n := range news {
		if k := n.Request.IdempotencyKey; k != "" && !slices.Contains(keys, k) {
			keys, ids, prints = append(keys, k), append(ids, string(n.Request.ID)), append(prints, n.Request.Fingerprint)
		}
	}
	taken, err := insertKeys(ctx, tx, keys, ids, prints)
	if err != nil {
		return nil, err
	}
	owners, err := ownersOf(ctx, tx, keys)
	if err != nil {
		return nil, err
	}
	var fresh []int
	for i, n := range news {
		key := n.Request.IdempotencyKey
		owner, keyed := owners[key]
		switch {
		case !keyed:
			fresh = append(fresh, i)
		case taken[key] && owner.id == string(n.Request.ID):
			fresh = append(fresh, i)
			delete(taken, key) // the rest of the batch repeats it
		case !slices.Equal(owner.print, n.Request.Fingerprint):
			created[i] = store.Created{Err: store.ErrConflict}
		default:
			created[i] = store.Created{ID: request.ID(owner.id), Existing: true}
		}
	}
	return fresh, nil
}

// insertKeys stores the keys nobody has used and returns them. It waits for
// transactions that are about to use one of them, in the order of the keys.
func insertKeys(ctx context.Context, tx pgx.Tx, keys, ids []string, prints [][]byte) (map[string]bool, error) {
	taken := make(map[string]bool, len(keys))
	if len(keys) == 0 {
		return taken, nil
	}
	rows, err := tx.Query(ctx, `INSERT INTO idempotency (key, request_id, fingerprint)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) AS n (k, i, f) ORDER BY k
		ON CONFLICT (key) DO NOTHING RETURNING key`, keys, ids, prints)
	if err != nil {
		return nil, err
	}
	var key string
	_, err = pgx.ForEachRow(rows, []any{&key}, func() error {
		taken[key] = true
		return nil
	})
	return taken, err
}

// claim is who used an idempotency key, and for what.
type claim struct {
	id    string
	print []byte
}

func ownersOf(ctx context.Context, tx pgx.Tx, keys []string) (map[string]claim, error) {
	owners := make(map[string]claim, len(keys))
	if len(keys) == 0 {
		return owners, nil
	}
	rows, err := tx.Query(ctx, `SELECT key, request_id, fingerprint FROM idempotency WHERE key = ANY($1)`, keys)
	if err != nil {
		return nil, err
	}
	var key string
	var c claim
	_, err = pgx.ForEachRow(rows, []any{&key, &c.id, &c.print}, func() error {
		owners[key] = claim{c.id, slices.Clone(c.print)}
		return nil
	})
	return owners, err
}

// Advance implements [store.Store].
func (s *Store) Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	var snaps []*store.Snapshot
	err := s.tx(ctx, func(tx pgx.Tx) error {
		var err error
		if snaps, err = lock(ctx, tx, sel); err != nil || len(snaps) == 0 {
			return err
		}
		if withJobs {
			if err := loadJobs(ctx, tx, snaps); err != nil {
				return err
			}
			if err := loadOnward(ctx, tx, snaps); err != nil {
				return err
			}
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

func lock(ctx context.Context, tx pgx.Tx, sel store.Selector) ([]*store.Snapshot, error) {
	query := "SELECT " + row.Names(row.Requests) + " FROM request WHERE id = ANY($1) ORDER BY id FOR UPDATE"
	args := []any{idStrings(sel.IDs)}
	if sel.State != "" {
		query = "SELECT " + row.Names(row.Requests) + " FROM request WHERE state = $1 AND state <> 'closed' ORDER BY created_at, id LIMIT $2 FOR UPDATE SKIP LOCKED"
		args = []any{string(sel.State), sel.Limit}
	}
	requests, err := queryRequests(ctx, tx, query, args...)
	if err != nil {
		return nil, err
	}
	snaps := make([]*store.Snapshot, len(requests))
	for i := range requests {
		snaps[i] = &store.Snapshot{Request: requests[i]}
	}
	return snaps, nil
}

func loadJobs(ctx context.Context, tx pgx.Tx, snaps []*store.Snapshot) error {
	ids := make([]string, len(snaps))
	for i, s := range snaps {
		ids[i] = string(s.Request.ID)
	}
	jobs, err := queryJobs(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, s := range snaps {
		s.Jobs = jobs[s.Request.ID]
		s.Stored = len(s.Jobs)
	}
	return nil
}

func write(ctx context.Context, tx pgx.Tx, snaps []*store.Snapshot) error {
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

// begin opens a transaction that changes rows, a batch at a time and by key.
// Where the statistics are of when a table was small, joining the batch with
// the whole of it looks cheap; looking each row up never is dear.
const begin = `BEGIN; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`

// tx runs fn in a transaction, again when PostgreSQL says that the transaction
// lost against another one.
func (s *Store) tx(ctx context.Context, fn func(pgx.Tx) error) error {
	for attempt := 0; ; attempt++ {
		err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, fn)
		var pg *pgconn.PgError
		if attempt < 5 && errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01") {
			continue
		}
		return redact(err)
	}
}

// redact drops the parts of a database error that may quote a row.
func redact(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("PostgreSQL error %s (table %s, constraint %s): %w", pg.Code, pg.TableName, pg.ConstraintName, errDatabase)
	}
	return err
}

var errDatabase = errors.New("the database refused; see its own log")

func idStrings(ids []request.ID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func joinNames(names []string) string { return strings.Join(names, ", ") }
