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

var _ store.Onwards = (*Store)(nil)

// loadOnward loads the recipients of the requests that have any.
func loadOnward(ctx context.Context, tx pgx.Tx, snaps []*store.Snapshot) error {
	ids := row.Onwarded(snaps)
	if len(ids) == 0 {
		return nil
	}
	rows, err := query(ctx, tx, row.Onwards, "SELECT "+row.Names(row.Onwards)+" FROM onward WHERE request_id = ANY($1) ORDER BY decided_at, id", ids)
	if err == nil {
		row.Spread(snaps, rows)
	}
	return err
}

func (s *Store) onward(ctx context.Context, where string, args ...any) ([]store.Onward, error) {
	rows, err := read(ctx, s, row.Onwards, "SELECT "+row.Names(row.Onwards)+" FROM onward WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading recipients to be told: %w", err)
	}
	return row.Map(rows, (*row.Onward).Domain), nil
}

// DueOnward implements [store.Onwards].
func (s *Store) DueOnward(ctx context.Context, now time.Time, limit int) ([]store.Onward, error) {
	return s.onward(ctx, "state IN ('waiting', 'told') AND next_at <= $1 ORDER BY next_at, id LIMIT $2", now, limit)
}

// OverdueOnward implements [store.Onwards].
func (s *Store) OverdueOnward(ctx context.Context, now time.Time, limit int) ([]store.Onward, error) {
	return s.onward(ctx, "state IN ('waiting', 'told') AND deadline <= $1 ORDER BY deadline, id LIMIT $2", now, limit)
}

// OnwardOf implements [store.Onwards].
func (s *Store) OnwardOf(ctx context.Context, id request.ID) ([]store.Onward, error) {
	return s.onward(ctx, "request_id = $1 ORDER BY decided_at, id", string(id))
}

// GetOnward implements [store.Onwards].
func (s *Store) GetOnward(ctx context.Context, id request.ID) (store.Onward, error) {
	all, err := s.onward(ctx, "id = $1", string(id))
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
	_, err := s.pool.Exec(ctx, `UPDATE onward SET tries = tries + 1, next_at = $1, failed = $2 WHERE id = $3 AND state IN ('waiting', 'told')`,
		orNull(again), code, string(id))
	if err != nil {
		return fmt.Errorf("putting off telling a recipient: %w", redact(err))
	}
	return nil
}

// OnwardStanding implements [store.Onwards].
func (s *Store) OnwardStanding(ctx context.Context, now time.Time) (store.OnwardStanding, error) {
	all, err := read(ctx, s, row.OnwardStandings, `SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'told') AS told,
		count(*) FILTER (WHERE state = 'waiting' AND failed <> '') AS unsent, count(*) FILTER (WHERE deadline <= $1) AS overdue
		FROM onward WHERE state IN ('waiting', 'told')`, now)
	if err != nil {
		return store.OnwardStanding{}, fmt.Errorf("counting recipients to be told: %w", err)
	}
	return all[0], nil
}

// OnwardCounts implements [store.Onwards].
func (s *Store) OnwardCounts(ctx context.Context, now, since time.Time) ([]store.OnwardCount, error) {
	open, err := read(ctx, s, row.OnwardCounts, `SELECT recipient, count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'told') AS told,
		count(*) FILTER (WHERE state = 'waiting' AND failed <> '') AS unsent, count(*) FILTER (WHERE deadline <= $1) AS overdue, 0 AS acknowledged
		FROM onward WHERE state IN ('waiting', 'told') GROUP BY recipient`, now)
	if err != nil {
		return nil, fmt.Errorf("counting recipients to be told: %w", err)
	}
	done, err := read(ctx, s, row.OnwardCounts, `SELECT recipient, 0 AS waiting, 0 AS told, 0 AS unsent, 0 AS overdue, count(*) AS acknowledged
		FROM onward WHERE state = 'acknowledged' AND acknowledged_at >= $1 GROUP BY recipient`, since)
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
		return fmt.Sprintf("$%d", len(args))
	}
	where := row.OnwardWhere(&f, arg, func(t time.Time) any { return t })
	rows, err := read(ctx, s, row.Onwards, "SELECT "+row.Names(row.Onwards)+" FROM onward"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("listing recipients to be told: %w", err)
	}
	return row.Map(rows, (*row.Onward).Domain), nil
}
