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
	type day struct {
		store.Day
		taken, spare int64
	}
	rows, err := query(ctx, s.db, []row.Column[day]{
		{Name: "day", Type: row.Time, Ptr: func(d *day) any { return &d.Day.Day }},
		{Name: "arrived", Ptr: func(d *day) any { return &d.Arrived }},
		{Name: "closed", Ptr: func(d *day) any { return &d.Closed }},
		{Name: "late", Ptr: func(d *day) any { return &d.Late }},
		{Name: "taken", Ptr: func(d *day) any { return &d.taken }},
		{Name: "spare", Ptr: func(d *day) any { return &d.spare }},
	}, `SELECT day * 86400000000, arrived, closed, late, taken, spare FROM request_day
		WHERE day >= ? / 86400000000 AND (arrived <> 0 OR closed <> 0) ORDER BY day`, micros(since))
	if err != nil {
		return nil, fmt.Errorf("counting requests by day: %w", err)
	}
	out := make([]store.Day, len(rows))
	for i, d := range rows {
		out[i] = d.Day
		out[i].Taken, out[i].Spare = time.Duration(d.taken)*time.Second, time.Duration(d.spare)*time.Second
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
