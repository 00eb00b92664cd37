package litestore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Doors = (*Store)(nil)

// exec runs one statement in a write transaction of its own and returns how
// many rows it changed.
func (s *Store) exec(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, text, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// PutCase implements [store.Doors].
func (s *Store) PutCase(ctx context.Context, c store.Case) error {
	_, err := s.exec(ctx, `INSERT INTO verification_case (request_id, wrapped_key, sealed, next_at, created_at, updated_at, version)
		VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1) ON CONFLICT DO NOTHING`, string(c.RequestID), c.WrappedKey, c.Sealed, micros(c.NextAt), micros(c.CreatedAt))
	if err != nil {
		return fmt.Errorf("storing a case: %w", err)
	}
	return nil
}

// GetCase implements [store.Doors].
func (s *Store) GetCase(ctx context.Context, id request.ID) (store.Case, error) {
	rows, err := query(ctx, s.db, row.Cases, "SELECT "+row.Names(row.Cases)+" FROM verification_case WHERE request_id = ?", string(id))
	if err != nil {
		return store.Case{}, fmt.Errorf("reading a case: %w", err)
	}
	if len(rows) == 0 {
		return store.Case{}, fmt.Errorf("case of request %s: %w", id, store.ErrNotFound)
	}
	c := rows[0].Case
	c.RequestID = id
	return c, nil
}

// SaveCase implements [store.Doors].
func (s *Store) SaveCase(ctx context.Context, c store.Case) error {
	n, err := s.exec(ctx, `UPDATE verification_case SET wrapped_key = ?3, sealed = ?4, next_at = ?5, updated_at = ?6, version = version + 1
		WHERE request_id = ?1 AND version = ?2 AND purged_at IS NULL`, string(c.RequestID), c.Version, c.WrappedKey, c.Sealed, micros(c.NextAt), micros(c.UpdatedAt))
	if err != nil {
		return fmt.Errorf("saving a case: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("case of request %s: %w", c.RequestID, store.ErrStale)
	}
	return nil
}

// DueCases implements [store.Doors].
func (s *Store) DueCases(ctx context.Context, now time.Time, limit int) ([]request.ID, error) {
	type one struct{ id string }
	rows, err := query(ctx, s.db, []row.Column[one]{{Name: "request_id", Ptr: func(o *one) any { return &o.id }}},
		`SELECT request_id FROM verification_case WHERE next_at <= ? ORDER BY next_at LIMIT ?`, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for due cases: %w", err)
	}
	ids := make([]request.ID, len(rows))
	for i, r := range rows {
		ids[i] = request.ID(r.id)
	}
	return ids, nil
}

// PurgeCase implements [store.Doors].
func (s *Store) PurgeCase(ctx context.Context, id request.ID, at time.Time, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE verification_case SET wrapped_key = NULL, sealed = NULL, next_at = NULL, updated_at = ?2, purged_at = ?2, version = version + 1
			WHERE request_id = ?1 AND purged_at IS NULL`, string(id), micros(at))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if fresh = err == nil && n == 1; !fresh {
			return err
		}
		return insert(ctx, tx, "record", row.Records, []*store.Record{&r})
	})
	if err != nil {
		return false, fmt.Errorf("purging a case: %w", err)
	}
	s.wipe(ctx, fresh)
	return fresh, nil
}

// KeepDocument implements [store.Doors].
func (s *Store) KeepDocument(ctx context.Context, d store.Document) error {
	_, err := s.exec(ctx, `INSERT INTO kept_document (request_id, kind, wrapped_key, sealed, keep_until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		string(d.RequestID), d.Kind, d.WrappedKey, d.Sealed, micros(d.KeepUntil))
	if err != nil {
		return fmt.Errorf("keeping a document: %w", err)
	}
	return nil
}

// Documents implements [store.Doors].
func (s *Store) Documents(ctx context.Context, id request.ID) ([]store.Document, error) {
	rows, err := query(ctx, s.db, row.Documents, "SELECT "+row.Names(row.Documents)+" FROM kept_document WHERE request_id = ? ORDER BY kind", string(id))
	if err != nil {
		return nil, fmt.Errorf("reading documents: %w", err)
	}
	out := make([]store.Document, len(rows))
	for i := range rows {
		out[i] = rows[i].Document
		out[i].RequestID = id
	}
	return out, nil
}

// ExpireDocuments implements [store.Doors].
func (s *Store) ExpireDocuments(ctx context.Context, now time.Time) (int64, error) {
	n, err := s.exec(ctx, `DELETE FROM kept_document WHERE keep_until <= ?`, micros(now))
	if err != nil {
		return 0, fmt.Errorf("forgetting documents: %w", err)
	}
	s.wipe(ctx, n > 0)
	return n, nil
}

// Count implements [store.Doors].
func (s *Store) Count(ctx context.Context, bucket []byte, window time.Duration, now time.Time) (n int64, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM attempt WHERE bucket IN (SELECT bucket FROM attempt WHERE ends_at <= ? ORDER BY ends_at LIMIT 100)`, micros(now))
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO attempt (bucket, began_at, ends_at, n) VALUES (?1, ?2, ?3, 1)
			ON CONFLICT (bucket) DO UPDATE SET n = CASE WHEN attempt.ends_at <= ?2 THEN 1 ELSE attempt.n + 1 END,
				began_at = CASE WHEN attempt.ends_at <= ?2 THEN ?2 ELSE attempt.began_at END,
				ends_at = CASE WHEN attempt.ends_at <= ?2 THEN ?3 ELSE attempt.ends_at END
			RETURNING n`, bucket, micros(now), micros(now.Add(window))).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("counting a try: %w", err)
	}
	return n, nil
}

// ClaimDownload implements [store.Doors].
func (s *Store) ClaimDownload(ctx context.Context, id request.ID, claim string, now, stale time.Time) (bool, error) {
	n, err := s.exec(ctx, `INSERT INTO package_download (request_id, claim, claimed_at, done) VALUES (?1, ?2, ?3, 0)
		ON CONFLICT (request_id) DO UPDATE SET claim = ?2, claimed_at = ?3 WHERE package_download.done = 0 AND package_download.claimed_at < ?4`,
		string(id), claim, micros(now), micros(stale))
	if err != nil {
		return false, fmt.Errorf("claiming a download: %w", err)
	}
	return n == 1, nil
}

// EndDownload implements [store.Doors].
func (s *Store) EndDownload(ctx context.Context, id request.ID, claim string, done bool) error {
	text := `DELETE FROM package_download WHERE request_id = ? AND claim = ? AND done = 0`
	if done {
		text = `UPDATE package_download SET done = 1 WHERE request_id = ? AND claim = ?`
	}
	if _, err := s.exec(ctx, text, string(id), claim); err != nil {
		return fmt.Errorf("ending a download: %w", err)
	}
	return nil
}

// Choose implements [store.Doors]. A visit that changes nothing, which almost
// every visit is, takes no lock; those that change something go one by one.
func (s *Store) Choose(ctx context.Context, digests [][]byte, out bool, at time.Time) (store.Choice, error) {
	known, err := ties(ctx, s.db, digests)
	if err != nil {
		return store.Choice{}, fmt.Errorf("reading a choice: %w", err)
	}
	t := store.Tie(digests, known, out, at)
	if !t.Changed {
		return t.Choice, nil
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if known, err = ties(ctx, tx, digests); err != nil {
			return err
		}
		if t = store.Tie(digests, known, out, at); !t.Changed {
			return nil
		}
		return writeTying(ctx, tx, t)
	})
	if err != nil {
		return store.Choice{}, fmt.Errorf("storing a choice: %w", err)
	}
	return t.Choice, nil
}

func writeTying(ctx context.Context, tx *sql.Tx, t store.Tying) error {
	for _, c := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO choice_profile (id, opted_out_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET opted_out_at = excluded.opted_out_at`, []any{t.Profile, micros(t.OptedOutAt)}},
		{`UPDATE choice SET profile = ? WHERE profile IN (SELECT value FROM json_each(?))`, []any{t.Profile, idList(t.Merge)}},
		{`DELETE FROM choice_profile WHERE id IN (SELECT value FROM json_each(?))`, []any{idList(t.Merge)}},
		{`INSERT INTO choice (digest, profile, carried_by) SELECT unhex(value), ?, '' FROM json_each(?)`, []any{t.Profile, hexList(t.Add)}},
	} {
		if _, err := tx.ExecContext(ctx, c.text, c.args...); err != nil {
			return err
		}
	}
	return nil
}

func ties(ctx context.Context, q querier, digests [][]byte) ([]store.Tied, error) {
	rows, err := query(ctx, q, row.Ties, `SELECT c.digest, c.profile, c.carried_by, coalesce(p.opted_out_at, 0)
		FROM choice c JOIN choice_profile p ON p.id = c.profile WHERE c.digest IN (SELECT unhex(value) FROM json_each(?)) ORDER BY c.profile, c.digest`, hexList(digests))
	if err != nil {
		return nil, err
	}
	return row.Tied(rows), nil
}

// hexList is the argument of json_each for a set of digests.
func hexList(digests [][]byte) string {
	texts := make([]string, len(digests))
	for i, d := range digests {
		texts[i] = hex.EncodeToString(d)
	}
	return idList(texts)
}

// Lift implements [store.Doors]. What carried the opt-out is forgotten, so that
// a later one is carried again.
func (s *Store) Lift(ctx context.Context, digests [][]byte) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		const tied = `(SELECT profile FROM choice WHERE digest IN (SELECT unhex(value) FROM json_each(?)))`
		if _, err := tx.ExecContext(ctx, `UPDATE choice SET carried_by = '' WHERE profile IN `+tied, hexList(digests)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE choice_profile SET opted_out_at = NULL WHERE id IN `+tied, hexList(digests))
		return err
	})
	if err != nil {
		return fmt.Errorf("lifting a choice: %w", err)
	}
	return nil
}

// Carried implements [store.Doors].
func (s *Store) Carried(ctx context.Context, digests [][]byte, id request.ID) error {
	_, err := s.exec(ctx, `UPDATE choice SET carried_by = ? WHERE digest IN (SELECT unhex(value) FROM json_each(?)) AND carried_by = ''`, string(id), hexList(digests))
	if err != nil {
		return fmt.Errorf("storing who carries a choice: %w", err)
	}
	return nil
}
