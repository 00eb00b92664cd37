package sqlmap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Survey is what a live database says of itself, with a few rows of each
// table: the material a data map is drafted from.
type Survey struct {
	Tables []SurveyTable
}

// SurveyTable is one table of a [Survey].
type SurveyTable struct {
	// Schema is empty where a database has none, or it is the default one.
	Schema, Name string
	Columns      []SurveyColumn
	// Key are the columns of the primary key, in order.
	Key []string
	// Refers are the foreign keys of the table.
	Refers []SurveyKey
}

// SurveyColumn is one column of a [SurveyTable].
type SurveyColumn struct {
	Name string
	// Kind is "text", "integer", "number", "boolean", "time", "uuid", "json",
	// "bytes" or "other".
	Kind string
	// NotNull, Unique and Generated are what the schema says.
	NotNull, Unique, Generated bool
	// Values are sampled, without NULLs and blanks. They are personal data: a
	// [sdk.Secret] does not print.
	Values []sdk.Secret
}

// SurveyKey is one foreign key.
type SurveyKey struct {
	Columns              []string
	ParentSchema, Parent string
	ParentColumns        []string
}

// Column returns the column of that name, or nil.
func (t *SurveyTable) Column(name string) *SurveyColumn {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// surveyor lists the tables a dialect's account can see, system tables left
// out, in the order of their names.
type surveyor interface {
	tables(ctx context.Context, q querier) ([]tableName, error)
	// plain is the schema that needs no naming, if it always has the same name.
	plain() string
}

// maxSampled is how much of one value a sample keeps, in bytes.
const maxSampled = 4096

// TakeSurvey reads the schema of the database at the address, and the first
// rows of each table by its key, in one transaction that can't write. The same
// database gives the same survey, save for samples of tables by whose rows
// nothing can be ordered.
func TakeSurvey(ctx context.Context, address string, rows int) (_ *Survey, err error) {
	d, err := dialectOf(address)
	if err != nil {
		return nil, err
	}
	lister, ok := d.(surveyor)
	if !ok {
		return nil, errors.New("database: this kind of database can't be surveyed")
	}
	db, err := d.open(address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := d.begin(ctx, db, false)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", clean(ctx, d, err))
	}
	s, err := survey(ctx, d, lister, tx, rows)
	// Nothing was written: there is nothing to lose in a rollback.
	_ = tx.Rollback()
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", clean(ctx, d, err))
	}
	return s, nil
}

func survey(ctx context.Context, d dialect, lister surveyor, q querier, rows int) (*Survey, error) {
	names, err := lister.tables(ctx, q)
	if err != nil {
		return nil, err
	}
	live, err := d.load(ctx, q, names)
	if err != nil {
		return nil, err
	}
	s, plain := &Survey{}, lister.plain()
	for _, n := range names {
		i := slices.IndexFunc(live.tables, func(t *table) bool { return t.name == n.name && (n.schema == "" || t.schema == n.schema) })
		if i < 0 {
			continue
		}
		t := live.tables[i]
		if n.schema == "" {
			plain = t.schema
		}
		out := SurveyTable{Schema: unless(t.schema, plain), Name: t.name, Key: t.primary}
		for _, c := range t.columns {
			out.Columns = append(out.Columns, SurveyColumn{
				Name: c.name, Kind: classNames[c.class], NotNull: c.notNull, Generated: c.generated, Unique: t.unique(c.name),
			})
		}
		for _, k := range t.refers {
			out.Refers = append(out.Refers, SurveyKey{
				Columns: k.childCols, ParentSchema: unless(k.parentSchema, plain), Parent: k.parent, ParentColumns: k.parentCols,
			})
		}
		if err := sample(ctx, d, q, t, &out, rows); err != nil {
			return nil, err
		}
		s.Tables = append(s.Tables, out)
	}
	return s, nil
}

// unless is the schema, or nothing for the one that needs no naming.
func unless(schema, plain string) string {
	if schema == plain {
		return ""
	}
	return schema
}

var classNames = map[class]string{
	classText: "text", classInt: "integer", classNumber: "number", classBool: "boolean", classTime: "time",
	classUUID: "uuid", classJSON: "json", classBytes: "bytes", classOther: "other",
}

// sample reads the first rows of a table by its key. Binary columns say
// nothing that could be looked at.
func sample(ctx context.Context, d dialect, q querier, t *table, out *SurveyTable, rows int) error {
	if rows == 0 || len(t.columns) == 0 {
		return nil
	}
	exprs := make([]string, len(t.columns))
	for i, c := range t.columns {
		exprs[i] = d.raw("t."+quote(c.name), c)
		if c.class == classBytes {
			exprs[i] = "NULL"
		}
	}
	order := ""
	if len(t.key) > 0 || t.rowid != "" && t.rowid != "ctid" { // for which a whole table would be sorted
		order = " ORDER BY " + strings.Join(t.locators("t"), ", ")
	}
	text := fmt.Sprintf("SELECT %s FROM %s AS t%s LIMIT %d", strings.Join(exprs, ", "), t.quoted(), order, rows)
	return each(ctx, q, text, nil, func(read []any) error {
		for i, v := range read {
			v = d.read(v)
			text := strings.TrimSpace(fmt.Sprint(v))
			if v == nil || text == "" {
				continue
			}
			out.Columns[i].Values = append(out.Columns[i].Values, sdk.Secret(text[:min(len(text), maxSampled)]))
		}
		return nil
	})
}

func (sqlite) plain() string { return "" }

func (sqlite) tables(ctx context.Context, q querier) ([]tableName, error) {
	return tableNames(query(ctx, q, `SELECT '', name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`))
}

func (postgres) plain() string { return "public" }

func (postgres) tables(ctx context.Context, q querier) ([]tableName, error) {
	return tableNames(query(ctx, q, `
		SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
			AND has_table_privilege(c.oid, 'SELECT')
		ORDER BY n.nspname = 'public' DESC, n.nspname COLLATE "C", c.relname COLLATE "C"`))
}

func (mysql) plain() string { return "" }

func (mysql) tables(ctx context.Context, q querier) ([]tableName, error) {
	return tableNames(query(ctx, q, `
		SELECT '', CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = database() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 2`))
}

func tableNames(rows [][]any, err error) ([]tableName, error) {
	if err != nil {
		return nil, err
	}
	names := make([]tableName, len(rows))
	for i, r := range rows {
		names[i] = tableName{text(r[0]), text(r[1])}
	}
	return names, nil
}

// Line is the line of a place in the map's file, or 0 when there is no such
// place. The path is in the YAML library's notation, such as
// "$.dataset[0].collections[2].name".
func (m *Map) Line(path string) int {
	if e, ok := m.errorAt(path, "").(*MapError); ok { //nolint:errorlint // errorAt makes it
		return e.Line
	}
	return 0
}
