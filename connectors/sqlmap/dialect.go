package sqlmap

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// dialect is what differs between databases. Statements are built on a
// relation u of values, one row of values per row or question, that each
// dialect knows how to make; the rest is common SQL.
type dialect interface {
	// open connects; the address is the one of the configuration.
	open(address string) (*sql.DB, error)
	// load reads the tables of the given schema-qualified names and the
	// foreign keys around them. A missing table is left out.
	load(ctx context.Context, q querier, names []tableName) (*schema, error)
	// begin starts a transaction: a snapshot to read, or one that writes.
	begin(ctx context.Context, db *sql.DB, write bool) (transaction, error)
	// values makes the WITH clause of u: column i counts from 0, then v1, v2.
	values(rows [][]value) (with string, args []any)
	// rowsPer is how many rows of the given width u can have in a statement.
	rowsPer(width int) int
	// join is the word that joins tables to u.
	join() string
	// remove deletes the rows of t whose keys are given; change sets columns
	// of them, to values that stand behind the keys.
	remove(t *table, rows [][]value) (text string, args []any)
	change(t *table, set []assignment, rows [][]value) (text string, args []any)
	// equals compares a column with one of u as the database does when it
	// joins; exactly does so without ignoring anything; lowered ignores case,
	// u being in lower case.
	equals(expr string, c *column, of string) string
	exactly(expr string, c *column, of string) string
	lowered(expr string, c *column, of string) string
	// assign converts a column of u for setting c.
	assign(c *column, of string) string
	// leaves reads what a column inside a document holds as JSON text, and
	// holds asks whether a value of u is among it; typed is set when numbers
	// in documents equal no text.
	leaves(expr string, c *column) string
	holds(expr string, c *column, of string, lower bool) string
	typed() bool
	// raw reads an expression of the column's type as a comparable value, and
	// read makes that value of what the driver scanned.
	raw(expr string, c *column) string
	read(v any) value
	// fits reports whether a value can be compared with c at all.
	fits(v value, c *column) bool
	// lock is what a SELECT of rows t ends with to hold them for writing.
	lock() string
	// deferKeys puts off the checks of foreign keys that allow it to the end
	// of the transaction; empty where the database has no such thing.
	deferKeys() string
	// rowwise is set when foreign keys are checked after each row of a
	// statement instead of at its end.
	rowwise() bool
	// failure says what to do about an error of the driver.
	failure(err error) failure
	// copied makes an export value of what the driver read for c.
	copied(v any, c *column) any
}

// assignment sets a column to an expression over u.
type assignment struct{ column, to string }

// removeByKeys is the DELETE of databases that take u before it.
func removeByKeys(d dialect, t *table, rows [][]value) (string, []any) {
	exprs, columns := t.locators("t"), t.locatorColumns()
	of := make([]string, len(exprs))
	for i, c := range columns {
		of[i] = d.assign(c, fmt.Sprintf("u.v%d", i+1))
	}
	with, args := d.values(rows)
	return fmt.Sprintf("%sDELETE FROM %s AS t WHERE (%s) IN (SELECT %s FROM u)", with, t.quoted(), strings.Join(exprs, ", "), strings.Join(of, ", ")), args
}

// changeByKeys is the UPDATE of databases that take u before it.
func changeByKeys(d dialect, t *table, set []assignment, rows [][]value) (string, []any) {
	list := make([]string, len(set))
	for i, a := range set {
		list[i] = quote(a.column) + " = " + a.to
	}
	with, args := d.values(rows)
	return fmt.Sprintf("%sUPDATE %s AS t SET %s FROM u WHERE %s", with, t.quoted(), strings.Join(list, ", "), sameKey(d, t)), args
}

// tableName is a table as the map names it; the schema may be empty.
type tableName struct{ schema, name string }

// querier runs statements.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// transaction is a querier that ends.
type transaction interface {
	querier
	Commit() error
	Rollback() error
}

// failure is an error of the database without values of rows: drivers quote
// them.
type failure struct {
	text      string
	retry     bool // another transaction was in the way
	permanent bool
	code      sdk.FailureCode
}

// dialectOf picks the dialect by the scheme of the address.
func dialectOf(address string) (dialect, error) {
	scheme, _, ok := strings.Cut(address, ":")
	if !ok {
		return nil, errors.New("database: want an address such as postgres://host/name or sqlite:///path/file.db")
	}
	switch scheme {
	case "postgres", "postgresql":
		return postgres{}, nil
	case "sqlite", "file":
		return sqlite{}, nil
	case "mysql", "mariadb":
		return mysql{}, nil
	}
	return nil, fmt.Errorf("database: no driver for %q; it can be postgres, mysql, mariadb or sqlite", url.PathEscape(scheme))
}

// dbError is an error of the database that is safe to print.
type dbError struct {
	failure
	err error
}

func (e *dbError) Error() string { return e.text }

// Unwrap shows only what carries no values: that a context ended.
func (e *dbError) Unwrap() error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(e.err, known) {
			return known
		}
	}
	return nil
}

// clean makes an error of the driver printable and tells the runtime what to
// do with it.
func clean(ctx context.Context, d dialect, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*dbError](err); ok {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := d.failure(err)
	var out error = &dbError{failure: f, err: err}
	if f.code != "" {
		out = sdk.WithCode(f.code, out)
	}
	if f.permanent {
		out = sdk.Permanent(out)
	}
	return out
}

// quote makes an identifier of a name, in all dialects so far.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoted is the table's full name.
func (t *table) quoted() string {
	if t.schema == "" {
		return quote(t.name)
	}
	return quote(t.schema) + "." + quote(t.name)
}

// locators are the expressions that locate a row of t under the alias.
func (t *table) locators(alias string) []string {
	if len(t.key) == 0 {
		return []string{alias + "." + t.rowid}
	}
	exprs := make([]string, len(t.key))
	for i, c := range t.key {
		exprs[i] = alias + "." + quote(c.name)
	}
	return exprs
}

// rowidColumn stands for the row locator of a table without keys.
var rowidColumn = &column{typ: "tid", class: classOther, notNull: true}

func (t *table) locatorColumns() []*column {
	if len(t.key) == 0 {
		return []*column{rowidColumn}
	}
	return t.key
}
