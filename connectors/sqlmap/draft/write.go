package draft

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// YAML is the draft as a data map with comments. schemaLine, when it is not
// empty, is the address of the JSON Schema that editors check it with.
func (d *Draft) YAML(schemaLine string) []byte {
	w := &writer{d: d}
	if schemaLine != "" {
		w.line(0, "# yaml-language-server: $schema=%s", schemaLine)
	}
	w.line(0, "# Drafted from the live schema; read it before you trust it. The number behind a")
	w.line(0, "# category is how sure the guess is, from 0 to 1. What only you can say: whose a")
	w.line(0, "# shared row is (owner), what the law keeps and how long (retain), which table")
	w.line(0, "# holds no personal data after all.")
	w.line(0, "dataset:")
	for _, schema := range d.schemas() {
		w.dataset(schema)
	}
	return []byte(w.b.String())
}

// schemas lists the schemas, the default one first.
func (d *Draft) schemas() []string {
	var names []string
	for _, t := range d.tables {
		if !slices.Contains(names, t.Schema) {
			names = append(names, t.Schema)
		}
	}
	slices.Sort(names)
	return names
}

// dataset is the key of a schema's dataset.
func (d *Draft) dataset(schema string) string {
	if schema == "" {
		return d.Key
	}
	return d.Key + "_" + schema
}

type writer struct {
	d *Draft
	b strings.Builder
}

func (w *writer) line(indent int, format string, args ...any) {
	w.b.WriteString(strings.Repeat(" ", indent))
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteByte('\n')
}

func (w *writer) dataset(schema string) {
	var in, out []string
	var tables []*table
	for _, t := range w.d.tables {
		switch {
		case t.Schema != schema:
		case t.reached > 0 || t.personal:
			in, tables = append(in, t.Name), append(tables, t)
		default:
			out = append(out, t.Name)
		}
	}
	if len(in) == 0 {
		return
	}
	w.line(2, "- fides_key: %s", plain(w.d.dataset(schema)))
	if schema != "" {
		w.line(4, "fides_meta: {namespace: {schema: %s}}", plain(schema))
	}
	w.line(4, "collections:")
	for _, t := range tables {
		w.table(t)
	}
	if len(out) > 0 {
		w.line(6, "# Left out, because nothing in them looks personal or leads to a person:")
		w.line(6, "# %s", strings.Join(out, ", "))
	}
}

func (w *writer) table(t *table) {
	w.line(6, "- name: %s", plain(t.Name))
	for _, n := range t.notes {
		w.line(8, "# %s", n)
	}
	if t.reached == 0 {
		w.line(8, "# It looks personal, and nothing leads to it: give a field an identity or a")
		w.line(8, "# reference, then take this line out.")
		w.line(8, "fides_meta: {skip_processing: true}")
	} else if mentions(words(t.Name), []string{"invoice", "payment", "order", "transaction", "receipt", "tax", "refund"}) {
		w.line(8, "# The law may want these kept. If so, say why, how long, and which columns it needs:")
		w.line(8, "# habeas: {retain: [{basis: ccpa-1798.105(d)(8), period: 7 years, from: COLUMN, needs: [COLUMNS]}]}")
	}
	w.line(8, "fields:")
	for i := range t.Columns {
		w.column(t, i)
	}
}

func (w *writer) column(t *table, i int) {
	c, g := &t.Columns[i], t.guesses[i]
	w.line(10, "- name: %s", plain(c.Name))
	switch {
	case g.Personal():
		w.line(12, "data_categories: [%s]  # %.2f by %s", g.Category, g.Confidence, g.Why)
	case g.Confidence >= .3:
		w.line(12, "data_categories: [system.operations]  # perhaps %s: %.2f by %s", g.Category, g.Confidence, g.Why)
	default:
		w.line(12, "data_categories: [system.operations]")
	}
	var meta []string
	if slices.Contains(t.Key, c.Name) {
		meta = append(meta, "primary_key: true")
	}
	if kind := t.identity[i]; kind != "" {
		meta = append(meta, "identity: "+string(kind), "data_type: string")
	}
	comment := ""
	if len(t.refs[i]) > 0 {
		var refs []string
		for _, r := range t.refs[i] {
			refs = append(refs, fmt.Sprintf("{dataset: %s, field: %s, direction: %s}", plain(w.d.dataset(r.parent.Schema)), plain(r.parent.Name+"."+r.column), r.direction))
			if !r.declared {
				comment = "  # by its name: the database has no foreign key"
			}
		}
		meta = append(meta, "references: ["+strings.Join(refs, ", ")+"]")
	}
	if len(meta) > 0 {
		w.line(12, "fides_meta: {%s}%s", strings.Join(meta, ", "), comment)
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// plain writes a name so that YAML reads it as a string.
func plain(name string) string {
	switch strings.ToLower(name) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf":
		return strconv.Quote(name)
	}
	if plainWord.MatchString(name) {
		return name
	}
	return strconv.Quote(name)
}

// KeyOf makes a dataset's key of a database's name.
func KeyOf(database string) string {
	key := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, database), "_")
	if key == "" {
		return "database"
	}
	return key
}
