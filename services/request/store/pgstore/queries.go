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

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, id request.ID) (store.Request, []store.Job, error) {
	requests, err := queryRequests(ctx, s.pool, "SELECT "+row.Names(row.Requests)+" FROM request WHERE id = $1", string(id))
	if err != nil {
		return store.Request{}, nil, fmt.Errorf("reading request %s: %w", id, redact(err))
	}
	if len(requests) == 0 {
		return store.Request{}, nil, fmt.Errorf("request %s: %w", id, store.ErrNotFound)
	}
	jobs, err := s.JobsOf(ctx, []request.ID{id})
	return requests[0], jobs[id], err
}

// Several implements [store.Store].
func (s *Store) Several(ctx context.Context, ids []request.ID) ([]store.Request, error) {
	requests, err := queryRequests(ctx, s.pool, "SELECT "+row.Names(row.Requests)+" FROM request WHERE id = ANY($1)", idStrings(ids))
	if err != nil {
		return nil, fmt.Errorf("reading requests: %w", redact(err))
	}
	return requests, nil
}

// JobsOf implements [store.Store].
func (s *Store) JobsOf(ctx context.Context, ids []request.ID) (map[request.ID][]store.Job, error) {
	jobs, err := queryJobs(ctx, s.pool, idStrings(ids))
	if err != nil {
		return nil, fmt.Errorf("reading jobs: %w", redact(err))
	}
	return jobs, nil
}

// Due implements [store.Store].
func (s *Store) Due(ctx context.Context, now, stale time.Time, lost []string, limit int) ([]request.ID, error) {
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT request_id FROM (
			(SELECT request_id FROM job WHERE state IN ('planned', 'deferred') AND next_at <= $1 ORDER BY next_at LIMIT $4)
			UNION ALL (SELECT request_id FROM job WHERE state = 'sent' AND connector = ANY($3) AND sent_at < $2 ORDER BY sent_at LIMIT $4)
			UNION ALL (SELECT id FROM request WHERE state = 'closing' AND closure_digest IS NULL ORDER BY updated_at LIMIT $4)
			UNION ALL (SELECT id FROM request WHERE wake_at <= $1 ORDER BY wake_at LIMIT $4)
			UNION ALL (SELECT request_id FROM job WHERE code = 'paused' AND state IN ('planned', 'deferred') AND next_at IS NULL
				AND connector NOT IN (SELECT connector FROM connector_pause WHERE until_at IS NULL) LIMIT $4)
		) AS due LIMIT $4`, now, stale, lost, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for due jobs: %w", redact(err))
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("looking for due jobs: %w", redact(err))
	}
	out := make([]request.ID, len(ids))
	for i, id := range ids {
		out[i] = request.ID(id)
	}
	return out, nil
}

// Outstanding implements [store.Store].
func (s *Store) Outstanding(ctx context.Context, before time.Time) ([]store.Outstanding, error) {
	rows, err := s.pool.Query(ctx, `SELECT connector, count(*), min(sent_at) FROM job WHERE state = 'sent' AND sent_at < $1 GROUP BY connector ORDER BY connector`, before)
	if err != nil {
		return nil, fmt.Errorf("counting outstanding jobs: %w", redact(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Outstanding])
	if err != nil {
		return nil, fmt.Errorf("counting outstanding jobs: %w", redact(err))
	}
	return out, nil
}

// Unlogged implements [store.Store].
func (s *Store) Unlogged(ctx context.Context, before time.Time, limit int) ([]store.Record, error) {
	out, err := read(ctx, s, row.Records, "SELECT "+row.Names(row.Records)+" FROM record WHERE created_at < $1 ORDER BY created_at LIMIT $2", before, limit)
	if err != nil {
		return nil, fmt.Errorf("reading unlogged records: %w", err)
	}
	return out, nil
}

// Logged implements [store.Store].
func (s *Store) Logged(ctx context.Context, digests [][]byte) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM record WHERE digest = ANY($1)`, digests); err != nil {
		return fmt.Errorf("forgetting logged records: %w", redact(err))
	}
	return nil
}

// PutConnector implements [store.Store].
func (s *Store) PutConnector(ctx context.Context, c store.Connector) error {
	if _, err := s.pool.Exec(ctx, `INSERT INTO connector (name, manifest, key_id, key, seen_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest, key_id = excluded.key_id, key = excluded.key,
		seen_at = excluded.seen_at, updated_at = excluded.updated_at`,
		c.Name, c.Manifest, c.KeyID, c.Key, c.SeenAt, c.UpdatedAt); err != nil {
		return fmt.Errorf("storing connector %s: %w", c.Name, redact(err))
	}
	return nil
}

// PutKey implements [store.Store].
func (s *Store) PutKey(ctx context.Context, id string, k store.Key, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO evidence_key (key_id, owner, der, accepted_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			id, k.Owner, k.DER, r.CreatedAt)
		if fresh = err == nil && tag.RowsAffected() == 1; !fresh {
			return err
		}
		return insert(ctx, tx, "record", row.Records, []*store.Record{&r})
	})
	if err != nil {
		return false, fmt.Errorf("accepting a key of %s: %w", k.Owner, err)
	}
	return fresh, nil
}

// Connectors implements [store.Store].
func (s *Store) Connectors(ctx context.Context) ([]store.Connector, error) {
	rows, err := s.pool.Query(ctx, `SELECT name, manifest, key_id, key, seen_at, updated_at FROM connector ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("reading connectors: %w", redact(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Connector])
	if err != nil {
		return nil, fmt.Errorf("reading connectors: %w", redact(err))
	}
	return out, nil
}

// Keys implements [store.Store].
func (s *Store) Keys(ctx context.Context) (map[string]store.Key, error) {
	keys := make(map[string]store.Key)
	var id string
	var k store.Key
	rows, err := s.pool.Query(ctx, `SELECT key_id, owner, der FROM evidence_key`)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&id, &k.Owner, &k.DER}, func() error {
			keys[id] = store.Key{Owner: k.Owner, DER: append([]byte(nil), k.DER...)}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading evidence keys: %w", redact(err))
	}
	return keys, nil
}
