package litestore

import (
	"context"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Standing implements [store.Desk].
func (s *Store) Standing(ctx context.Context, now, soon time.Time) (store.Standing, error) {
	type count struct {
		state                    string
		n, late, near, attention int64
	}
	rows, err := query(ctx, s.db, []row.Column[count]{
		{Name: "state", Ptr: func(c *count) any { return &c.state }},
		{Name: "n", Ptr: func(c *count) any { return &c.n }},
		{Name: "late", Ptr: func(c *count) any { return &c.late }},
		{Name: "near", Ptr: func(c *count) any { return &c.near }},
		{Name: "attention", Ptr: func(c *count) any { return &c.attention }},
	}, `SELECT state, count(*), count(*) FILTER (WHERE respond_by <= ?1),
		count(*) FILTER (WHERE respond_by > ?1 AND respond_by <= ?2), count(*) FILTER (WHERE attention <> '')
		FROM request WHERE state <> 'closed' GROUP BY state`, micros(now), micros(soon))
	if err != nil {
		return store.Standing{}, fmt.Errorf("counting open requests: %w", err)
	}
	out := store.Standing{Open: make(map[request.State]int64, len(rows))}
	for _, c := range rows {
		out.Open[request.State(c.state)] = c.n
		out.Late, out.Soon, out.Attention = out.Late+c.late, out.Soon+c.near, out.Attention+c.attention
	}
	return out, nil
}

// Pressing implements [store.Desk].
func (s *Store) Pressing(ctx context.Context, limit int) ([]store.Request, error) {
	requests, err := queryRequests(ctx, s.db, "SELECT "+row.Names(row.Requests)+
		" FROM request WHERE state <> 'closed' ORDER BY respond_by, id LIMIT ?", store.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("listing requests by deadline: %w", err)
	}
	return requests, nil
}

// Days implements [store.Desk].
func (s *Store) Days(ctx context.Context, since time.Time) ([]store.Day, error) {
	out, err := query(ctx, s.db, []row.Column[store.Day]{
		{Name: "day", Type: row.Time, Ptr: func(d *store.Day) any { return &d.Day }},
		{Name: "arrived", Ptr: func(d *store.Day) any { return &d.Arrived }},
		{Name: "closed", Ptr: func(d *store.Day) any { return &d.Closed }},
	}, `SELECT day * 86400000000, sum(arrived), sum(closed) FROM (
			SELECT created_at / 86400000000 AS day, count(*) AS arrived, 0 AS closed FROM request WHERE created_at >= ?1 GROUP BY 1
			UNION ALL SELECT closed_at / 86400000000, 0, count(*) FROM request WHERE closed_at >= ?1 GROUP BY 1
		) GROUP BY day ORDER BY day`, micros(since))
	if err != nil {
		return nil, fmt.Errorf("counting requests by day: %w", err)
	}
	return out, nil
}

// Stuck implements [store.Desk].
func (s *Store) Stuck(ctx context.Context) ([]store.Stuck, error) {
	out, err := query(ctx, s.db, []row.Column[store.Stuck]{
		{Name: "connector", Ptr: func(v *store.Stuck) any { return &v.Connector }},
		{Name: "state", Ptr: func(v *store.Stuck) any { return (*string)(&v.State) }},
		{Name: "code", Ptr: func(v *store.Stuck) any { return &v.Code }},
		{Name: "jobs", Ptr: func(v *store.Stuck) any { return &v.Jobs }},
		{Name: "oldest", Type: row.Time, Ptr: func(v *store.Stuck) any { return &v.Oldest }},
	}, `SELECT j.connector, j.state, j.code, count(*), min(j.updated_at)
		FROM request r JOIN job j ON j.request_id = r.id
		WHERE r.state <> 'closed' AND j.state NOT IN ('done', 'no_match', 'retained', 'cancelled')
		GROUP BY j.connector, j.state, j.code ORDER BY j.connector, j.state, j.code`)
	if err != nil {
		return nil, fmt.Errorf("counting stuck jobs: %w", err)
	}
	return out, nil
}
