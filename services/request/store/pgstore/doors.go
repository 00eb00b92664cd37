package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Doors = (*Store)(nil)

// PutCase implements [store.Doors].
func (s *Store) PutCase(ctx context.Context, c store.Case) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO verification_case (request_id, wrapped_key, sealed, next_at, created_at, updated_at, version)
		VALUES ($1, $2, $3, $4, $5, $5, 1) ON CONFLICT DO NOTHING`, string(c.RequestID), c.WrappedKey, c.Sealed, orNull(c.NextAt), c.CreatedAt)
	if err != nil {
		return fmt.Errorf("storing a case: %w", redact(err))
	}
	return nil
}

// GetCase implements [store.Doors].
func (s *Store) GetCase(ctx context.Context, id request.ID) (store.Case, error) {
	rows, err := read(ctx, s, row.Cases, "SELECT "+row.Names(row.Cases)+" FROM verification_case WHERE request_id = $1", string(id))
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
	tag, err := s.pool.Exec(ctx, `UPDATE verification_case SET wrapped_key = $3, sealed = $4, next_at = $5, updated_at = $6, version = version + 1
		WHERE request_id = $1 AND version = $2 AND purged_at IS NULL`, string(c.RequestID), c.Version, c.WrappedKey, c.Sealed, orNull(c.NextAt), c.UpdatedAt)
	if err != nil {
		return fmt.Errorf("saving a case: %w", redact(err))
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("case of request %s: %w", c.RequestID, store.ErrStale)
	}
	return nil
}

// DueCases implements [store.Doors].
func (s *Store) DueCases(ctx context.Context, now time.Time, limit int) ([]request.ID, error) {
	rows, err := s.pool.Query(ctx, `SELECT request_id FROM verification_case WHERE next_at <= $1 ORDER BY next_at LIMIT $2`, now, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for due cases: %w", redact(err))
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[request.ID])
	if err != nil {
		return nil, fmt.Errorf("looking for due cases: %w", redact(err))
	}
	return ids, nil
}

// PurgeCase implements [store.Doors].
func (s *Store) PurgeCase(ctx context.Context, id request.ID, at time.Time, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE verification_case SET wrapped_key = NULL, sealed = NULL, next_at = NULL, updated_at = $2, purged_at = $2, version = version + 1
			WHERE request_id = $1 AND purged_at IS NULL`, string(id), at)
		if err != nil {
			return err
		}
		if fresh = tag.RowsAffected() == 1; !fresh {
			return nil
		}
		return insert(ctx, tx, "record", row.Records, []*store.Record{&r})
	})
	if err != nil {
		return false, fmt.Errorf("purging a case: %w", err)
	}
	return fresh, nil
}

// KeepDocument implements [store.Doors].
func (s *Store) KeepDocument(ctx context.Context, d store.Document) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO kept_document (request_id, kind, wrapped_key, sealed, keep_until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		string(d.RequestID), d.Kind, d.WrappedKey, d.Sealed, d.KeepUntil)
	if err != nil {
		return fmt.Errorf("keeping a document: %w", redact(err))
	}
	return nil
}

// Documents implements [store.Doors].
func (s *Store) Documents(ctx context.Context, id request.ID) ([]store.Document, error) {
	rows, err := read(ctx, s, row.Documents, "SELECT "+row.Names(row.Documents)+" FROM kept_document WHERE request_id = $1 ORDER BY kind", string(id))
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
	tag, err := s.pool.Exec(ctx, `DELETE FROM kept_document WHERE keep_until <= $1`, now)
	if err != nil {
		return 0, fmt.Errorf("forgetting documents: %w", redact(err))
	}
	return tag.RowsAffected(), nil
}

// Count implements [store.Doors].
func (s *Store) Count(ctx context.Context, bucket []byte, window time.Duration, now time.Time) (n int64, err error) {
	err = s.pool.QueryRow(ctx, `WITH over AS (DELETE FROM attempt WHERE bucket IN (SELECT bucket FROM attempt WHERE ends_at <= $2 AND bucket <> $1 ORDER BY ends_at LIMIT 100 FOR UPDATE SKIP LOCKED))
		INSERT INTO attempt AS a (bucket, began_at, ends_at, n) VALUES ($1, $2, $3, 1)
		ON CONFLICT (bucket) DO UPDATE SET n = CASE WHEN a.ends_at <= $2 THEN 1 ELSE a.n + 1 END,
			began_at = CASE WHEN a.ends_at <= $2 THEN $2 ELSE a.began_at END, ends_at = CASE WHEN a.ends_at <= $2 THEN $3 ELSE a.ends_at END
		RETURNING n`, bucket, now, now.Add(window)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting a try: %w", redact(err))
	}
	return n, nil
}

// ClaimDownload implements [store.Doors].
func (s *Store) ClaimDownload(ctx context.Context, id request.ID, claim string, now, stale time.Time) (bool, error) {
	tag, err := s.pool.Exec(ctx, `INSERT INTO package_download AS d (request_id, claim, claimed_at, done) VALUES ($1, $2, $3, 0)
		ON CONFLICT (request_id) DO UPDATE SET claim = $2, claimed_at = $3 WHERE d.done = 0 AND d.claimed_at < $4`, string(id), claim, now, stale)
	if err != nil {
		return false, fmt.Errorf("claiming a download: %w", redact(err))
	}
	return tag.RowsAffected() == 1, nil
}

// EndDownload implements [store.Doors].
func (s *Store) EndDownload(ctx context.Context, id request.ID, claim string, done bool) error {
	text := `DELETE FROM package_download WHERE request_id = $1 AND claim = $2 AND done = 0`
	if done {
		text = `UPDATE package_download SET done = 1 WHERE request_id = $1 AND claim = $2`
	}
	if _, err := s.pool.Exec(ctx, text, string(id), claim); err != nil {
		return fmt.Errorf("ending a download: %w", redact(err))
	}
	return nil
}

// Choose implements [store.Doors]. A visit that changes nothing, which almost
// every visit is, takes no lock; those that change something go one by one.
func (s *Store) Choose(ctx context.Context, digests [][]byte, out bool, at time.Time) (store.Choice, error) {
	known, err := ties(ctx, s.pool, digests)
	if err != nil {
		return store.Choice{}, fmt.Errorf("reading a choice: %w", err)
	}
	t := store.Tie(digests, known, out, at)
	if !t.Changed {
		return t.Choice, nil
	}
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('habeas choice'))`); err != nil {
			return err
		}
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

func writeTying(ctx context.Context, tx pgx.Tx, t store.Tying) error {
	if _, err := tx.Exec(ctx, `INSERT INTO choice_profile (id, opted_out_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET opted_out_at = excluded.opted_out_at`,
		t.Profile, orNull(t.OptedOutAt)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE choice SET profile = $1 WHERE profile = ANY($2)`, t.Profile, t.Merge); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM choice_profile WHERE id = ANY($1)`, t.Merge); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO choice (digest, profile, carried_by) SELECT d, $2, '' FROM unnest($1::bytea[]) AS n (d)`, t.Add, t.Profile)
	return err
}

func ties(ctx context.Context, q querier, digests [][]byte) ([]store.Tied, error) {
	rows, err := query(ctx, q, row.Ties, `SELECT c.digest, c.profile, c.carried_by, coalesce((extract(epoch FROM p.opted_out_at) * 1000000)::bigint, 0)
		FROM choice c JOIN choice_profile p ON p.id = c.profile WHERE c.digest = ANY($1) ORDER BY c.profile, c.digest`, digests)
	if err != nil {
		return nil, err
	}
	return row.Tied(rows), nil
}

// Lift implements [store.Doors]. What carried the opt-out is forgotten, so that
// a later one is carried again.
func (s *Store) Lift(ctx context.Context, digests [][]byte) error {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('habeas choice'))`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE choice SET carried_by = '' WHERE profile IN (SELECT profile FROM choice WHERE digest = ANY($1))`, digests); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE choice_profile SET opted_out_at = NULL WHERE id IN (SELECT profile FROM choice WHERE digest = ANY($1))`, digests)
		return err
	})
	if err != nil {
		return fmt.Errorf("lifting a choice: %w", err)
	}
	return nil
}

// Carried implements [store.Doors].
func (s *Store) Carried(ctx context.Context, digests [][]byte, id request.ID) error {
	if _, err := s.pool.Exec(ctx, `UPDATE choice SET carried_by = $2 WHERE digest = ANY($1) AND carried_by = ''`, digests, string(id)); err != nil {
		return fmt.Errorf("storing who carries a choice: %w", redact(err))
	}
	return nil
}
