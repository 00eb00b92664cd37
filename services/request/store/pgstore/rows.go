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

// stamp is how a time is kept: as it is.
func stamp(t time.Time) any { return t }

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
			values[k] = row.Value(c, rows[i], stamp)
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
			list[k] = row.Value(c, r, stamp)
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

// query reads every row into a new T made of the columns.
func query[T any](ctx context.Context, q querier, columns []row.Column[T], text string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return row.Scan(rows, columns)
}

// read is query outside of a transaction, whose errors quote no row.
func read[T any](ctx context.Context, s *Store, columns []row.Column[T], text string, args ...any) ([]T, error) {
	out, err := query(ctx, s.pool, columns, text, args...)
	return out, redact(err)
}

func queryRequests(ctx context.Context, q querier, text string, args ...any) ([]store.Request, error) {
	rows, err := query(ctx, q, row.Requests, text, args...)
	if err != nil {
		return nil, err
	}
	return row.TryMap(rows, (*row.Request).Domain)
}

func queryJobs(ctx context.Context, q querier, requests []string) (map[request.ID][]store.Job, error) {
	rows, err := query(ctx, q, row.Jobs, "SELECT "+row.Names(row.Jobs)+" FROM job WHERE request_id = ANY($1) ORDER BY request_id, place", requests)
	if err != nil {
		return nil, err
	}
	return row.JobsByRequest(rows), nil
}
