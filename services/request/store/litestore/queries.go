package litestore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, id request.ID) (store.Request, []store.Job, error) {
	requests, err := queryRequests(ctx, s.db, "SELECT "+row.Names(row.Requests)+" FROM request WHERE id = ?", string(id))
	if err != nil {
		return store.Request{}, nil, fmt.Errorf("reading request %s: %w", id, err)
	}
	if len(requests) == 0 {
		return store.Request{}, nil, fmt.Errorf("request %s: %w", id, store.ErrNotFound)
	}
	jobs, err := s.JobsOf(ctx, []request.ID{id})
	return requests[0], jobs[id], err
}

// Several implements [store.Store].
func (s *Store) Several(ctx context.Context, ids []request.ID) ([]store.Request, error) {
	requests, err := queryRequests(ctx, s.db, "SELECT "+row.Names(row.Requests)+" FROM request WHERE id IN (SELECT value FROM json_each(?))", idList(ids))
	if err != nil {
		return nil, fmt.Errorf("reading requests: %w", err)
	}
	return requests, nil
}

// JobsOf implements [store.Store].
func (s *Store) JobsOf(ctx context.Context, ids []request.ID) (map[request.ID][]store.Job, error) {
	jobs, err := queryJobs(ctx, s.db, ids)
	if err != nil {
		return nil, fmt.Errorf("reading jobs: %w", err)
	}
	return jobs, nil
}

// Due implements [store.Store].
func (s *Store) Due(ctx context.Context, now, stale time.Time, lost []string, limit int) ([]request.ID, error) {
	type one struct{ id string }
	rows, err := query(ctx, s.db, []row.Column[one]{{Name: "request_id", Ptr: func(o *one) any { return &o.id }}},
		`SELECT DISTINCT request_id FROM (
			SELECT * FROM (SELECT request_id FROM job WHERE state IN ('planned', 'deferred') AND next_at <= ?1 ORDER BY next_at LIMIT ?4)
			UNION ALL SELECT * FROM (SELECT request_id FROM job WHERE state = 'sent' AND connector IN (SELECT value FROM json_each(?3)) AND sent_at < ?2 ORDER BY sent_at LIMIT ?4)
			UNION ALL SELECT * FROM (SELECT id FROM request WHERE state = 'closing' AND closure_digest IS NULL ORDER BY updated_at LIMIT ?4)
			UNION ALL SELECT * FROM (SELECT id FROM request WHERE wake_at <= ?1 ORDER BY wake_at LIMIT ?4)
			UNION ALL SELECT * FROM (SELECT request_id FROM job WHERE code = 'paused' AND state IN ('planned', 'deferred') AND next_at IS NULL
				AND connector NOT IN (SELECT connector FROM connector_pause WHERE until_at IS NULL) LIMIT ?4)
		) LIMIT ?4`, micros(now), micros(stale), idList(lost), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for due jobs: %w", err)
	}
	out := make([]request.ID, len(rows))
	for i, r := range rows {
		out[i] = request.ID(r.id)
	}
	return out, nil
}

// Outstanding implements [store.Store].
func (s *Store) Outstanding(ctx context.Context, before time.Time) ([]store.Outstanding, error) {
	out, err := query(ctx, s.db, []row.Column[store.Outstanding]{
		{Name: "connector", Ptr: func(o *store.Outstanding) any { return &o.Connector }},
		{Name: "sent", Ptr: func(o *store.Outstanding) any { return &o.Sent }},
		{Name: "oldest", Type: row.Time, Ptr: func(o *store.Outstanding) any { return &o.Oldest }},
	}, `SELECT connector, count(*), min(sent_at) FROM job WHERE state = 'sent' AND sent_at < ? GROUP BY connector ORDER BY connector`, micros(before))
	if err != nil {
		return nil, fmt.Errorf("counting outstanding jobs: %w", err)
	}
	return out, nil
}

// Unlogged implements [store.Store].
func (s *Store) Unlogged(ctx context.Context, before time.Time, limit int) ([]store.Record, error) {
	out, err := query(ctx, s.db, row.Records, "SELECT "+row.Names(row.Records)+" FROM record WHERE created_at < ? ORDER BY created_at LIMIT ?", micros(before), limit)
	if err != nil {
		return nil, fmt.Errorf("reading unlogged records: %w", err)
	}
	return out, nil
}

// Logged implements [store.Store].
func (s *Store) Logged(ctx context.Context, digests [][]byte) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, `DELETE FROM record WHERE digest = ?`)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for _, d := range digests {
			if _, err := stmt.ExecContext(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forgetting logged records: %w", err)
	}
	return nil
}

// PutConnector implements [store.Store].
func (s *Store) PutConnector(ctx context.Context, c store.Connector) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO connector (name, manifest, key_id, key, seen_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest, key_id = excluded.key_id, key = excluded.key,
			seen_at = excluded.seen_at, updated_at = excluded.updated_at`,
			c.Name, c.Manifest, c.KeyID, c.Key, micros(c.SeenAt), micros(c.UpdatedAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("storing connector %s: %w", c.Name, err)
	}
	return nil
}

// PutKey implements [store.Store].
func (s *Store) PutKey(ctx context.Context, id string, k store.Key, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO evidence_key (key_id, owner, der, accepted_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, k.Owner, k.DER, micros(r.CreatedAt))
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
		return false, fmt.Errorf("accepting a key of %s: %w", k.Owner, err)
	}
	return fresh, nil
}

// Connectors implements [store.Store].
func (s *Store) Connectors(ctx context.Context) ([]store.Connector, error) {
	out, err := query(ctx, s.db, []row.Column[store.Connector]{
		{Name: "name", Ptr: func(c *store.Connector) any { return &c.Name }},
		{Name: "manifest", Ptr: func(c *store.Connector) any { return &c.Manifest }},
		{Name: "key_id", Ptr: func(c *store.Connector) any { return &c.KeyID }},
		{Name: "key", Ptr: func(c *store.Connector) any { return &c.Key }},
		{Name: "seen_at", Ptr: func(c *store.Connector) any { return &c.SeenAt }},
		{Name: "updated_at", Ptr: func(c *store.Connector) any { return &c.UpdatedAt }},
	}, `SELECT name, manifest, key_id, key, seen_at, updated_at FROM connector ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("reading connectors: %w", err)
	}
	return out, nil
}

// Keys implements [store.Store].
func (s *Store) Keys(ctx context.Context) (map[string]store.Key, error) {
	type entry struct {
		id string
		store.Key
	}
	rows, err := query(ctx, s.db, []row.Column[entry]{
		{Name: "key_id", Ptr: func(e *entry) any { return &e.id }},
		{Name: "owner", Ptr: func(e *entry) any { return &e.Owner }},
		{Name: "der", Ptr: func(e *entry) any { return &e.DER }},
	}, `SELECT key_id, owner, der FROM evidence_key`)
	if err != nil {
		return nil, fmt.Errorf("reading evidence keys: %w", err)
	}
	keys := make(map[string]store.Key, len(rows))
	for _, r := range rows {
		keys[r.id] = r.Key
	}
	return keys, nil
}
