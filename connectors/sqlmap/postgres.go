package sqlmap

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is the dialect of PostgreSQL 12 and later. Keys travel as text and
// are cast to the column's own type, which is exact for every type.
type postgres struct{}

func (postgres) open(address string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// The driver's error quotes the address, password and all.
		return nil, errors.New("database: the PostgreSQL address can't be read; want postgres://user@host:5432/name")
	}
	maps.Copy(config.RuntimeParams, map[string]string{
		// Planned once for few values, every statement looks each of them up by
		// an index, however many come: what a request costs does not depend on
		// statistics.
		"plan_cache_mode":  "force_generic_plan",
		"application_name": "habeas", "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "bytea_output": "hex",
	})
	return stdlib.OpenDB(*config), nil
}

func (d postgres) load(ctx context.Context, q querier, names []tableName) (*schema, error) {
	s := &schema{}
	for _, n := range names {
		full := quote(n.name)
		if n.schema != "" {
			full = quote(n.schema) + "." + full
		}
		rows, err := query(ctx, q, `
			SELECT n.nspname::text, c.relname::text, c.oid::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')`, full)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			t := &table{schema: fmt.Sprint(r[0]), name: fmt.Sprint(r[1])}
			if s.find(t.schema, t.name) != nil {
				continue
			}
			if err := d.columns(ctx, q, t, r[2]); err != nil {
				return nil, err
			}
			s.tables = append(s.tables, t)
		}
	}
	return s, d.foreignKeys(ctx, q, s)
}

func (d postgres) columns(ctx context.Context, q querier, t *table, oid any) error {
	rows, err := query(ctx, q, `
		SELECT a.attname::text, bn.nspname::text, b.typname::text, b.typtype::text, a.attnotnull OR y.typnotnull,
			a.attgenerated <> '', CASE WHEN b.typname IN ('varchar', 'bpchar') THEN greatest(a.atttypmod - 4, 0) ELSE 0 END
		FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
			JOIN pg_type b ON b.oid = CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END
			JOIN pg_namespace bn ON bn.oid = b.typnamespace
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, oid)
	if err != nil {
		return err
	}
	for _, r := range rows {
		length, _ := r[6].(int64)
		t.columns = append(t.columns, &column{
			name: r[0].(string), typ: quote(fmt.Sprint(r[1])) + "." + quote(fmt.Sprint(r[2])),
			class: postgresClass(fmt.Sprint(r[2]), fmt.Sprint(r[3])), notNull: r[4] == true, generated: r[5] == true, length: int(length),
		})
	}
	if err := d.indexes(ctx, q, t, oid); err != nil {
		return err
	}
	rows, err = query(ctx, q, `
		SELECT k.conname::text, lower(pg_get_constraintdef(k.oid)), a.attname::text
		FROM pg_constraint k LEFT JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
		WHERE k.conrelid = $1 AND k.contype = 'c' ORDER BY 1`, oid)
	if err != nil {
		return err
	}
	for _, r := range rows {
		name := fmt.Sprint(r[0])
		if n := len(t.checks); n == 0 || t.checks[n-1].name != name {
			t.checks = append(t.checks, check{name: name, text: fmt.Sprint(r[1])})
		}
		last := &t.checks[len(t.checks)-1]
		last.cols = append(last.cols, strings.ToLower(fmt.Sprint(r[2])))
	}
	return nil
}

func (postgres) indexes(ctx context.Context, q querier, t *table, oid any) error {
	rows, err := query(ctx, q, `
		SELECT i.indexrelid::int8, i.indisprimary, a.attname::text
		FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
		ORDER BY i.indisprimary DESC, 1, k.n`, oid)
	if err != nil {
		return err
	}
	var last any
	primary := false
	for _, r := range rows {
		if len(t.uniques) == 0 || r[0] != last {
			t.uniques = append(t.uniques, nil)
			last = r[0]
		}
		n := len(t.uniques) - 1
		t.uniques[n] = append(t.uniques[n], fmt.Sprint(r[2]))
		primary = primary || r[1] == true
	}
	t.rowid = "ctid"
	if primary {
		t.primary = t.uniques[0]
		t.pickKey(t.primary)
	} else {
		t.pickKey(nil)
	}
	return nil
}

func (postgres) foreignKeys(ctx context.Context, q querier, s *schema) error {
	rows, err := query(ctx, q, `
		SELECT k.oid::int8, k.conname::text, cn.nspname::text, c.relname::text, pn.nspname::text, p.relname::text,
			k.confdeltype::text, k.condeferrable, ca.attname::text, pa.attname::text
		FROM pg_constraint k
			JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
			JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
			CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS x(child, parent, n)
			JOIN pg_attribute ca ON ca.attrelid = c.oid AND ca.attnum = x.child
			JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = x.parent
		WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, x.n`)
	if err != nil {
		return err
	}
	var keys []*foreignKey
	var last any
	for _, r := range rows {
		if len(keys) == 0 || r[0] != last {
			last = r[0]
			keys = append(keys, &foreignKey{
				name: fmt.Sprint(r[1]), childSchema: fmt.Sprint(r[2]), child: fmt.Sprint(r[3]), parentSchema: fmt.Sprint(r[4]), parent: fmt.Sprint(r[5]),
				cascade: r[6] == "c", setNull: r[6] == "n" || r[6] == "d", deferrable: r[7] == true,
			})
		}
		k := keys[len(keys)-1]
		k.childCols = append(k.childCols, fmt.Sprint(r[8]))
		k.parentCols = append(k.parentCols, fmt.Sprint(r[9]))
	}
	s.connect(keys)
	return nil
}

func postgresClass(name, kind string) class {
	if kind == "e" {
		return classOther
	}
	switch name {
	case "int2", "int4", "int8":
		return classInt
	case "float4", "float8", "numeric", "money":
		return classNumber
	case "bool":
		return classBool
	case "text", "varchar", "bpchar", "citext", "name":
		return classText
	case "uuid":
		return classUUID
	case "date", "timestamp", "timestamptz":
		return classTime
	case "json", "jsonb":
		return classJSON
	case "bytea":
		return classBytes
	}
	return classOther
}

func (postgres) begin(ctx context.Context, db *sql.DB, write bool) (transaction, error) {
	if write {
		return beginPostgres(ctx, db, "BEGIN ISOLATION LEVEL READ COMMITTED")
	}
	return beginPostgres(ctx, db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
}

func (postgres) values(rows [][]value) (string, []any) {
	width := len(rows[0])
	args := make([]any, width)
	arrays, names := make([]string, width), make([]string, width)
	for n := range width {
		args[n] = texts(rows, n)
		arrays[n], names[n] = fmt.Sprintf("$%d::text[]", n+1), fmt.Sprintf("v%d", n+1)
	}
	return fmt.Sprintf("WITH u AS (SELECT i - 1 AS i, %[2]s FROM unnest(%[1]s) WITH ORDINALITY AS x(%[2]s, i)) ",
		strings.Join(arrays, ", "), strings.Join(names, ", ")), args
}

// texts are the nth values of rows. The driver writes an array much faster when
// it need not look for NULL in it.
func texts(rows [][]value, n int) any {
	column := make([]string, len(rows))
	for i, r := range rows {
		if r[n] == nil {
			return textsOrNull(rows, n)
		}
		column[i] = written(r[n])
	}
	return column
}

func textsOrNull(rows [][]value, n int) []*string {
	column := make([]*string, len(rows))
	for i, r := range rows {
		if r[n] != nil {
			s := written(r[n])
			column[i] = &s
		}
	}
	return column
}

func (postgres) rowsPer(int) int { return 10_000 }

func (postgres) equals(expr string, c *column, of string) string {
	switch {
	case c == rowidColumn:
		return expr + " = " + of + "::tid"
	case c.class == classTime || c.class == classJSON || c.class == classOther:
		return expr + "::text = " + of
	}
	return expr + " = " + of + "::" + c.typ
}

func (postgres) assign(c *column, of string) string {
	if c == rowidColumn {
		return of + "::tid"
	}
	return of + "::" + c.typ
}

func (postgres) raw(expr string, _ *column) string { return "(" + expr + ")::text" }

func (postgres) read(v any) value { return canonical(v) }

func (d postgres) exactly(expr string, c *column, of string) string { return d.equals(expr, c, of) }

func (postgres) lowered(expr string, _ *column, of string) string {
	return "lower(" + expr + "::text) = " + of
}

func (postgres) join() string { return "JOIN" }

// remove names rows by arrays of the parts of their keys, which is the shortest
// way there is. Other classes of columns may be arrays themselves.
func (d postgres) remove(t *table, rows [][]value) (string, []any) {
	if len(t.key) == 0 || slices.ContainsFunc(t.key, func(c *column) bool { return c.class == classOther }) {
		return removeByKeys(d, t, rows)
	}
	exprs := t.locators("t")
	args, arrays, parts := make([]any, len(exprs)), make([]string, len(exprs)), make([]string, len(exprs))
	for n, c := range t.key {
		args[n] = texts(rows, n)
		arrays[n] = fmt.Sprintf("$%d::text[]::%s[]", n+1, c.typ)
		parts[n] = fmt.Sprintf("v%d", n+1)
	}
	if len(exprs) == 1 {
		return fmt.Sprintf("DELETE FROM %s AS t WHERE %s = ANY (%s)", t.quoted(), exprs[0], arrays[0]), args
	}
	return fmt.Sprintf("DELETE FROM %s AS t USING unnest(%s) AS u(%s) WHERE (%s) = (u.%s)", t.quoted(), strings.Join(arrays, ", "),
		strings.Join(parts, ", "), strings.Join(exprs, ", "), strings.Join(parts, ", u.")), args
}

func (d postgres) change(t *table, set []assignment, rows [][]value) (string, []any) {
	return changeByKeys(d, t, set, rows)
}

func (postgres) rowwise() bool { return false }

var (
	uuidShape   = regexp.MustCompile(`^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$`)
	numberShape = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
)

func (postgres) fits(v value, c *column) bool {
	s := written(v)
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return false
	}
	switch c.class {
	case classInt:
		bits := 64
		switch c.typ {
		case `"pg_catalog"."int2"`:
			bits = 16
		case `"pg_catalog"."int4"`:
			bits = 32
		}
		_, err := strconv.ParseInt(s, 10, bits)
		return err == nil
	case classNumber:
		_, ok := new(big.Rat).SetString(s)
		return ok && numberShape.MatchString(s) && len(s) < 400
	case classBool:
		return s == "true" || s == "false"
	case classUUID:
		return uuidShape.MatchString(s)
	case classBytes:
		return strings.HasPrefix(s, `\x`)
	}
	return true
}

func (postgres) lock() string { return " FOR UPDATE OF t" }

func (postgres) deferKeys() string { return "SET CONSTRAINTS ALL DEFERRED" }

func (postgres) failure(err error) failure {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		// The driver quotes what it could not send.
		return failure{text: "PostgreSQL: the server did not answer, or not as expected"}
	}
	// The message may quote a value; code and names say enough.
	f := failure{text: fmt.Sprintf("PostgreSQL: SQLSTATE %s", e.Code)}
	if e.TableName != "" {
		f.text += " on table " + e.TableName
	}
	if e.ConstraintName != "" {
		f.text += ", constraint " + e.ConstraintName
	}
	switch {
	case e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03" || e.Code == "23503" || e.Code == "0A000":
		// 23503: a row that refers to one of these came in meanwhile. 0A000: a
		// prepared statement met a changed table; the driver prepares anew.
		f.retry = true
	case e.Code == "42501" || strings.HasPrefix(e.Code, "28"):
		f.text += ": the account of this connector lacks a permission"
		f.permanent, f.code = e.Code == "42501", "denied"
	case strings.HasPrefix(e.Code, "23"), strings.HasPrefix(e.Code, "42"), strings.HasPrefix(e.Code, "22"):
		f.permanent, f.code = true, "configuration"
	}
	return f
}

func (postgres) copied(v any, c *column) any {
	switch v := v.(type) {
	case []byte:
		if c.class == classJSON {
			return rawJSON(string(v))
		}
		if s, ok := readable(v); ok && c.class != classBytes {
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
