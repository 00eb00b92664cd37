package pgstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var pgTypes = map[row.Type]string{row.Text: "text", row.Int: "bigint", row.Bytes: "bytea", row.JSON: "jsonb", row.Time: "timestamptz"}

// value is what is sent for one column of one row.
func value[T any](c row.Column[T], r *T) any {
	switch p := c.Ptr(r).(type) {
	case *string:
		return row.CleanText(*p)
	case *int64:
		return *p
	case *time.Time:
		return orNull(*p)
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

// nullTime scans a timestamp that may be NULL.
type nullTime struct{ t *time.Time }

// Scan implements [sql.Scanner].
func (n nullTime) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n.t = time.Time{}
	case time.Time:
		*n.t = v.UTC()
	default:
		return fmt.Errorf("scanning %T into a time", src)
	}
	return nil
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

// insert copies rows into a table.
func insert[T any](ctx context.Context, tx pgx.Tx, table string, columns []row.Column[T], rows []*T) error {
	if len(rows) == 0 {
		return nil
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, names, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		values := make([]any, len(columns))
		for k, c := range columns {
			values[k] = value(c, rows[i])
		}
		return values, nil
	}))
	return err
}

// update writes the mutable columns of rows in one statement, by id.
func update[T any](ctx context.Context, tx pgx.Tx, table string, columns []row.Column[T], rows []*T) error {
	if len(rows) == 0 {
		return nil
	}
	written := append([]row.Column[T]{columns[0]}, row.Mutable(columns)...)
	set, arrays, names := make([]string, 0, len(written)), make([]string, len(written)), make([]string, len(written))
	args := make([]any, len(written))
	for i, c := range written {
		if i > 0 {
			set = append(set, c.Name+" = n."+c.Name)
		}
		arrays[i], names[i] = "$"+strconv.Itoa(i+1)+"::"+pgTypes[c.Type]+"[]", c.Name
		list := make([]any, len(rows))
		for k, r := range rows {
			list[k] = value(c, r)
		}
		args[i] = list
	}
	tag, err := tx.Exec(ctx, "UPDATE "+table+" AS t SET "+joinNames(set)+" FROM unnest("+joinNames(arrays)+") AS n ("+joinNames(names)+") WHERE t.id = n.id", args...)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != int64(len(rows)) {
		return fmt.Errorf("updating %s: %d rows changed, want %d", table, tag.RowsAffected(), len(rows))
	}
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func queryRequests(ctx context.Context, q querier, query string, args ...any) ([]store.Request, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []store.Request
	for rows.Next() {
		var r row.Request
		if err := rows.Scan(targets(row.Requests, &r)...); err != nil {
			return nil, err
		}
		d, err := r.Domain()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

func queryJobs(ctx context.Context, q querier, requests []string) (map[request.ID][]store.Job, error) {
	rows, err := q.Query(ctx, "SELECT "+row.Names(row.Jobs)+" FROM job WHERE request_id = ANY($1) ORDER BY request_id, place", requests)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[request.ID][]store.Job, len(requests))
	for rows.Next() {
		var j row.Job
		if err := rows.Scan(targets(row.Jobs, &j)...); err != nil {
			return nil, err
		}
		d := j.Domain()
		out[d.RequestID] = append(out[d.RequestID], d)
	}
	return out, rows.Err()
}
