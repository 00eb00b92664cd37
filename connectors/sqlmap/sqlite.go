package sqlmap

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	driver "modernc.org/sqlite"
)

// sqlite is the dialect of SQLite files.
type sqlite struct{}

// sqliteVariables is how many variables a statement may have, with room left.
const sqliteVariables = 30_000

func (sqlite) open(address string) (*sql.DB, error) {
	path := strings.TrimPrefix(address, "sqlite:")
	path = strings.TrimPrefix(path, "file:")
	path = strings.TrimPrefix(path, "//")
	path, _, _ = strings.Cut(path, "?")
	path, err := url.PathUnescape(path)
	if err != nil || path == "" {
		return nil, errors.New("database: want sqlite:///path/file.db")
	}
	if err := withLeaves(); err != nil {
		return nil, fmt.Errorf("opening SQLite database: %w", err)
	}
	settings := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(10000)", "foreign_keys(1)", "secure_delete(1)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("opening SQLite database: %w", err)
	}
	return db, nil
}

func (d sqlite) load(ctx context.Context, q querier, names []tableName) (*schema, error) {
	s := &schema{}
	var keys []*foreignKey
	rows, err := query(ctx, q, `SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		name, text := fmt.Sprint(r[0]), fmt.Sprint(r[1])
		t := &table{name: name}
		if err := d.columns(ctx, q, t, text); err != nil {
			return nil, err
		}
		s.tables = append(s.tables, t)
	}
	for _, t := range s.tables {
		more, err := d.foreignKeys(ctx, q, s, t)
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	s.connect(keys)
	wanted := &schema{}
	for _, n := range names {
		// The dataset's schema means nothing here; names ignore case.
		for _, t := range s.tables {
			if strings.EqualFold(t.name, n.name) && wanted.find("", t.name) == nil {
				wanted.tables = append(wanted.tables, t)
			}
		}
	}
	return wanted, nil
}

func (d sqlite) columns(ctx context.Context, q querier, t *table, text string) error {
	rows, err := query(ctx, q, `SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)`, t.name)
	if err != nil {
		return err
	}
	primary := make([]string, len(rows))
	parts := 0
	for _, r := range rows {
		declared := strings.ToUpper(fmt.Sprint(r[1]))
		c := &column{name: fmt.Sprint(r[0]), typ: declared, notNull: r[2] == int64(1)}
		c.class, c.length = sqliteClass(declared)
		hidden, _ := r[4].(int64)
		c.generated = hidden >= 2
		t.columns = append(t.columns, c)
		if pk, _ := r[3].(int64); pk > 0 {
			primary[pk-1] = c.name
			parts++
		}
	}
	primary = primary[:parts]
	if parts > 0 {
		t.primary = primary
		t.uniques = append(t.uniques, primary)
	}
	if err := d.indexes(ctx, q, t); err != nil {
		return err
	}
	withoutRowid := strings.Contains(strings.ToUpper(text[strings.LastIndex(text, ")")+1:]), "WITHOUT ROWID")
	if withoutRowid {
		for _, name := range primary {
			t.column(name).notNull = true
		}
		t.pickKey(primary)
	} else {
		t.rowid = "rowid"
		for _, alias := range []string{"rowid", "_rowid_", "oid"} {
			if t.column(alias) == nil {
				t.rowid = alias
				break
			}
		}
	}
	t.checks = sqliteChecks(text)
	return nil
}

func (sqlite) indexes(ctx context.Context, q querier, t *table) error {
	lists, err := query(ctx, q, `SELECT name FROM pragma_index_list(?) WHERE "unique" = 1 AND partial = 0`, t.name)
	if err != nil {
		return err
	}
	for _, l := range lists {
		info, err := query(ctx, q, `SELECT name FROM pragma_index_info(?) ORDER BY seqno`, l[0])
		if err != nil {
			return err
		}
		var cols []string
		for _, r := range info {
			if name, ok := r[0].(string); ok {
				cols = append(cols, name)
			}
		}
		if len(cols) == len(info) {
			t.uniques = append(t.uniques, cols)
		}
	}
	return nil
}

func (sqlite) foreignKeys(ctx context.Context, q querier, s *schema, t *table) ([]*foreignKey, error) {
	rows, err := query(ctx, q, `SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq`, t.name)
	if err != nil {
		return nil, err
	}
	byID := map[any]*foreignKey{}
	var keys []*foreignKey
	for _, r := range rows {
		k := byID[r[0]]
		if k == nil {
			k = &foreignKey{name: fmt.Sprintf("%s key %v", t.name, r[0]), child: t.name, parent: fmt.Sprint(r[1]), cascade: r[4] == "CASCADE", setNull: r[4] == "SET NULL" || r[4] == "SET DEFAULT", deferrable: true}
			for _, p := range s.tables {
				if strings.EqualFold(p.name, k.parent) {
					k.parent = p.name
				}
			}
			byID[r[0]] = k
			keys = append(keys, k)
		}
		k.childCols = append(k.childCols, fmt.Sprint(r[2]))
		if to, ok := r[3].(string); ok {
			k.parentCols = append(k.parentCols, to)
		}
	}
	for _, k := range keys {
		p := s.find("", k.parent)
		if len(k.parentCols) == 0 && p != nil && len(p.uniques) > 0 {
			k.parentCols = p.uniques[0] // the primary key
		}
	}
	return keys, nil
}

// sqliteClass follows the rules of column affinity, and the names people use.
func sqliteClass(declared string) (class, int) {
	length := 0
	if _, rest, ok := strings.Cut(declared, "("); ok {
		length, _ = strconv.Atoi(strings.TrimSuffix(rest, ")")) // 0 for NUMERIC(10,2)
	}
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(declared, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("BOOL"):
		return classBool, 0
	case has("DATE", "TIME"):
		return classTime, 0
	case has("INT"):
		return classInt, 0
	case has("JSON"):
		return classJSON, 0
	case has("CHAR", "CLOB", "TEXT"):
		return classText, length
	case has("BLOB"):
		return classBytes, 0
	case has("REAL", "FLOA", "DOUB", "NUM", "DEC"):
		return classNumber, 0
	}
	return classText, 0
}

// sqliteChecks finds the CHECK constraints in a CREATE TABLE statement.
func sqliteChecks(text string) []check {
	lower := strings.ToLower(text)
	var checks []check
	for at := 0; ; {
		i := strings.Index(lower[at:], "check")
		if i < 0 {
			return checks
		}
		at += i + len("check")
		rest := strings.TrimLeft(lower[at:], " \t\r\n")
		if !strings.HasPrefix(rest, "(") {
			continue
		}
		depth, end := 0, len(rest)
		for j, r := range rest {
			if r == '(' {
				depth++
			}
			if r == ')' {
				if depth--; depth == 0 {
					end = j + 1
					break
				}
			}
		}
		body := rest[:end]
		checks = append(checks, check{name: "CHECK " + body, text: body, cols: words(body)})
	}
}

// words are the identifiers in a piece of SQL.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r < 128
	})
}

// sqliteTx is a transaction on one connection: database/sql can't ask for
// BEGIN IMMEDIATE, without which two writers that both read first deadlock.
type sqliteTx struct{ *sql.Conn }

func (sqlite) begin(ctx context.Context, db *sql.DB, write bool) (transaction, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	start := "BEGIN"
	if write {
		start = "BEGIN IMMEDIATE"
	}
	if _, err := conn.ExecContext(ctx, start); err != nil {
		// A cancelled BEGIN may have begun: the connection is not to be used
		// again.
		discard(conn)
		return nil, err
	}
	return &sqliteTx{conn}, nil
}

// Commit implements transaction.
func (t *sqliteTx) Commit() error {
	if _, err := t.ExecContext(context.Background(), "COMMIT"); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Close()
}

// Rollback implements transaction.
func (t *sqliteTx) Rollback() error {
	if _, err := t.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		discard(t.Conn)
		return nil //nolint:nilerr // closing the connection rolls back
	}
	return t.Close()
}

// discard closes the connection itself instead of giving it back to the pool.
func discard(conn *sql.Conn) {
	// Raw hands the error of its function on, and ErrBadConn is the way to
	// have the pool drop the connection.
	_ = conn.Raw(func(any) error { return errBadConn })
}

func (sqlite) values(rows [][]value) (string, []any) {
	width := len(rows[0])
	var b strings.Builder
	b.WriteString("WITH u(i")
	for n := range width {
		fmt.Fprintf(&b, ", v%d", n+1)
	}
	b.WriteString(") AS (VALUES ")
	args := make([]any, 0, len(rows)*width)
	for i, r := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d%s)", i, strings.Repeat(", ?", width))
		for _, v := range r {
			args = append(args, argument(v))
		}
	}
	b.WriteString(") ")
	return b.String(), args
}

func (sqlite) rowsPer(width int) int { return min(500, sqliteVariables/width) }

func (sqlite) equals(expr string, _ *column, of string) string { return expr + " = " + of }

func (sqlite) assign(_ *column, of string) string { return of }

// raw takes the declared type off, by which the driver would make dates and
// booleans of what is stored.
func (sqlite) raw(expr string, _ *column) string { return "+" + expr }

func (sqlite) read(v any) value { return canonical(v) }

func (d sqlite) exactly(expr string, c *column, of string) string { return d.equals(expr, c, of) }

func (sqlite) lowered(expr string, _ *column, of string) string { return "lower(" + expr + ") = " + of }

func (sqlite) join() string { return "JOIN" }

func (d sqlite) remove(t *table, rows [][]value) (string, []any) { return removeByKeys(d, t, rows) }

func (d sqlite) change(t *table, set []assignment, rows [][]value) (string, []any) {
	return changeByKeys(d, t, set, rows)
}

func (sqlite) rowwise() bool { return false }

func (sqlite) fits(value, *column) bool { return true }

func (sqlite) lock() string { return "" }

func (sqlite) deferKeys() string { return "PRAGMA defer_foreign_keys = ON" }

func (sqlite) failure(err error) failure {
	f := failure{text: "SQLite: the database did not answer, or not as expected"}
	if e, ok := errors.AsType[*driver.Error](err); ok {
		f.text = "SQLite: " + e.Error()
		switch e.Code() & 0xff {
		case 5, 6: // SQLITE_BUSY, SQLITE_LOCKED
			f.retry = true
		case 8, 23: // SQLITE_READONLY, SQLITE_AUTH
			f.permanent, f.code = true, "denied"
		case 19: // SQLITE_CONSTRAINT
			f.permanent, f.code = true, "configuration"
		}
	}
	return f
}

func (sqlite) copied(v any, c *column) any {
	switch v := v.(type) {
	case []byte:
		if s, ok := readable(v); ok {
			return s
		}
		return base64.StdEncoding.EncodeToString(v)
	case string:
		if c.class == classJSON {
			return rawJSON(v)
		}
	}
	return v
}
