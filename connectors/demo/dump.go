package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// DumpTable returns every row of a table as one line: the table's name and then
// name=value for each column, quoted. It is the second way of looking at a SQL
// database, independent of any connector.
func DumpTable(ctx context.Context, db *sql.DB, table string) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT * FROM "`+strings.ReplaceAll(table, `"`, `""`)+`"`)
	if err != nil {
		return nil, fmt.Errorf("dumping %s: %w", table, err)
	}
	lines, err := dumpRows(table, rows)
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("dumping %s: %w", table, err)
	}
	return lines, nil
}

func dumpRows(table string, rows *sql.Rows) ([]string, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var lines []string
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var line strings.Builder
		line.WriteString(table)
		for i, column := range columns {
			switch v := values[i].(type) {
			case nil:
			case []byte:
				fmt.Fprintf(&line, " %s=%q", column, v)
			default:
				fmt.Fprintf(&line, " %s=%q", column, fmt.Sprint(v))
			}
		}
		lines = append(lines, line.String())
	}
	return lines, nil
}

// sqliteFile is the address of an SQLite file whose connections begin with the
// given pragmas.
func sqliteFile(path string, pragmas ...string) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return u.String()
}

// dumpSQLite returns every row of every table of an SQLite file.
func dumpSQLite(ctx context.Context, path string) ([]string, error) {
	db, err := sql.Open("sqlite", sqliteFile(path, "busy_timeout(5000)", "query_only(1)"))
	if err != nil {
		return nil, err
	}
	lines, err := dumpEverything(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("dumping %s: %w", filepath.Base(path), err)
	}
	return lines, nil
}

func dumpEverything(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		tables = append(tables, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var lines []string
	for _, table := range tables {
		more, err := DumpTable(ctx, db, table)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}
