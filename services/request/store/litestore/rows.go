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
			args[i] = row.Value(c, r, micros)
		}
		result, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%d rows changed, want 1", n)
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
	rows, err := q.QueryContext(ctx, text, args...) //nolint:rowserrcheck // row.Scan does
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return row.Scan(rows, columns)
}

func queryRequests(ctx context.Context, q querier, text string, args ...any) ([]store.Request, error) {
	rows, err := query(ctx, q, row.Requests, text, args...)
	if err != nil {
		return nil, err
	}
	return row.TryMap(rows, (*row.Request).Domain)
}

func queryJobs(ctx context.Context, q querier, ids []request.ID) (map[request.ID][]store.Job, error) {
	rows, err := query(ctx, q, row.Jobs, "SELECT "+row.Names(row.Jobs)+" FROM job WHERE request_id IN (SELECT value FROM json_each(?)) ORDER BY request_id, place", idList(ids))
	if err != nil {
		return nil, err
	}
	return row.JobsByRequest(rows), nil
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
