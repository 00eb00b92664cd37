package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// unkept joins a request's jobs r.id = j.request_id with what has to be kept and
// is not; $1 is now, $5 and $6 the connectors and the lives of their backups.
const unkept = ` JOIN unnest($5::text[], $6::interval[]) AS b (name, life) ON b.name = j.connector WHERE ` + row.Undoable + ` AND ` + row.Acted + ` AND j.updated_at + b.life > $1
	AND NOT EXISTS (SELECT 1 FROM kept_subject k WHERE k.request_id = j.request_id AND k.connector = j.connector)`

// shredArgs are the arguments of shreddableRequest and unkept; $4 is the limit.
func shredArgs(q store.Shreddable) []any {
	names, lives := []string{}, []time.Duration{}
	for name, life := range q.Backups {
		names, lives = append(names, name), append(lives, life)
	}
	return []any{q.Now, q.ClosedBefore, q.NoticedSince, q.Limit, names, lives}
}

// Unkept implements [store.Aftercare].
func (s *Store) Unkept(ctx context.Context, q store.Shreddable) ([]store.Unkept, error) {
	if len(q.Backups) == 0 {
		return nil, nil
	}
	out, err := read(ctx, s, []row.Column[store.Unkept]{
		{Name: "request_id", Ptr: func(u *store.Unkept) any { return (*string)(&u.RequestID) }},
		{Name: "connector", Ptr: func(u *store.Unkept) any { return &u.Connector }},
		{Name: "until", Type: row.Time, Ptr: func(u *store.Unkept) any { return &u.Until }},
		{Name: "wrapped_key", Type: row.Bytes, Ptr: func(u *store.Unkept) any { return &u.WrappedKey }},
		{Name: "sealed", Type: row.Bytes, Ptr: func(u *store.Unkept) any { return &u.Sealed }},
	}, `SELECT r.id, j.connector, max(j.updated_at + b.life), r.wrapped_key, r.sealed FROM request r JOIN job j ON j.request_id = r.id`+unkept+` AND `+shreddableRequest+`
		GROUP BY r.id, j.connector ORDER BY r.id, j.connector LIMIT $4`, shredArgs(q)...)
	if err != nil {
		return nil, fmt.Errorf("looking for what is to be kept: %w", err)
	}
	return out, nil
}

// PutKept implements [store.Aftercare].
func (s *Store) PutKept(ctx context.Context, kept []store.Kept) error {
	if len(kept) == 0 {
		return nil
	}
	ids, connectors, keys, sealed, until := make([]string, len(kept)), make([]string, len(kept)), make([][]byte, len(kept)), make([][]byte, len(kept)), make([]time.Time, len(kept))
	for i, k := range kept {
		ids[i], connectors[i], keys[i], sealed[i], until[i] = string(k.RequestID), k.Connector, k.WrappedKey, k.Sealed, k.Until
	}
	if _, err := s.pool.Exec(ctx, `INSERT INTO kept_subject (request_id, connector, wrapped_key, sealed, keep_until)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::timestamptz[]) AS n (r, c, w, s, u) ORDER BY r, c ON CONFLICT DO NOTHING`,
		ids, connectors, keys, sealed, until); err != nil {
		return fmt.Errorf("keeping identifiers for restores: %w", redact(err))
	}
	return nil
}

// DropKept implements [store.Aftercare].
func (s *Store) DropKept(ctx context.Context, now time.Time, limit int, sign func(map[string]int64) ([]store.Record, error)) (n int, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `DELETE FROM kept_subject WHERE (request_id, connector) IN (
			SELECT request_id, connector FROM kept_subject WHERE keep_until <= $1 ORDER BY keep_until, request_id, connector LIMIT $2 FOR UPDATE SKIP LOCKED
		) RETURNING connector`, now, limit)
		if err != nil {
			return err
		}
		ended, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if n = len(ended); err != nil || n == 0 {
			return err
		}
		by := make(map[string]int64)
		for _, name := range ended {
			by[name]++
		}
		records, err := sign(by)
		if err != nil {
			return err
		}
		return insert(ctx, tx, "record", row.Records, pointers(records))
	})
	if err != nil {
		return 0, fmt.Errorf("destroying identifiers kept for restores: %w", err)
	}
	return n, nil
}

func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// Forgotten implements [store.Aftercare].
func (s *Store) Forgotten(ctx context.Context, connector string, since time.Time, after request.ID, limit int) ([]store.Forgotten, error) {
	jobs, err := read(ctx, s, row.ForgottenJobs, "SELECT "+row.Names(row.ForgottenJobs)+` FROM job j JOIN request r ON r.id = j.request_id
		LEFT JOIN kept_subject k ON k.request_id = j.request_id AND k.connector = j.connector
		WHERE j.id > $3 AND j.connector = $1 AND `+row.Undoable+` AND `+row.Standing+` AND (`+row.InFlight+` OR `+row.Acted+` AND j.updated_at >= $2)
		AND NOT (coalesce(r.details ->> 'origin', '') IN ('recheck', 'replay') AND (r.result <> '' AND coalesce((r.details ->> 'redone')::bigint, 0) = 0 OR EXISTS (
			SELECT 1 FROM job p WHERE p.request_id = r.details ->> 'parent' AND p.connector = $1 AND p.action = j.action AND p.updated_at >= $2
			AND p.state IN ('done', 'no_match', 'retained', 'partial'))))
		ORDER BY j.id LIMIT $4`, connector, since, string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for what %s has forgotten: %w", connector, err)
	}
	ids := make([]string, len(jobs))
	for i := range jobs {
		ids[i] = jobs[i].RequestID
	}
	requests, err := queryRequests(ctx, s.pool, "SELECT "+row.Names(row.Requests)+" FROM request WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, fmt.Errorf("looking for what %s has forgotten: %w", connector, redact(err))
	}
	return row.ForgottenOf(jobs, requests, connector), nil
}

// StartReplay implements [store.Aftercare].
func (s *Store) StartReplay(ctx context.Context, r store.Replay) (store.Replay, error) {
	if _, err := s.pool.Exec(ctx, `INSERT INTO replay (id, connector, since, by_whom, created_at, after_job, planned, lost, released) VALUES ($1, $2, $3, $4, $5, '', 0, 0, 0) ON CONFLICT DO NOTHING`,
		r.ID, r.Connector, r.Since, row.CleanText(r.By), r.CreatedAt); err != nil {
		return store.Replay{}, fmt.Errorf("starting a replay of %s: %w", r.Connector, redact(err))
	}
	// One that was there may have been planned to its end meanwhile; ours is by
	// its id then not there, and the caller starts again.
	out, err := s.replays(ctx, "connector = $1 AND since = $2 AND planned_at IS NULL", r.Connector, r.Since)
	if err == nil && len(out) != 1 {
		out, err = s.replays(ctx, "id = $1", r.ID)
	}
	if err == nil && len(out) != 1 {
		err = errors.New("another one ended just now; start it again")
	}
	if err != nil {
		return store.Replay{}, fmt.Errorf("starting a replay of %s: %w", r.Connector, err)
	}
	return out[0], nil
}

// Replays implements [store.Aftercare].
func (s *Store) Replays(ctx context.Context, limit int) ([]store.Replay, error) {
	return s.replays(ctx, "true ORDER BY created_at DESC, id DESC LIMIT $1", store.PageSize(limit))
}

// Unplanned implements [store.Aftercare].
func (s *Store) Unplanned(ctx context.Context) ([]store.Replay, error) {
	return s.replays(ctx, "planned_at IS NULL ORDER BY created_at, id")
}

// Replay implements [store.Aftercare].
func (s *Store) Replay(ctx context.Context, id string) (store.Replay, error) {
	out, err := s.replays(ctx, "id = $1", id)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("replay %.40q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return store.Replay{}, err
	}
	return out[0], nil
}

func (s *Store) replays(ctx context.Context, where string, args ...any) ([]store.Replay, error) {
	out, err := read(ctx, s, row.Replays, "SELECT "+row.Names(row.Replays)+" FROM replay WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading replays: %w", err)
	}
	return out, nil
}

// AdvanceReplay implements [store.Aftercare].
func (s *Store) AdvanceReplay(ctx context.Context, r store.Replay, from request.ID) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE replay SET after_job = $1, planned = $2, lost = $3, released = $4, planned_at = $5 WHERE id = $6 AND after_job = $7 AND planned_at IS NULL`,
		string(r.After), r.Planned, r.Lost, r.Released, orNull(r.PlannedAt), r.ID, string(from))
	if err != nil {
		return false, fmt.Errorf("writing how far a replay of %s is: %w", r.Connector, redact(err))
	}
	return tag.RowsAffected() == 1, nil
}

// ReplayProgress implements [store.Aftercare].
func (s *Store) ReplayProgress(ctx context.Context, id string) (store.Progress, error) {
	out, err := read(ctx, s, row.ProgressColumns, `WITH part AS (
			SELECT state, result, attention, coalesce((details ->> 'redone')::bigint, 0) AS redone FROM request WHERE details ->> 'run' = $1 AND details ->> 'run' IS NOT NULL
		) `+row.ProgressOfPart, id)
	if err != nil || len(out) != 1 {
		return store.Progress{}, fmt.Errorf("counting what became of a replay: %w", err)
	}
	return out[0], nil
}

// PutIncidents implements [store.Aftercare].
func (s *Store) PutIncidents(ctx context.Context, incidents []store.Incident) error {
	if err := s.tx(ctx, func(tx pgx.Tx) error { return putIncidents(ctx, tx, incidents) }); err != nil {
		return fmt.Errorf("opening incidents: %w", err)
	}
	return nil
}

func putIncidents(ctx context.Context, tx pgx.Tx, incidents []store.Incident) error {
	if len(incidents) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, i := range incidents {
		batch.Queue(`INSERT INTO incident (id, kind, connector, store, request_id, parent_id, records, opened_at, by_whom, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', '') ON CONFLICT DO NOTHING`,
			i.ID, string(i.Kind), i.Connector, row.CleanText(i.Store), string(i.RequestID), string(i.ParentID), i.Records, i.OpenedAt)
	}
	return tx.SendBatch(ctx, batch).Close()
}

// Incidents implements [store.Aftercare].
func (s *Store) Incidents(ctx context.Context, open bool, limit int) ([]store.Incident, error) {
	where := "true"
	if open {
		where = "closed_at IS NULL"
	}
	out, err := read(ctx, s, row.Incidents, "SELECT "+row.Names(row.Incidents)+" FROM incident WHERE "+where+" ORDER BY opened_at DESC, id DESC LIMIT $1", store.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("reading incidents: %w", err)
	}
	return out, nil
}

// CloseIncident implements [store.Aftercare].
func (s *Store) CloseIncident(ctx context.Context, id, by, note string, at time.Time) error {
	tag, err := s.pool.Exec(ctx, `UPDATE incident SET by_whom = CASE WHEN closed_at IS NULL THEN $1 ELSE by_whom END,
		note = CASE WHEN closed_at IS NULL THEN $2 ELSE note END, closed_at = coalesce(closed_at, $3) WHERE id = $4`, row.CleanText(by), row.CleanText(note), at, id)
	err = redact(err)
	if err == nil && tag.RowsAffected() == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("closing an incident: %w", err)
	}
	return nil
}

// Trouble implements [store.Aftercare].
func (s *Store) Trouble(ctx context.Context) ([]store.Trouble, error) {
	out, err := read(ctx, s, row.Troubles, row.TroubleQuery)
	if err != nil {
		return nil, fmt.Errorf("counting incidents: %w", err)
	}
	return out, nil
}
