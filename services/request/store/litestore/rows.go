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

// micros is how a time is kept: microseconds since 1970, so that two stores
// order and round alike; NULL for none.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// nullTime scans what micros wrote.
type nullTime struct{ t *time.Time }

// Scan implements [sql.Scanner].
func (n nullTime) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n.t = time.Time{}
	case int64:
		*n.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("scanning %T into a time", src)
	}
	return nil
}

func value[T any](c row.Column[T], r *T) any {
	switch p := c.Ptr(r).(type) {
	case *string:
		return row.CleanText(*p)
	case *int64:
		return *p
	case *time.Time:
		return micros(*p)
	case *[]byte:
		switch {
		case *p == nil, c.Type == row.JSON && len(*p) == 0:
			return nil
		case c.Type == row.JSON:
			return string(row.CleanJSON(*p))
		default:
			return *p
		}
	default:
		panic(fmt.Sprintf("column %s: unknown type %T", c.Name, p))
	}
}

func targets[T any](columns []row.Column[T], r *T) []any {
	out := make([]any, len(columns))
	for i, c := range columns {
		out[i] = c.Ptr(r)
		if t, ok := out[i].(*time.Time); ok {
			out[i] = nullTime{t}
		}
	}
	return out
}

// each runs a prepared statement once for each row. There is no network under
// SQLite: this is what a set-based statement is elsewhere.
func each[T any](ctx context.Context, tx *sql.Tx, query string, columns []row.Column[T], rows []*T) (err error) {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer stmt.Close()
	args := make([]any, len(columns))
	for _, r := range rows {
		for i, c := range columns {
			args[i] = value(c, r)
		}
		result, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("%d rows changed, want 1: %w", n, err)
		}
	}
	return nil
}

func insert[T any](ctx context.Context, tx *sql.Tx, table string, columns []row.Column[T], rows []*T) error {
	marks := strings.Repeat("?, ", len(columns)-1) + "?"
	return each(ctx, tx, "INSERT INTO "+table+" ("+row.Names(columns)+") VALUES ("+marks+")", columns, rows)
}

func update[T any](ctx context.Context, tx *sql.Tx, table string, columns []row.Column[T], rows []*T) error {
	written := row.Mutable(columns)
	set := make([]string, len(written))
	for i, c := range written {
		set[i] = c.Name + " = ?"
	}
	return each(ctx, tx, "UPDATE "+table+" SET "+strings.Join(set, ", ")+" WHERE id = ?", append(written, columns[0]), rows)
}

// querier is the database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query reads every row into a new T made of the columns.
func query[T any](ctx context.Context, q querier, columns []row.Column[T], text string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var r T
		if err := rows.Scan(targets(columns, &r)...); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func queryRequests(ctx context.Context, q querier, text string, args ...any) ([]store.Request, error) {
	rows, err := query(ctx, q, row.Requests, text, args...)
	if err != nil {
		return nil, err
	}
	out := make([]store.Request, len(rows))
	for i := range rows {
		if out[i], err = rows[i].Domain(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func queryJobs(ctx context.Context, q querier, ids []request.ID) (map[request.ID][]store.Job, error) {
	rows, err := query(ctx, q, row.Jobs, "SELECT "+row.Names(row.Jobs)+" FROM job WHERE request_id IN (SELECT value FROM json_each(?)) ORDER BY request_id, place", idList(ids))
	if err != nil {
		return nil, err
	}
	out := make(map[request.ID][]store.Job, len(ids))
	for i := range rows {
		d := rows[i].Domain()
		out[d.RequestID] = append(out[d.RequestID], d)
	}
	return out, nil
}

// idList is the argument of json_each for a set of ids.
func idList[S ~string](ids []S) string {
	if len(ids) == 0 {
		return "[]"
	}
	text, err := json.Marshal(ids)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(text)
}
