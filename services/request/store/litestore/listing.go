package litestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// unfinished are the jobs that have not ended well, as the index of them says.
const unfinished = "NOT IN ('done', 'no_match', 'retained', 'cancelled')"

// conditions collects what a statement asks for.
type conditions struct {
	clauses []string
	args    []any
}

func (c *conditions) add(clause string, args ...any) {
	c.clauses, c.args = append(c.clauses, clause), append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.clauses) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.clauses, " AND ")
}

// facets asks for what is tallied besides the state.
func (c *conditions) facets(f store.Filter) {
	if f.Right != "" {
		c.add("consumer_right = ?", string(f.Right))
	}
	if f.Channel != "" {
		c.add("channel = ?", string(f.Channel))
	}
	if f.Regime != "" {
		c.add("regime = ?", f.Regime)
	}
}

func (c *conditions) filter(f store.Filter) {
	c.facets(f)
	if f.State != "" {
		c.add("state = ?", string(f.State))
	}
	if f.OnlyOpen() {
		c.add("state <> 'closed'")
	}
	if f.Attention {
		c.add("attention <> ''")
	}
	if f.Assignee != "" {
		c.add("assignee = ? AND assignee <> ''", f.Assignee)
	}
	if f.Connector != "" {
		c.add("id IN (SELECT request_id FROM job WHERE connector = ? AND state "+unfinished+")", f.Connector)
	}
	if !f.DueAfter.IsZero() {
		c.add("respond_by > ?", micros(f.DueAfter))
	}
	if !f.DueUntil.IsZero() {
		c.add("respond_by <= ?", micros(f.DueUntil))
	}
	if len(f.Person) > 0 {
		c.add("id IN (SELECT request_id FROM person WHERE digest = ?)", f.Person)
	}
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, f store.Filter) ([]store.Request, error) {
	c := &conditions{}
	c.filter(f)
	column, by, compare := "created_at", "created_at DESC, id DESC", "<"
	switch f.Sort {
	case store.SortOldest:
		by, compare = "created_at, id", ">"
	case store.SortDue:
		column, by, compare = "respond_by", "respond_by, id", ">"
	}
	if f.Before.ID != "" {
		c.add("("+column+", id) "+compare+" (?, ?)", micros(f.Before.CreatedAt), string(f.Before.ID))
	}
	requests, err := queryRequests(ctx, s.db, "SELECT "+row.Names(row.Requests)+" FROM request"+c.where()+" ORDER BY "+by+" LIMIT ?", append(c.args, store.PageSize(f.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", err)
	}
	return requests, nil
}

// one is a number that a statement gives.
type one struct{ n int64 }

var oneColumn = []row.Column[one]{{Name: "n", Ptr: func(o *one) any { return &o.n }}}

// Matches implements [store.Desk].
func (s *Store) Matches(ctx context.Context, f store.Filter) (int64, error) {
	c := &conditions{}
	c.filter(f)
	rows, err := query(ctx, s.db, oneColumn, "SELECT count(*) FROM (SELECT 1 FROM request"+c.where()+" LIMIT ?)", append(c.args, store.CountMost)...)
	if err != nil || len(rows) != 1 {
		return 0, fmt.Errorf("counting requests: %w", err)
	}
	return rows[0].n, nil
}

// Counts implements [store.Store].
func (s *Store) Counts(ctx context.Context) (map[request.State]int64, error) {
	return s.Tallied(ctx, store.Filter{})
}

// Tallied implements [store.Desk].
func (s *Store) Tallied(ctx context.Context, f store.Filter) (map[request.State]int64, error) {
	type count struct {
		state string
		n     int64
	}
	c := &conditions{}
	c.facets(f)
	if f.Attention {
		c.add("attention = 1")
	}
	rows, err := query(ctx, s.db, []row.Column[count]{
		{Name: "state", Ptr: func(c *count) any { return &c.state }},
		{Name: "n", Ptr: func(c *count) any { return &c.n }},
	}, "SELECT state, sum(n) FROM request_tally"+c.where()+" GROUP BY state HAVING sum(n) <> 0", c.args...)
	if err != nil {
		return nil, fmt.Errorf("counting requests: %w", err)
	}
	counts := make(map[request.State]int64, len(rows))
	for _, r := range rows {
		counts[request.State(r.state)] = r.n
	}
	return counts, nil
}

// Tidy implements [store.Desk]: the counts of SQLite's one writer are together.
func (s *Store) Tidy(context.Context) error { return nil }

// Pace implements [store.Desk].
func (s *Store) Pace(ctx context.Context, since time.Time) ([]store.Pace, error) {
	names, err := query(ctx, s.db, []row.Column[string]{{Name: "name", Ptr: func(n *string) any { return n }}}, `SELECT name FROM connector ORDER BY name`)
	var out []store.Pace
	for _, name := range names {
		var rows []store.Pace
		rows, err = query(ctx, s.db, []row.Column[store.Pace]{
			{Name: "answered", Ptr: func(p *store.Pace) any { return &p.Answered }},
			{Name: "first", Type: row.Time, Ptr: func(p *store.Pace) any { return &p.First }},
		}, `SELECT count(*), min(updated_at) FROM (SELECT updated_at FROM job
			WHERE connector = ? AND state IN ('done', 'no_match', 'retained', 'partial', 'needs_identifier', 'not_supported')
			AND updated_at >= ? ORDER BY updated_at DESC LIMIT ?)`, name, micros(since), store.PaceMost)
		if err != nil {
			break
		}
		if len(rows) == 1 && rows[0].Answered > 0 {
			rows[0].Connector = name
			out = append(out, rows[0])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading how fast connectors answer: %w", err)
	}
	return out, nil
}

// AtRisk implements [store.Desk].
func (s *Store) AtRisk(ctx context.Context, free map[string]time.Time) (map[string]int64, error) {
	type count struct {
		name string
		n    int64
	}
	by := make(map[string]int64, len(free))
	for name, t := range free {
		by[name] = t.UnixMicro()
	}
	text, err := json.Marshal(by)
	if err != nil {
		return nil, fmt.Errorf("counting requests at risk: %w", err)
	}
	rows, err := query(ctx, s.db, []row.Column[count]{
		{Name: "name", Ptr: func(c *count) any { return &c.name }},
		{Name: "n", Ptr: func(c *count) any { return &c.n }},
	}, `SELECT c.key, count(DISTINCT r.id) FROM json_each(?) c JOIN job j ON j.connector = c.key AND j.state `+unfinished+` AND j.state IN ('planned', 'sent', 'deferred')
		JOIN request r ON r.id = j.request_id AND r.state <> 'closed' AND r.respond_by < c.value GROUP BY c.key`, string(text))
	if err != nil {
		return nil, fmt.Errorf("counting requests at risk: %w", err)
	}
	out := make(map[string]int64, len(rows))
	for _, c := range rows {
		out[c.name] = c.n
	}
	return out, nil
}

// SavedFilters implements [store.Desk].
func (s *Store) SavedFilters(ctx context.Context, who string) ([]store.SavedFilter, error) {
	out, err := query(ctx, s.db, []row.Column[store.SavedFilter]{
		{Name: "who", Ptr: func(f *store.SavedFilter) any { return &f.Who }},
		{Name: "name", Ptr: func(f *store.SavedFilter) any { return &f.Name }},
		{Name: "query", Ptr: func(f *store.SavedFilter) any { return &f.Query }},
	}, `SELECT who, name, query FROM saved_filter WHERE who = ? ORDER BY name`, who)
	if err != nil {
		return nil, fmt.Errorf("reading saved filters: %w", err)
	}
	return out, nil
}

// SaveFilter implements [store.Desk].
func (s *Store) SaveFilter(ctx context.Context, f store.SavedFilter) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO saved_filter (who, name, query) VALUES (?, ?, ?) ON CONFLICT (who, name) DO UPDATE SET query = excluded.query`,
			f.Who, row.CleanText(f.Name), row.CleanText(f.Query)); err != nil {
			return err
		}
		rows, err := query(ctx, tx, oneColumn, `SELECT count(*) FROM saved_filter WHERE who = ?`, f.Who)
		if err == nil && rows[0].n > store.SavedMost {
			return store.ErrFull
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("saving a filter: %w", err)
	}
	return nil
}

// DropFilter implements [store.Desk].
func (s *Store) DropFilter(ctx context.Context, who, name string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM saved_filter WHERE who = ? AND name = ?`, who, row.CleanText(name))
		return err
	})
	if err != nil {
		return fmt.Errorf("forgetting a filter: %w", err)
	}
	return nil
}
