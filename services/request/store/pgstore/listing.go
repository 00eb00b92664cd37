package pgstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// unfinished are the jobs that have not ended well, as the index of them says.
const unfinished = "NOT IN ('done', 'no_match', 'retained', 'cancelled')"

// statement is a query in the making.
type statement struct{ args []any }

func (q *statement) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

// facets are the conditions on what is tallied, for table t.
func (q *statement) facets(t string, f store.Filter) []string {
	var out []string
	if f.State != "" {
		out = append(out, t+".state = "+q.arg(string(f.State)))
	}
	if f.Right != "" {
		out = append(out, t+".consumer_right = "+q.arg(string(f.Right)))
	}
	if f.Channel != "" {
		out = append(out, t+".channel = "+q.arg(string(f.Channel)))
	}
	if f.Regime != "" {
		out = append(out, t+".regime = "+q.arg(f.Regime))
	}
	if f.OnlyOpen() {
		out = append(out, t+".state <> 'closed'")
	}
	return out
}

// narrow are the conditions on what is not tallied, for the request r.
func (q *statement) narrow(f store.Filter, few bool) []string {
	var out []string
	if f.Attention {
		out = append(out, "r.attention <> ''")
	}
	if f.Assignee != "" {
		out = append(out, "r.assignee = "+q.arg(f.Assignee), "r.assignee <> ''")
	}
	switch {
	case f.Connector != "" && few:
		out = append(out, "r.id = ANY(ARRAY(SELECT j.request_id FROM job j WHERE j.connector = "+q.arg(f.Connector)+" AND j.state "+unfinished+"))")
	case f.Connector != "":
		out = append(out, "EXISTS (SELECT FROM job j WHERE j.request_id = r.id AND j.connector = "+q.arg(f.Connector)+" AND j.state "+unfinished+")")
	}
	if !f.DueAfter.IsZero() {
		out = append(out, "r.respond_by > "+q.arg(f.DueAfter))
	}
	if !f.DueUntil.IsZero() {
		out = append(out, "r.respond_by <= "+q.arg(f.DueUntil))
	}
	if len(f.Person) > 0 {
		out = append(out, "r.id = ANY(ARRAY(SELECT request_id FROM person WHERE digest = "+q.arg(f.Person)+"))")
	}
	return out
}

// order is the column of a listing's order, its direction, and the condition
// that leaves what comes after the previous page.
func (q *statement) order(f store.Filter) (column, by string, after []string) {
	column, by = "created_at", "%[1]s.created_at DESC, %[1]s.id DESC"
	compare := "<"
	switch f.Sort {
	case store.SortOldest:
		by, compare = "%[1]s.created_at, %[1]s.id", ">"
	case store.SortDue:
		column, by, compare = "respond_by", "%[1]s.respond_by, %[1]s.id", ">"
	}
	if f.Before.ID != "" {
		after = []string{"(r." + column + ", r.id) " + compare + " (" + q.arg(f.Before.CreatedAt) + ", " + q.arg(string(f.Before.ID)) + ")"}
	}
	return column, by, after
}

func where(conditions ...[]string) string {
	all := []string{"true"}
	for _, c := range conditions {
		all = append(all, c...)
	}
	return " WHERE " + strings.Join(all, " AND ")
}

// listing says which rows are on a page: their ids, in a table k with the column
// of the order. By state, right, channel and regime it asks the tally which
// combinations there are, takes a page of each from the index that has all four,
// and the first of these. However few requests match, and wherever they are, no
// others are read. Other conditions have indexes of their own.
//
// few says that few jobs wait for the filter's connector: then they lead to the
// requests. Otherwise, walking along the open requests meets some soon.
func (q *statement) listing(f store.Filter, few bool) (text, by string) {
	column, by, after := q.order(f)
	limit := q.arg(store.PageSize(f.Limit))
	page := " ORDER BY " + fmt.Sprintf(by, "r") + " LIMIT " + limit
	faceted := f.State != "" || f.Right != "" || f.Channel != "" || f.Regime != "" || f.OnlyOpen() && f.Sort != store.SortDue
	if !faceted || few || f.Attention || f.Assignee != "" || len(f.Person) > 0 {
		return "SELECT r.id, r." + column + " FROM request r" + where(q.facets("r", f), q.narrow(f, few), after) + page, by
	}
	matches := []string{"r.state = t.state", "r.consumer_right = t.consumer_right", "r.channel = t.channel", "r.regime = t.regime"}
	if f.OnlyOpen() {
		matches = append(matches, "r.state <> 'closed'")
	}
	return "SELECT each.id, each." + column + " FROM (SELECT DISTINCT t.state, t.consumer_right, t.channel, t.regime FROM request_tally t" + where(q.facets("t", f)) +
		") t CROSS JOIN LATERAL (SELECT r.id, r." + column + " FROM request r" + where(matches, q.narrow(f, false), after) + page + ") each" +
		" ORDER BY " + fmt.Sprintf(by, "each") + " LIMIT " + limit, by
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, f store.Filter) ([]store.Request, error) {
	few, err := s.fewWaitFor(ctx, f.Connector)
	if err != nil {
		return nil, err
	}
	q := &statement{}
	listing, by := q.listing(f, few)
	names := make([]string, len(row.Requests))
	for i, c := range row.Requests {
		names[i] = "r." + c.Name
	}
	requests, err := queryRequests(ctx, s.pool, "WITH k AS MATERIALIZED ("+listing+") SELECT "+joinNames(names)+
		" FROM k JOIN request r ON r.id = k.id ORDER BY "+fmt.Sprintf(by, "r"), q.args...)
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", redact(err))
	}
	return requests, nil
}

// fewJobs is up to how many jobs that wait for a connector lead to its requests.
const fewJobs = 2000

func (s *Store) fewWaitFor(ctx context.Context, connector string) (bool, error) {
	if connector == "" {
		return false, nil
	}
	var n int
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM (SELECT FROM job WHERE connector = $1 AND state "+unfinished+" LIMIT $2) AS found", connector, fewJobs).Scan(&n); err != nil {
		return false, fmt.Errorf("counting the jobs of a connector: %w", redact(err))
	}
	return n < fewJobs, nil
}

// Matches implements [store.Desk].
func (s *Store) Matches(ctx context.Context, f store.Filter) (n int64, err error) {
	if !f.Narrow() {
		by, err := s.Tallied(ctx, f)
		for state, each := range by {
			if (f.State == "" || f.State == state) && (state != request.Closed || !f.OnlyOpen()) {
				n += each
			}
		}
		return min(n, store.CountMost), err
	}
	q := &statement{}
	text := "SELECT count(*) FROM (SELECT FROM request r" + where(q.facets("r", f), q.narrow(f, false)) + " LIMIT " + q.arg(store.CountMost) + ") AS found"
	if name := f.Connector; name != "" {
		// Along the jobs that wait for it, in the order of their requests: the
		// count ends where it is enough.
		f.Connector, q = "", &statement{}
		text = "SELECT count(*) FROM (SELECT DISTINCT j.request_id FROM job j JOIN request r ON r.id = j.request_id" +
			where([]string{"j.connector = " + q.arg(name), "j.state " + unfinished, "r.state <> 'closed'"}, q.facets("r", f), q.narrow(f, false)) + " LIMIT " + q.arg(store.CountMost) + ") AS found"
	}
	if err := s.pool.QueryRow(ctx, text, q.args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting requests: %w", redact(err))
	}
	return n, nil
}

// Counts implements [store.Store].
func (s *Store) Counts(ctx context.Context) (map[request.State]int64, error) {
	return s.Tallied(ctx, store.Filter{})
}

// Tallied implements [store.Desk].
func (s *Store) Tallied(ctx context.Context, f store.Filter) (map[request.State]int64, error) {
	q := &statement{}
	conditions := q.facets("t", store.Filter{Right: f.Right, Channel: f.Channel, Regime: f.Regime})
	if f.Attention {
		conditions = append(conditions, "t.attention = 1")
	}
	counts := make(map[request.State]int64)
	var state string
	var n int64
	rows, err := s.pool.Query(ctx, "SELECT t.state, sum(t.n)::bigint FROM request_tally t"+where(conditions)+" GROUP BY t.state HAVING sum(t.n) <> 0", q.args...)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
			counts[request.State(state)] = n
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("counting requests: %w", redact(err))
	}
	return counts, nil
}

// tidyMost bounds one [Store.Tidy].
const tidyMost = 50_000

// Tidy implements [store.Desk]. Rows that somebody else puts together are left
// to them.
func (s *Store) Tidy(ctx context.Context) error {
	for _, t := range []struct{ table, alike, sums, any string }{
		{"request_tally", "state, consumer_right, channel, regime, attention", "sum(n)", "sum(n) <> 0"},
		{"request_day", "day", "sum(arrived), sum(closed), sum(late), sum(taken), sum(spare)", "sum(arrived) <> 0 OR sum(closed) <> 0"},
	} {
		_, err := s.pool.Exec(ctx, "WITH gone AS (DELETE FROM "+t.table+" WHERE ctid = ANY(ARRAY(SELECT ctid FROM "+t.table+" LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING *)"+
			" INSERT INTO "+t.table+" SELECT "+t.alike+", "+t.sums+" FROM gone GROUP BY "+t.alike+" HAVING "+t.any, tidyMost)
		if err != nil {
			return fmt.Errorf("putting counts together: %w", redact(err))
		}
	}
	return nil
}

// Pace implements [store.Desk].
func (s *Store) Pace(ctx context.Context, since time.Time) ([]store.Pace, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.name, count(*), min(e.updated_at) FROM connector c CROSS JOIN LATERAL (
			SELECT updated_at FROM job WHERE connector = c.name AND state IN ('done', 'no_match', 'retained', 'partial', 'needs_identifier', 'not_supported')
			AND updated_at >= $1 ORDER BY updated_at DESC LIMIT $2
		) e GROUP BY c.name ORDER BY c.name`, since, store.PaceMost)
	if err != nil {
		return nil, fmt.Errorf("reading how fast connectors answer: %w", redact(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Pace])
	if err != nil {
		return nil, fmt.Errorf("reading how fast connectors answer: %w", redact(err))
	}
	for i := range out {
		out[i].First = out[i].First.UTC()
	}
	return out, nil
}

// AtRisk implements [store.Desk].
func (s *Store) AtRisk(ctx context.Context, free map[string]time.Time) (map[string]int64, error) {
	names, times := make([]string, 0, len(free)), make([]time.Time, 0, len(free))
	for name, t := range free {
		names, times = append(names, name), append(times, t)
	}
	out := make(map[string]int64)
	var name string
	var n int64
	rows, err := s.pool.Query(ctx, `SELECT c.name, count(DISTINCT r.id) FROM unnest($1::text[], $2::timestamptz[]) AS c (name, free)
		JOIN request r ON r.state <> 'closed' AND r.respond_by < c.free
		JOIN job j ON j.request_id = r.id AND j.connector = c.name AND j.state IN ('planned', 'sent', 'deferred')
		GROUP BY c.name`, names, times)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
			out[name] = n
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("counting requests at risk: %w", redact(err))
	}
	return out, nil
}

// SavedFilters implements [store.Desk].
func (s *Store) SavedFilters(ctx context.Context, who string) ([]store.SavedFilter, error) {
	rows, err := s.pool.Query(ctx, `SELECT who, name, query FROM saved_filter WHERE who = $1 ORDER BY name`, who)
	if err != nil {
		return nil, fmt.Errorf("reading saved filters: %w", redact(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.SavedFilter])
	if err != nil {
		return nil, fmt.Errorf("reading saved filters: %w", redact(err))
	}
	return out, nil
}

// SaveFilter implements [store.Desk].
func (s *Store) SaveFilter(ctx context.Context, f store.SavedFilter) error {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO saved_filter (who, name, query) VALUES ($1, $2, $3) ON CONFLICT (who, name) DO UPDATE SET query = excluded.query`,
			f.Who, row.CleanText(f.Name), row.CleanText(f.Query)); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM saved_filter WHERE who = $1`, f.Who).Scan(&n); err != nil {
			return err
		}
		if n > store.SavedMost {
			return store.ErrFull
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("saving a filter: %w", err)
	}
	return nil
}

// DropFilter implements [store.Desk].
func (s *Store) DropFilter(ctx context.Context, who, name string) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM saved_filter WHERE who = $1 AND name = $2`, who, row.CleanText(name)); err != nil {
		return fmt.Errorf("forgetting a filter: %w", redact(err))
	}
	return nil
}
