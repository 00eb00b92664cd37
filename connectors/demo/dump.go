package demo

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// DumpTable returns every row of a table as one line: the table's name and then
// name=value for each column, quoted. It is the second way of looking at a SQL
// database, independent of any connector.
func DumpTable(ctx context.Context, db *sql.DB, table string) (lines []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT * FROM "`+strings.ReplaceAll(table, `"`, `""`)+`"`) //nolint:gosec // quoted
	if err != nil {
		return nil, fmt.Errorf("dumping %s: %w", table, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	lines, err = dumpRows(table, rows)
	if err := errors.Join(err, rows.Err()); err != nil {
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

// Where the company's systems keep their data, below its folder.
const (
	BillingFile     = "billing.db"
	CRMFile         = "crm.json"
	AnalyticsFolder = "analytics"
	AdtechFile      = "adtech.db"
	PartnerFile     = "partner.db"
)

// Systems are the systems [Dump] knows, in the order they are listed.
var Systems = []string{"billing", "crm", "analytics", "adtech", "partner"}

// Dump writes everything one system of the company in dir holds, one record a
// line: the independent look at what a connector says it did. It reads the
// system's own files and changes nothing.
func Dump(ctx context.Context, w io.Writer, dir, system string) error {
	switch system {
	case "billing":
		return dumpSQLite(ctx, w, filepath.Join(dir, BillingFile))
	case "adtech":
		return dumpSQLite(ctx, w, filepath.Join(dir, AdtechFile))
	case "partner":
		return dumpSQLite(ctx, w, filepath.Join(dir, PartnerFile))
	case "crm":
		return dumpCRM(w, filepath.Join(dir, CRMFile))
	case "analytics":
		return dumpFiles(ctx, w, filepath.Join(dir, AnalyticsFolder))
	}
	return fmt.Errorf("there is no system %q: use one of %s", system, strings.Join(Systems, ", "))
}

func dumpCRM(w io.Writer, path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("dumping the CRM: %w", err)
	}
	lines, err := DumpCRM(path)
	if err != nil {
		return fmt.Errorf("dumping the CRM: %w", err)
	}
	return writeLines(w, lines)
}

// dumpFiles writes each line of each file, with the file's name before it.
func dumpFiles(ctx context.Context, w io.Writer, root string) error {
	out := bufio.NewWriterSize(w, 1<<16)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // below the folder the caller named
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			if _, err := fmt.Fprintf(out, "%s %s\n", name, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("dumping files: %w", err)
	}
	return nil
}

func writeLines(w io.Writer, lines []string) error {
	out := bufio.NewWriter(w)
	for _, line := range lines {
		if _, err := out.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

// dumpSQLite writes every row of every table of an SQLite file.
func dumpSQLite(ctx context.Context, w io.Writer, path string) error {
	if _, err := os.Stat(path); err != nil { // opening would make the file
		return fmt.Errorf("dumping: %w", err)
	}
	db, err := sql.Open("sqlite", sqliteFile(path, "busy_timeout(5000)", "query_only(1)"))
	if err != nil {
		return fmt.Errorf("dumping: %w", err)
	}
	lines, err := dumpEverything(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("dumping %s: %w", filepath.Base(path), err)
	}
	return writeLines(w, lines)
}

func dumpEverything(ctx context.Context, db *sql.DB) ([]string, error) {
	tables, err := tableNames(ctx, db)
	if err != nil {
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

func tableNames(ctx context.Context, db *sql.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
