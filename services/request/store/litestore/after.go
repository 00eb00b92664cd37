package litestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// backups is the argument of json_each for the lives of backups.
func backups(q store.Shreddable) string {
	lives := make(map[string]int64, len(q.Backups))
	for name, d := range q.Backups {
		lives[name] = d.Microseconds()
	}
	text, err := json.Marshal(lives)
	if err != nil {
		panic(err) // numbers can always be encoded
	}
	return string(text)
}

// unkept joins a request's jobs r.id = j.request_id with what has to be kept and
// is not; ?1 is now and ?5 the lives of backups.
const unkept = ` JOIN json_each(?5) AS b ON b.key = j.connector WHERE ` + row.Undoable + ` AND ` + row.Acted + ` AND j.updated_at + b.value > ?1
	AND NOT EXISTS (SELECT 1 FROM kept_subject k WHERE k.request_id = j.request_id AND k.connector = j.connector)`

// Unkept implements [store.Aftercare].
func (s *Store) Unkept(ctx context.Context, q store.Shreddable) ([]store.Unkept, error) {
	if len(q.Backups) == 0 {
		return nil, nil
	}
	out, err := query(ctx, s.db, []row.Column[store.Unkept]{
		{Name: "request_id", Ptr: func(u *store.Unkept) any { return (*string)(&u.RequestID) }},
		{Name: "connector", Ptr: func(u *store.Unkept) any { return &u.Connector }},
		{Name: "until", Type: row.Time, Ptr: func(u *store.Unkept) any { return &u.Until }},
		{Name: "wrapped_key", Type: row.Bytes, Ptr: func(u *store.Unkept) any { return &u.WrappedKey }},
		{Name: "sealed", Type: row.Bytes, Ptr: func(u *store.Unkept) any { return &u.Sealed }},
	}, `SELECT r.id, j.connector, max(j.updated_at + b.value), r.wrapped_key, r.sealed FROM request r JOIN job j ON j.request_id = r.id`+unkept+` AND `+shreddableRequest+`
		GROUP BY r.id, j.connector ORDER BY r.id, j.connector LIMIT ?4`, q.Now.UnixMicro(), q.ClosedBefore.UnixMicro(), q.NoticedSince.UnixMicro(), q.Limit, backups(q))
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
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return anyNumber(ctx, tx, `INSERT INTO kept_subject (request_id, connector, wrapped_key, sealed, keep_until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, kept,
			func(k store.Kept) []any {
				return []any{string(k.RequestID), k.Connector, k.WrappedKey, k.Sealed, micros(k.Until)}
			})
	})
	if err != nil {
		return fmt.Errorf("keeping identifiers for restores: %w", err)
	}
	return nil
}

// DropKept implements [store.Aftercare].
func (s *Store) DropKept(ctx context.Context, now time.Time, limit int, sign func(map[string]int64) ([]store.Record, error)) (n int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		ended, err := query(ctx, tx, row.Kept, "SELECT "+row.Names(row.Kept)+" FROM kept_subject WHERE keep_until <= ? ORDER BY keep_until, request_id, connector LIMIT ?", micros(now), limit)
		if n = len(ended); err != nil || n == 0 {
			return err
		}
		records, err := sign(row.ByConnector(ended))
		if err != nil {
			return err
		}
		if err := anyNumber(ctx, tx, `DELETE FROM kept_subject WHERE request_id = ? AND connector = ?`, ended, func(k store.Kept) []any {
			return []any{string(k.RequestID), k.Connector}
		}); err != nil {
			return err
		}
		return insert(ctx, tx, "record", row.Records, pointers(records))
	})
	if err != nil {
		return 0, fmt.Errorf("destroying identifiers kept for restores: %w", err)
	}
	s.wipe(ctx, n > 0)
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
	jobs, err := query(ctx, s.db, row.ForgottenJobs, "SELECT "+row.Names(row.ForgottenJobs)+` FROM job j JOIN request r ON r.id = j.request_id
		LEFT JOIN kept_subject k ON k.request_id = j.request_id AND k.connector = j.connector
		WHERE j.id > ?3 AND j.connector = ?1 AND `+row.Undoable+` AND `+row.Standing+` AND (`+row.InFlight+` OR `+row.Acted+` AND j.updated_at >= ?2)
		AND NOT (coalesce(json_extract(r.details, '$.origin'), '') IN ('recheck', 'replay') AND (r.result <> '' AND coalesce(json_extract(r.details, '$.redone'), 0) = 0 OR EXISTS (
			SELECT 1 FROM job p WHERE p.request_id = json_extract(r.details, '$.parent') AND p.connector = ?1 AND p.action = j.action AND p.updated_at >= ?2
			AND p.state IN ('done', 'no_match', 'retained', 'partial'))))
		ORDER BY j.id LIMIT ?4`, connector, micros(since), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for what %s has forgotten: %w", connector, err)
	}
	ids := make([]string, len(jobs))
	for i := range jobs {
		ids[i] = jobs[i].RequestID
	}
	requests, err := queryRequests(ctx, s.db, "SELECT "+row.Names(row.Requests)+" FROM request WHERE id IN (SELECT value FROM json_each(?))", idList(ids))
	if err != nil {
		return nil, fmt.Errorf("looking for what %s has forgotten: %w", connector, err)
	}
	return row.ForgottenOf(jobs, requests, connector), nil
}

// StartReplay implements [store.Aftercare].
func (s *Store) StartReplay(ctx context.Context, r store.Replay) (store.Replay, error) {
	var out []store.Replay
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO replay (id, connector, since, by_whom, created_at, after_job, planned, lost, released) VALUES (?, ?, ?, ?, ?, '', 0, 0, 0) ON CONFLICT DO NOTHING`,
			r.ID, r.Connector, micros(r.Since), row.CleanText(r.By), micros(r.CreatedAt)); err != nil {
			return err
		}
		out, err = query(ctx, tx, row.Replays, "SELECT "+row.Names(row.Replays)+" FROM replay WHERE connector = ? AND since = ? AND planned_at IS NULL", r.Connector, micros(r.Since))
		return err
	})
	if err == nil && len(out) != 1 {
		err = errors.New("it is neither new nor there")
	}
	if err != nil {
		return store.Replay{}, fmt.Errorf("starting a replay of %s: %w", r.Connector, err)
	}
	return out[0], nil
}

// Replays implements [store.Aftercare].
func (s *Store) Replays(ctx context.Context, limit int) ([]store.Replay, error) {
	return s.replays(ctx, "true ORDER BY created_at DESC, id DESC LIMIT ?", store.PageSize(limit))
}

// Unplanned implements [store.Aftercare].
func (s *Store) Unplanned(ctx context.Context) ([]store.Replay, error) {
	return s.replays(ctx, "planned_at IS NULL ORDER BY created_at, id")
}

// Replay implements [store.Aftercare].
func (s *Store) Replay(ctx context.Context, id string) (store.Replay, error) {
	out, err := s.replays(ctx, "id = ?", id)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("replay %.40q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return store.Replay{}, err
	}
	return out[0], nil
}

func (s *Store) replays(ctx context.Context, where string, args ...any) ([]store.Replay, error) {
	out, err := query(ctx, s.db, row.Replays, "SELECT "+row.Names(row.Replays)+" FROM replay WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading replays: %w", err)
	}
	return out, nil
}

// AdvanceReplay implements [store.Aftercare].
func (s *Store) AdvanceReplay(ctx context.Context, r store.Replay, from request.ID) (bool, error) {
	var n int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE replay SET after_job = ?, planned = ?, lost = ?, released = ?, planned_at = ? WHERE id = ? AND after_job = ? AND planned_at IS NULL`,
			string(r.After), r.Planned, r.Lost, r.Released, micros(r.PlannedAt), r.ID, string(from))
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("writing how far a replay of %s is: %w", r.Connector, err)
	}
	return n == 1, nil
}

// ReplayProgress implements [store.Aftercare].
func (s *Store) ReplayProgress(ctx context.Context, id string) (store.Progress, error) {
	out, err := query(ctx, s.db, row.ProgressColumns, `WITH part AS (
			SELECT state, result, attention, coalesce(json_extract(details, '$.redone'), 0) AS redone FROM request WHERE json_extract(details, '$.run') = ?1 AND json_extract(details, '$.run') IS NOT NULL
		) `+row.ProgressOfPart, id)
	if err != nil || len(out) != 1 {
		return store.Progress{}, fmt.Errorf("counting what became of a replay: %w", err)
	}
	return out[0], nil
}

// PutIncidents implements [store.Aftercare].
func (s *Store) PutIncidents(ctx context.Context, incidents []store.Incident) error {
	if err := s.tx(ctx, func(tx *sql.Tx) error { return putIncidents(ctx, tx, incidents) }); err != nil {
		return fmt.Errorf("opening incidents: %w", err)
	}
	return nil
}

func putIncidents(ctx context.Context, tx *sql.Tx, incidents []store.Incident) error {
	return anyNumber(ctx, tx, `INSERT INTO incident (id, kind, connector, store, request_id, parent_id, records, opened_at, by_whom, note)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '') ON CONFLICT DO NOTHING`, incidents, func(i store.Incident) []any {
		return []any{i.ID, string(i.Kind), i.Connector, row.CleanText(i.Store), string(i.RequestID), string(i.ParentID), i.Records, micros(i.OpenedAt)}
	})
}

// Incidents implements [store.Aftercare].
func (s *Store) Incidents(ctx context.Context, open bool, limit int) ([]store.Incident, error) {
	where := "true"
	if open {
		where = "closed_at IS NULL"
	}
	out, err := query(ctx, s.db, row.Incidents, "SELECT "+row.Names(row.Incidents)+" FROM incident WHERE "+where+" ORDER BY opened_at DESC, id DESC LIMIT ?", store.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("reading incidents: %w", err)
	}
	return out, nil
}

// CloseIncident implements [store.Aftercare].
func (s *Store) CloseIncident(ctx context.Context, id, by, note string, at time.Time) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE incident SET by_whom = CASE WHEN closed_at IS NULL THEN ? ELSE by_whom END,
			note = CASE WHEN closed_at IS NULL THEN ? ELSE note END, closed_at = coalesce(closed_at, ?) WHERE id = ?`, row.CleanText(by), row.CleanText(note), micros(at), id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return store.ErrNotFound
	})
	if err != nil {
		return fmt.Errorf("closing an incident: %w", err)
	}
	return nil
}

// Trouble implements [store.Aftercare].
func (s *Store) Trouble(ctx context.Context) ([]store.Trouble, error) {
	out, err := query(ctx, s.db, row.Troubles, row.TroubleQuery)
	if err != nil {
		return nil, fmt.Errorf("counting incidents: %w", err)
	}
	return out, nil
}
