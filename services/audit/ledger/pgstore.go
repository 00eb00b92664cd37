package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"
)

// defaultSchema keeps the log apart from the other rooms' tables when they
// share a database. A search_path in the DSN takes its place.
const defaultSchema = "habeas_audit"

type pgStore struct{ pool *pgxpool.Pool }

func pgConfig(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the PostgreSQL DSN: %w", err)
	}
	params := config.ConnConfig.RuntimeParams
	if params["search_path"] == "" {
		params["search_path"] = defaultSchema
	}
	// A leaf that was acknowledged must survive the server's crash.
	params["synchronous_commit"] = "on"
	// The costs below, with sequential scans made to look dear, would have every
	// short statement compiled, which takes a hundred times as long as running it.
	params["jit"] = "off"
	// A process that was cut off in mid-append must not hold the log for ever.
	params["idle_in_transaction_session_timeout"] = "30s"
	return config, nil
}

func openPG(ctx context.Context, dsn string) (*pgStore, error) {
	config, err := pgConfig(dsn)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	return &pgStore{pool: pool}, nil
}

func (s *pgStore) close() error {
	s.pool.Close()
	return nil
}

func (s *pgStore) create(ctx context.Context, st state) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO log (origin, vkey, size, root) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		st.origin, st.vkey, st.size, st.root[:])
	return err
}

const selectState = `SELECT origin, vkey, size, root FROM log`

func scanState(row pgx.Row) (state, error) {
	var st state
	var root []byte
	err := row.Scan(&st.origin, &st.vkey, &st.size, &root)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return state{}, errNoLog
	case err != nil:
		return state{}, err
	}
	return withRoot(st, root)
}

// withRoot takes the root column over into st.
func withRoot(st state, root []byte) (state, error) {
	if len(root) != tlog.HashSize {
		return state{}, fmt.Errorf("root in the database has %d bytes: %w", len(root), ErrCorrupt)
	}
	st.root = tlog.Hash(root)
	return st, nil
}

func (s *pgStore) state(ctx context.Context) (state, error) {
	return scanState(s.pool.QueryRow(ctx, selectState))
}

// pgQuerier is what a pool and a transaction have in common.
type pgQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (s *pgStore) tiles(ctx context.Context, ids []tileID) (map[tileID][]byte, error) {
	return pgTiles(ctx, s.pool, ids)
}

func pgTiles(ctx context.Context, q pgQuerier, ids []tileID) (map[tileID][]byte, error) {
	levels, indexes := make([]int16, len(ids)), make([]int64, len(ids))
	for i, id := range ids {
		levels[i], indexes[i] = int16(id.level), id.index //nolint:gosec // a level is at most 8
	}
	rows, err := q.Query(ctx, `SELECT t.level, t.idx, t.hashes FROM unnest($1::smallint[], $2::bigint[]) AS w(level, idx)
		JOIN tile t ON t.level = w.level AND t.idx = w.idx`, levels, indexes)
	if err != nil {
		return nil, err
	}
	found := make(map[tileID][]byte, len(ids))
	var id tileID
	var hashes []byte
	_, err = pgx.ForEachRow(rows, []any{&id.level, &id.index, &hashes}, func() error {
		found[id] = hashes
		hashes = nil
		return nil
	})
	return found, err
}

func (s *pgStore) digests(ctx context.Context, first int64, n int) ([][sha256.Size]byte, error) {
	rows, err := s.pool.Query(ctx, `SELECT digest FROM leaf WHERE number >= $1 AND number < $2 ORDER BY number`, first, first+int64(n))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([sha256.Size]byte, error) {
		var digest []byte
		if err := row.Scan(&digest); err != nil {
			return [sha256.Size]byte{}, err
		}
		return toDigest(digest)
	})
}

func (s *pgStore) leavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	return pgLeavesOf(ctx, s.pool, digests)
}

func pgLeavesOf(ctx context.Context, q pgQuerier, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	rows, err := q.Query(ctx, `SELECT digest, number FROM leaf WHERE digest = ANY($1)`, digests)
	if err != nil {
		return nil, err
	}
	found := map[[sha256.Size]byte]int64{}
	var digest []byte
	var number int64
	_, err = pgx.ForEachRow(rows, []any{&digest, &number}, func() error {
		d, err := toDigest(digest)
		found[d] = number
		return err
	})
	return found, err
}

func (s *pgStore) leaves(ctx context.Context, q Query, fn func(Leaf) error) error {
	where, args := q.where()
	rows, err := s.pool.Query(ctx, selectLeaves+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		l, err := pgLeaf(rows)
		if err != nil {
			return err
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

func pgLeaf(row pgx.CollectableRow) (l Leaf, err error) {
	var digest []byte
	if err := row.Scan(&l.Number, &digest, &l.RequestID, &l.Type, &l.Issuer, &l.Envelope, &l.LoggedAt); err != nil {
		return Leaf{}, err
	}
	l.Digest, err = toDigest(digest)
	return l, err
}

func (s *pgStore) leavesAt(ctx context.Context, numbers []int64) ([]Leaf, error) {
	rows, err := s.pool.Query(ctx, selectLeaves+` WHERE number = ANY($1) ORDER BY number`, numbers)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgLeaf)
}

func (s *pgStore) intakes(ctx context.Context, first, below int64) ([]int64, error) {
	return s.numbers(ctx, selectIntakes, first, below)
}

func (s *pgStore) numbersAround(ctx context.Context, start, closed, end int64) ([]int64, error) {
	return s.numbers(ctx, selectAround, start, closed, end)
}

func (s *pgStore) numbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func (s *pgStore) rests(ctx context.Context, requests []string) (map[string]Rest, error) {
	rows, err := s.pool.Query(ctx, selectRests+`= ANY($1)`, requests)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Rest, len(requests))
	var id, typ string
	var number int64
	var envelope []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &number, &typ, &envelope}, func() error {
		found[id] = found[id].add(number, typ, envelope)
		envelope = nil
		return nil
	})
	return found, err
}

func (s *pgStore) tally(ctx context.Context, first, below int64) (types map[string]int64, erased int64, err error) {
	rows, err := s.pool.Query(ctx, selectTally, first, below)
	if err != nil {
		return nil, 0, err
	}
	types = map[string]int64{}
	var typ string
	var n, gone int64
	_, err = pgx.ForEachRow(rows, []any{&typ, &n, &gone}, func() error {
		types[typ], erased = n, erased+gone
		return nil
	})
	return types, erased, err
}

func (s *pgStore) saveCheckpoint(ctx context.Context, size int64, note []byte) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO checkpoint (size, note) VALUES ($1, $2) ON CONFLICT DO NOTHING`, size, note)
	return err
}

func (s *pgStore) checkpoint(ctx context.Context, size int64, until time.Time) ([]byte, error) {
	var note []byte
	err := s.pool.QueryRow(ctx, `SELECT note FROM checkpoint WHERE size <= $1 AND signed_at <= $2 ORDER BY size DESC LIMIT 1`, size, until).Scan(&note)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return note, err
}

func (s *pgStore) saveCosignature(ctx context.Context, c Cosignature) error {
	_, err := s.pool.Exec(ctx, insertCosignature, c.Size, c.Witness, c.Line, c.Time.Unix())
	return err
}

func (s *pgStore) cosignatures(ctx context.Context, query string, args ...any) ([]Cosignature, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Cosignature, err error) {
		var at int64
		err = row.Scan(&c.Size, &c.Witness, &c.Line, &at)
		c.Time = time.Unix(at, 0).UTC()
		return c, err
	})
}

func (s *pgStore) reject(ctx context.Context, rs []Rejected) error {
	batch := &pgx.Batch{}
	for _, r := range rs {
		batch.Queue(`INSERT INTO rejected (digest, subject, reason, detail, key_id, envelope) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT DO NOTHING`, r.Digest[:], r.Subject, r.Reason, r.Detail, r.KeyID, r.Envelope)
	}
	return s.pool.SendBatch(ctx, batch).Close()
}

func (s *pgStore) rejected(ctx context.Context, keyID string, fn func(Rejected) error) error {
	where, args := rejectedWhere(keyID)
	rows, err := s.pool.Query(ctx, selectRejected+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r Rejected
		var digest []byte
		if err := rows.Scan(&digest, &r.Subject, &r.Reason, &r.Detail, &r.KeyID, &r.Envelope, &r.At); err != nil {
			return err
		}
		if r.Digest, err = toDigest(digest); err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *pgStore) release(ctx context.Context, digests [][]byte) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM rejected WHERE digest = ANY($1)`, digests)
	return err
}

func (s *pgStore) begin(ctx context.Context) (txn, error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	t := &pgTxn{tx: tx}
	batch := &pgx.Batch{}
	batch.Queue(selectState + ` FOR UPDATE`).QueryRow(func(row pgx.Row) error {
		t.locked, err = scanState(row)
		return err
	})
	// Without statistics the planner reads the whole table to find digests.
	batch.Queue(`SET LOCAL enable_seqscan = off`)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, errors.Join(err, t.rollback(ctx))
	}
	return t, nil
}

type pgTxn struct {
	tx     pgx.Tx
	locked state
}

func (t *pgTxn) state() state { return t.locked }

func (t *pgTxn) leavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	return pgLeavesOf(ctx, t.tx, digests)
}

func (t *pgTxn) tiles(ctx context.Context, ids []tileID) (map[tileID][]byte, error) {
	return pgTiles(ctx, t.tx, ids)
}

func (t *pgTxn) countEnvelopes(ctx context.Context, first, last int64) (n int64, err error) {
	err = t.tx.QueryRow(ctx, `SELECT count(*) FROM leaf`+erasable, first, last).Scan(&n)
	return n, err
}

func (t *pgTxn) erase(ctx context.Context, first, last int64) error {
	_, err := t.tx.Exec(ctx, `UPDATE leaf SET envelope = NULL`+erasable, first, last)
	return err
}

func (t *pgTxn) append(ctx context.Context, first int64, records []Record, tiles map[tileID][]byte, size int64, root tlog.Hash) error {
	levels, indexes, hashes := make([]int16, 0, len(tiles)), make([]int64, 0, len(tiles)), make([][]byte, 0, len(tiles))
	for id, data := range tiles {
		levels, indexes, hashes = append(levels, int16(id.level)), append(indexes, id.index), append(hashes, data) //nolint:gosec // a level is at most 8
	}
	batch := &pgx.Batch{}
	if len(records) < copyFrom {
		queueLeaves(batch, first, records)
	} else if err := t.copyLeaves(ctx, first, records); err != nil {
		return err
	}
	batch.Queue(`INSERT INTO tile (level, idx, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
		ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes`, levels, indexes, hashes)
	batch.Queue(`UPDATE log SET size = $1, root = $2`, size, root[:])
	return t.tx.SendBatch(ctx, batch).Close()
}

// copyFrom is the number of records from which on COPY is worth the round trip
// that it costs.
const copyFrom = 64

func (t *pgTxn) copyLeaves(ctx context.Context, first int64, records []Record) error {
	_, err := t.tx.CopyFrom(ctx, pgx.Identifier{"leaf"}, []string{"number", "digest", "request_id", "type", "issuer", "envelope"},
		pgx.CopyFromSlice(len(records), func(i int) ([]any, error) {
			r := &records[i]
			return []any{first + int64(i), r.Digest[:], r.RequestID, r.Type, r.Issuer, r.Envelope}, nil
		}))
	return err
}

func queueLeaves(batch *pgx.Batch, first int64, records []Record) {
	numbers, digests, envelopes := make([]int64, len(records)), make([][]byte, len(records)), make([][]byte, len(records))
	requests, types, issuers := make([]string, len(records)), make([]string, len(records)), make([]string, len(records))
	for i, r := range records {
		numbers[i], digests[i], envelopes[i] = first+int64(i), r.Digest[:], r.Envelope
		requests[i], types[i], issuers[i] = r.RequestID, r.Type, r.Issuer
	}
	batch.Queue(`INSERT INTO leaf (number, digest, request_id, type, issuer, envelope)
		SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::bytea[])`,
		numbers, digests, requests, types, issuers, envelopes)
}

func (t *pgTxn) commit(ctx context.Context) error { return t.tx.Commit(ctx) }

func (t *pgTxn) rollback(ctx context.Context) error {
	// The caller's context may be what ended the transaction.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := t.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}
