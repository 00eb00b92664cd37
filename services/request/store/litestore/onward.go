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

var _ store.Onwards = (*Store)(nil)

// loadOnward loads the recipients of the requests that have any.
func loadOnward(ctx context.Context, tx *sql.Tx, snaps []*store.Snapshot) error {
	ids := row.Onwarded(snaps)
	if len(ids) == 0 {
		return nil
	}
	rows, err := query(ctx, tx, row.Onwards, "SELECT "+row.Names(row.Onwards)+" FROM onward WHERE request_id IN (SELECT value FROM json_each(?)) ORDER BY decided_at, id", idList(ids))
	if err == nil {
		row.Spread(snaps, rows)
	}
	return err
}

func (s *Store) onward(ctx context.Context, where string, args ...any) ([]store.Onward, error) {
	rows, err := query(ctx, s.db, row.Onwards, "SELECT "+row.Names(row.Onwards)+" FROM onward WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading recipients to be told: %w", err)
	}
	return row.Map(rows, (*row.Onward).Domain), nil
}

// DueOnward implements [store.Onwards].
func (s *Store) DueOnward(ctx context.Context, now time.Time, limit int) ([]store.Onward, error) {
	return s.onward(ctx, "state IN ('waiting', 'told') AND next_at <= ? ORDER BY next_at, id LIMIT ?", micros(now), limit)
}

// OverdueOnward implements [store.Onwards].
func (s *Store) OverdueOnward(ctx context.Context, now time.Time, limit int) ([]store.Onward, error) {
	return s.onward(ctx, "state IN ('waiting', 'told') AND deadline <= ? ORDER BY deadline, id LIMIT ?", micros(now), limit)
}

// OnwardOf implements [store.Onwards].
func (s *Store) OnwardOf(ctx context.Context, id request.ID) ([]store.Onward, error) {
	return s.onward(ctx, "request_id = ? ORDER BY decided_at, id", string(id))
}

// GetOnward implements [store.Onwards].
func (s *Store) GetOnward(ctx context.Context, id request.ID) (store.Onward, error) {
	all, err := s.onward(ctx, "id = ?", string(id))
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("reading recipient notice %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return store.Onward{}, err
	}
	return all[0], nil
}

// PutOffOnward implements [store.Onwards].
func (s *Store) PutOffOnward(ctx context.Context, id request.ID, again time.Time, code string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE onward SET tries = tries + 1, next_at = ?, failed = ? WHERE id = ? AND state IN ('waiting', 'told')`,
		micros(again), code, string(id))
	if err != nil {
		return fmt.Errorf("putting off telling a recipient: %w", err)
	}
	return nil
}

// OnwardStanding implements [store.Onwards].
func (s *Store) OnwardStanding(ctx context.Context, now time.Time) (store.OnwardStanding, error) {
	all, err := query(ctx, s.db, row.OnwardStandings, `SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'told') AS told,
		count(*) FILTER (WHERE state = 'waiting' AND failed <> '') AS unsent, count(*) FILTER (WHERE deadline <= ?) AS overdue
		FROM onward WHERE state IN ('waiting', 'told')`, micros(now))
	if err != nil {
		return store.OnwardStanding{}, fmt.Errorf("counting recipients to be told: %w", err)
	}
	return all[0], nil
}

// OnwardCounts implements [store.Onwards].
func (s *Store) OnwardCounts(ctx context.Context, now, since time.Time) ([]store.OnwardCount, error) {
	open, err := query(ctx, s.db, row.OnwardCounts, `SELECT recipient, count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'told') AS told,
		count(*) FILTER (WHERE state = 'waiting' AND failed <> '') AS unsent, count(*) FILTER (WHERE deadline <= ?) AS overdue, 0 AS acknowledged
		FROM onward WHERE state IN ('waiting', 'told') GROUP BY recipient`, micros(now))
	if err != nil {
		return nil, fmt.Errorf("counting recipients to be told: %w", err)
	}
	done, err := query(ctx, s.db, row.OnwardCounts, `SELECT recipient, 0 AS waiting, 0 AS told, 0 AS unsent, 0 AS overdue, count(*) AS acknowledged
		FROM onward WHERE state = 'acknowledged' AND acknowledged_at >= ? GROUP BY recipient`, micros(since))
	if err != nil {
		return nil, fmt.Errorf("counting recipients that acknowledged: %w", err)
	}
	return row.MergeOnwardCounts(open, done), nil
}

// ListOnward implements [store.Onwards].
func (s *Store) ListOnward(ctx context.Context, f store.OnwardFilter) ([]store.Onward, error) {
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "?"
	}
	where := row.OnwardWhere(&f, arg, func(t time.Time) any { return micros(t) })
	rows, err := query(ctx, s.db, row.Onwards, "SELECT "+row.Names(row.Onwards)+" FROM onward"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("listing recipients to be told: %w", err)
	}
	return row.Map(rows, (*row.Onward).Domain), nil
}
