package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

type liteStore struct{ db *sql.DB }

// liteDSN asks for a write-ahead log that is flushed at every commit, and for
// transactions that take the write lock when they begin; erased envelopes are
// overwritten and not only unlinked.
func liteDSN(path string) string {
	q := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "secure_delete(ON)"},
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func openLite(path string) (*liteStore, error) {
	if path == "" {
		return nil, errors.New(`opening SQLite: the DSN has no path; want "sqlite:PATH"`)
	}
	db, err := sql.Open("sqlite", liteDSN(path))
	if err != nil {
		return nil, fmt.Errorf("opening SQLite: %w", err)
	}
	db.SetMaxOpenConns(8)
	return &liteStore{db: db}, nil
}

// lite turns the numbered parameters of the shared statements into SQLite's.
func lite(statement string) string { return strings.ReplaceAll(statement, "$", "?") }

func (s *liteStore) close() error { return s.db.Close() }

func (s *liteStore) create(ctx context.Context, st state) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO log (origin, vkey, size, root) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		st.origin, st.vkey, st.size, st.root[:])
	return err
}

// liteQuerier is what a database and a transaction have in common.
type liteQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func liteState(ctx context.Context, q liteQuerier) (state, error) {
	var st state
	var root []byte
	err := q.QueryRowContext(ctx, selectState).Scan(&st.origin, &st.vkey, &st.size, &root)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return state{}, errNoLog
	case err != nil:
		return state{}, err
	}
	return withRoot(st, root)
}

func (s *liteStore) state(ctx context.Context) (state, error) { return liteState(ctx, s.db) }

// each runs a query and calls fn for every row.
func each(ctx context.Context, q liteQuerier, fn func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *liteStore) tiles(ctx context.Context, ids []tileID) (map[tileID][]byte, error) {
	return liteTiles(ctx, s.db, ids)
}

func liteTiles(ctx context.Context, q liteQuerier, ids []tileID) (map[tileID][]byte, error) {
	found := make(map[tileID][]byte, len(ids))
	for _, id := range ids {
		var hashes []byte
		err := q.QueryRowContext(ctx, `SELECT hashes FROM tile WHERE level = ? AND idx = ?`, id.level, id.index).Scan(&hashes)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[id] = hashes
	}
	return found, nil
}

func (s *liteStore) digests(ctx context.Context, first int64, n int) ([][sha256.Size]byte, error) {
	found := make([][sha256.Size]byte, 0, n)
	err := each(ctx, s.db, func(rows *sql.Rows) error {
		var digest []byte
		if err := rows.Scan(&digest); err != nil {
			return err
		}
		d, err := toDigest(digest)
		found = append(found, d)
		return err
	}, `SELECT digest FROM leaf WHERE number >= ? AND number < ? ORDER BY number`, first, first+int64(n))
	return found, err
}

func (s *liteStore) leavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	return liteLeavesOf(ctx, s.db, digests)
}

// liteLeavesOf asks for a few hundred digests at a time, which keeps the
// statement under SQLite's limit on parameters.
func liteLeavesOf(ctx context.Context, q liteQuerier, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	found := map[[sha256.Size]byte]int64{}
	for len(digests) > 0 {
		n := min(len(digests), 500)
		args := make([]any, n)
		for i, d := range digests[:n] {
			args[i] = d
		}
		digests = digests[n:]
		err := each(ctx, q, func(rows *sql.Rows) error {
			var digest []byte
			var number int64
			if err := rows.Scan(&digest, &number); err != nil {
				return err
			}
			d, err := toDigest(digest)
			found[d] = number
			return err
		}, `SELECT digest, number FROM leaf WHERE digest IN (?`+strings.Repeat(", ?", n-1)+`)`, args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *liteStore) leaves(ctx context.Context, q Query, fn func(Leaf) error) error {
	where, args := q.where()
	return each(ctx, s.db, func(rows *sql.Rows) error {
		l, err := liteLeaf(rows)
		if err != nil {
			return err
		}
		return fn(l)
	}, lite(selectLeaves+where), args...)
}

func liteLeaf(rows *sql.Rows) (l Leaf, err error) {
	var digest []byte
	var at int64
	if err := rows.Scan(&l.Number, &digest, &l.RequestID, &l.Type, &l.Issuer, &l.Envelope, &at); err != nil {
		return Leaf{}, err
	}
	l.LoggedAt = time.UnixMicro(at).UTC()
	l.Digest, err = toDigest(digest)
	return l, err
}

func (s *liteStore) leavesAt(ctx context.Context, numbers []int64) (leaves []Leaf, err error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	args := make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	err = each(ctx, s.db, func(rows *sql.Rows) error {
		l, err := liteLeaf(rows)
		leaves = append(leaves, l)
		return err
	}, selectLeaves+` WHERE number IN (?`+strings.Repeat(", ?", len(numbers)-1)+`) ORDER BY number`, args...)
	return leaves, err
}

func (s *liteStore) intakes(ctx context.Context, first, below int64) ([]int64, error) {
	return s.numbers(ctx, selectIntakes, first, below)
}

func (s *liteStore) numbersAround(ctx context.Context, start, closed, end int64) ([]int64, error) {
	return s.numbers(ctx, selectAround, start, closed, end)
}

func (s *liteStore) numbers(ctx context.Context, query string, args ...any) (numbers []int64, err error) {
	err = each(ctx, s.db, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		numbers = append(numbers, n)
		return err
	}, lite(query), args...)
	return numbers, err
}

func (s *liteStore) rests(ctx context.Context, requests []string) (map[string]Rest, error) {
	found := make(map[string]Rest, len(requests))
	for some := range slices.Chunk(requests, 500) {
		args := make([]any, len(some))
		for i, id := range some {
			args[i] = id
		}
		err := each(ctx, s.db, func(rows *sql.Rows) error {
			var id, typ string
			var number int64
			var envelope []byte
			if err := rows.Scan(&id, &number, &typ, &envelope); err != nil {
				return err
			}
			found[id] = found[id].add(number, typ, envelope)
			return nil
		}, selectRests+`IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *liteStore) tally(ctx context.Context, first, below int64) (types map[string]int64, erased int64, err error) {
	types = map[string]int64{}
	err = each(ctx, s.db, func(rows *sql.Rows) error {
		var typ string
		var n, gone int64
		err := rows.Scan(&typ, &n, &gone)
		types[typ], erased = n, erased+gone
		return err
	}, lite(selectTally), first, below)
	return types, erased, err
}

func (s *liteStore) saveCheckpoint(ctx context.Context, size int64, note []byte) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO checkpoint (size, note, signed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		size, note, time.Now().UnixMicro())
	return err
}

func (s *liteStore) checkpoint(ctx context.Context, size int64, until time.Time) ([]byte, error) {
	var note []byte
	err := s.db.QueryRowContext(ctx, `SELECT note FROM checkpoint WHERE size <= ? AND signed_at <= ? ORDER BY size DESC LIMIT 1`,
		size, until.UnixMicro()).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return note, err
}

func (s *liteStore) saveCosignature(ctx context.Context, c Cosignature) error {
	_, err := s.db.ExecContext(ctx, lite(insertCosignature), c.Size, c.Witness, c.Line, c.Time.Unix())
	return err
}

func (s *liteStore) cosignatures(ctx context.Context, query string, args ...any) (found []Cosignature, err error) {
	err = each(ctx, s.db, func(rows *sql.Rows) error {
		var c Cosignature
		var at int64
		err := rows.Scan(&c.Size, &c.Witness, &c.Line, &at)
		c.Time = time.Unix(at, 0).UTC()
		found = append(found, c)
		return err
	}, lite(query), args...)
	return found, err
}

func (s *liteStore) reject(ctx context.Context, rs []Rejected) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if _, err := tx.ExecContext(ctx, `INSERT INTO rejected (digest, subject, reason, detail, key_id, envelope, rejected_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			r.Digest[:], r.Subject, r.Reason, r.Detail, r.KeyID, r.Envelope, time.Now().UnixMicro()); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (s *liteStore) rejected(ctx context.Context, keyID string, fn func(Rejected) error) error {
	where, args := rejectedWhere(keyID)
	return each(ctx, s.db, func(rows *sql.Rows) error {
		var r Rejected
		var digest []byte
		var at int64
		err := rows.Scan(&digest, &r.Subject, &r.Reason, &r.Detail, &r.KeyID, &r.Envelope, &at)
		if err != nil {
			return err
		}
		if r.Digest, err = toDigest(digest); err != nil {
			return err
		}
		r.At = time.UnixMicro(at).UTC()
		return fn(r)
	}, lite(selectRejected+where), args...)
}

func (s *liteStore) release(ctx context.Context, digests [][]byte) error {
	for _, d := range digests {
		if _, err := s.db.ExecContext(ctx, `DELETE FROM rejected WHERE digest = ?`, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *liteStore) begin(ctx context.Context) (txn, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	locked, err := liteState(ctx, tx)
	if err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return &liteTxn{tx: tx, locked: locked}, nil
}

type liteTxn struct {
	tx     *sql.Tx
	locked state
}

func (t *liteTxn) state() state { return t.locked }

func (t *liteTxn) leavesOf(ctx context.Context, digests [][]byte) (map[[sha256.Size]byte]int64, error) {
	return liteLeavesOf(ctx, t.tx, digests)
}

func (t *liteTxn) tiles(ctx context.Context, ids []tileID) (map[tileID][]byte, error) {
	return liteTiles(ctx, t.tx, ids)
}

func (t *liteTxn) countEnvelopes(ctx context.Context, first, last int64) (n int64, err error) {
	err = t.tx.QueryRowContext(ctx, lite(`SELECT count(*) FROM leaf`+erasable), first, last).Scan(&n)
	return n, err
}

func (t *liteTxn) erase(ctx context.Context, first, last int64) error {
	_, err := t.tx.ExecContext(ctx, lite(`UPDATE leaf SET envelope = NULL`+erasable), first, last)
	return err
}

func (t *liteTxn) append(ctx context.Context, first int64, records []Record, tiles map[tileID][]byte, size int64, root tlog.Hash) (err error) {
	insert, err := t.tx.PrepareContext(ctx, `INSERT INTO leaf (number, digest, request_id, type, issuer, envelope, logged_at) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	now := time.Now().UnixMicro()
	for i, r := range records {
		if _, err := insert.ExecContext(ctx, first+int64(i), r.Digest[:], r.RequestID, r.Type, r.Issuer, r.Envelope, now); err != nil {
			return err
		}
	}
	for id, hashes := range tiles {
		if _, err := t.tx.ExecContext(ctx, `INSERT INTO tile (level, idx, hashes) VALUES (?, ?, ?)
			ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes`, id.level, id.index, hashes); err != nil {
			return err
		}
	}
	_, err = t.tx.ExecContext(ctx, `UPDATE log SET size = ?, root = ?`, size, root[:])
	return err
}

func (t *liteTxn) commit(context.Context) error { return t.tx.Commit() }

func (t *liteTxn) rollback(context.Context) error {
	if err := t.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
