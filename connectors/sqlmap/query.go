package sqlmap

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

var errBadConn = driver.ErrBadConn

// rawJSON hands a document on as it is, and as a string when it is none.
func rawJSON(s string) any {
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return s
}

// query reads all rows of a small result.
func query(ctx context.Context, q querier, text string, args ...any) ([][]any, error) {
	var all [][]any
	err := each(ctx, q, text, args, func(row []any) error {
		all = append(all, append([]any(nil), row...))
		return nil
	})
	return all, err
}

// each calls f with every row of a result; the slice is used again.
func each(ctx context.Context, q querier, text string, args []any, f func([]any) error) (err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	row, into := make([]any, len(names)), make([]any, len(names))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// chunks calls f with parts of rows that fit into one statement.
func chunks[T any](all []T, size int, f func([]T) error) error {
	for len(all) > 0 {
		n := min(size, len(all))
		if err := f(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// selectRows builds the statement that reads rows of c by a condition on t
// and u: u's number, the row key, then the given columns.
func selectRows(d dialect, t *table, columns []*column, on string) string {
	exprs := []string{"u.i"}
	for i, c := range t.locatorColumns() {
		exprs = append(exprs, d.raw(t.locators("t")[i], c))
	}
	for _, c := range columns {
		exprs = append(exprs, carried(d, c))
	}
	return fmt.Sprintf("SELECT %s FROM u %s %s AS t ON %s", strings.Join(exprs, ", "), d.join(), t.quoted(), on)
}

// carried reads a column, or what is inside one, for a walk.
func carried(d dialect, c *column) string {
	if expr := "t." + quote(c.name); len(c.way) == 0 {
		return d.raw(expr, c)
	}
	return d.leaves("t."+quote(c.name), c)
}

// sameKey is the condition that t is the row whose key u holds.
func sameKey(d dialect, t *table) string {
	exprs, columns := t.locators("t"), t.locatorColumns()
	parts := make([]string, len(exprs))
	for i, e := range exprs {
		parts[i] = e + " = " + d.assign(columns[i], fmt.Sprintf("u.v%d", i+1))
	}
	return strings.Join(parts, " AND ")
}
