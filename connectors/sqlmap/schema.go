package sqlmap

import (
	"slices"
	"strings"
)

// table is a live table.
type table struct {
	schema, name string
	columns      []*column
	// key are the columns of the primary key, or of a unique key without
	// NULLs; when there is neither, rowid names the database's own row
	// locator, good within one transaction.
	key     []*column
	rowid   string
	primary []string
	uniques [][]string
	// refers are the foreign keys of this table, referred those of any table
	// that point here.
	refers, referred []*foreignKey
	checks           []check
	// unfit says why rows can't be erased from the table at all, or is empty.
	unfit string
}

// class is what kind of values a column holds, as far as erasing and
// comparing care.
type class int

const (
	classText class = iota
	classInt
	classNumber
	classBool
	classTime
	classUUID
	classJSON
	classBytes
	classOther
)

// column is a live column.
type column struct {
	name      string
	typ       string // the database's name of the type, fit for a cast
	class     class
	length    int // most characters, or 0
	notNull   bool
	generated bool
	// way leads from a column that holds documents to the field this stands
	// for; typed is set when that may hold numbers that are compared as such.
	way   []node
	typed bool
	// charset and collation say how MySQL compares text.
	charset, collation string
}

// foreignKey is a reference the database enforces.
type foreignKey struct {
	name                         string
	childSchema, child           string
	parentSchema, parent         string
	childCols, parentCols        []string
	cascade, setNull, deferrable bool
}

// check is a CHECK constraint.
type check struct {
	name string
	text string // lower case
	cols []string
}

func (t *table) column(name string) *column {
	for _, c := range t.columns {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (t *table) names() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// unique reports whether the database keeps values of the column apart.
func (t *table) unique(name string) bool {
	return slices.ContainsFunc(t.uniques, func(u []string) bool { return len(u) == 1 && u[0] == name })
}

// inUnique reports whether the column is part of any unique key.
func (t *table) inUnique(name string) bool {
	return slices.ContainsFunc(t.uniques, func(u []string) bool { return slices.Contains(u, name) })
}

// inKey reports whether the column is part of the primary or the row key.
func (t *table) inKey(name string) bool {
	return slices.Contains(t.primary, name) || slices.ContainsFunc(t.key, func(c *column) bool { return c.name == name })
}

// width is how many values locate a row.
func (t *table) width() int { return max(1, len(t.key)) }

// schema is the part of the live schema that the map touches.
type schema struct {
	tables []*table
}

func (s *schema) find(schemaName, name string) *table {
	for _, t := range s.tables {
		if t.schema == schemaName && t.name == name {
			return t
		}
	}
	return nil
}

// connect attaches foreign keys to both of their tables.
func (s *schema) connect(keys []*foreignKey) {
	for _, k := range keys {
		if t := s.find(k.childSchema, k.child); t != nil {
			t.refers = append(t.refers, k)
		}
		if t := s.find(k.parentSchema, k.parent); t != nil {
			t.referred = append(t.referred, k)
		}
	}
}

// pickKey chooses the primary key given, or else a unique key without NULLs.
func (t *table) pickKey(primary []string) {
	candidates := append([][]string{primary}, t.uniques...)
	for _, names := range candidates {
		var key []*column
		for _, name := range names {
			if c := t.column(name); c != nil && c.notNull {
				key = append(key, c)
			}
		}
		if len(names) > 0 && len(key) == len(names) {
			t.key = key
			return
		}
	}
}
