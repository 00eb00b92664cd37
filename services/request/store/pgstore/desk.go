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

// Standing implements [store.Desk].
func (s *Store) Standing(ctx context.Context, now, soon time.Time) (store.Standing, error) {
	out := store.Standing{Open: make(map[request.State]int64)}
	var state string
	var n, late, near, attention int64
	rows, err := s.pool.Query(ctx, `SELECT state, count(*), count(*) FILTER (WHERE respond_by <= $1),
		count(*) FILTER (WHERE respond_by > $1 AND respond_by <= $2), count(*) FILTER (WHERE attention <> '')
		FROM request WHERE state <> 'closed' GROUP BY state`, now, soon)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&state, &n, &late, &near, &attention}, func() error {
			out.Open[request.State(state)] = n
			out.Late, out.Soon, out.Attention = out.Late+late, out.Soon+near, out.Attention+attention
			return nil
		})
	}
	if err != nil {
		return store.Standing{}, fmt.Errorf("counting open requests: %w", redact(err))
	}
	return out, nil
}

// Pressing implements [store.Desk].
func (s *Store) Pressing(ctx context.Context, limit int) ([]store.Request, error) {
	requests, err := queryRequests(ctx, s.pool, "SELECT "+row.Names(row.Requests)+
		" FROM request WHERE state <> 'closed' ORDER BY respond_by, id LIMIT $1", store.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("listing requests by deadline: %w", redact(err))
	}
	return requests, nil
}

// Days implements [store.Desk].
func (s *Store) Days(ctx context.Context, since time.Time) ([]store.Day, error) {
	var out []store.Day
	var d store.Day
	var taken, spare int64
	rows, err := s.pool.Query(ctx, `SELECT day, sum(arrived)::bigint, sum(closed)::bigint, sum(late)::bigint, sum(taken)::bigint, sum(spare)::bigint
		FROM request_day WHERE day >= $1 GROUP BY day HAVING sum(arrived) <> 0 OR sum(closed) <> 0 ORDER BY day`, since)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&d.Day, &d.Arrived, &d.Closed, &d.Late, &taken, &spare}, func() error {
			d.Day, d.Taken, d.Spare = d.Day.UTC(), time.Duration(taken)*time.Second, time.Duration(spare)*time.Second
			out = append(out, d)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("counting requests by day: %w", redact(err))
	}
	return out, nil
}

// Stuck implements [store.Desk].
func (s *Store) Stuck(ctx context.Context) ([]store.Stuck, error) {
	rows, err := s.pool.Query(ctx, `SELECT j.connector, j.state, j.code, count(*), min(j.updated_at)
		FROM request r JOIN job j ON j.request_id = r.id
		WHERE r.state <> 'closed' AND j.state NOT IN ('done', 'no_match', 'retained', 'cancelled')
		GROUP BY j.connector, j.state, j.code ORDER BY j.connector, j.state, j.code`)
	if err != nil {
		return nil, fmt.Errorf("counting stuck jobs: %w", redact(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Stuck])
	if err != nil {
		return nil, fmt.Errorf("counting stuck jobs: %w", redact(err))
	}
	return out, nil
}
