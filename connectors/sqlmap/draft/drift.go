package draft

import (
	"fmt"
	"strings"

	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// Finding is a column that looks personal and that the map says nothing of.
type Finding struct {
	Table, Column string
	Guess         Guess
	// Line is where the map has the column or, when it does not, the table; 0
	// when it has neither.
	Line int
	// Missing is "table", "column" or "category".
	Missing string
}

// String is the finding in words, without any value.
func (f Finding) String() string {
	what := map[string]string{
		"table":    "the map does not have the table",
		"column":   "the map does not have the column",
		"category": "the map gives it no data category; if it is not personal, say system.operations",
	}[f.Missing]
	return fmt.Sprintf("%s.%s looks like %s (%.2f by %s): %s", f.Table, f.Column, f.Guess.Category, f.Guess.Confidence, f.Guess.Why, what)
}

// Drift compares a map with a live schema and returns the columns that look
// personal with at least the given confidence and are not mapped. A category
// that the map gives, whichever it is, is a person's decision.
func Drift(m *sqlmap.Map, s *sqlmap.Survey, threshold float64) []Finding {
	var findings []Finding
	for i := range s.Tables {
		t := &s.Tables[i]
		at, c := collection(m, t)
		for j := range t.Columns {
			column := &t.Columns[j]
			g := GuessColumn(t.Name, column)
			if g.Confidence < threshold || g.Category == "" {
				continue
			}
			f := Finding{Table: t.Name, Column: column.Name, Guess: g}
			if t.Schema != "" {
				f.Table = t.Schema + "." + t.Name
			}
			if f.Line, f.Missing = look(m, at, c, column.Name); f.Missing != "" {
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// collection finds the table in the map.
func collection(m *sqlmap.Map, t *sqlmap.SurveyTable) (path string, c *sqlmap.Collection) {
	for di := range m.Datasets {
		d := &m.Datasets[di]
		schema := ""
		for _, meta := range []*sqlmap.DatasetMeta{d.FidesMeta, d.FidesopsMeta} {
			if meta != nil && meta.Namespace["schema"] != "" && meta.Namespace["schema"] != "public" {
				schema = meta.Namespace["schema"]
			}
		}
		for ci := range d.Collections {
			if strings.EqualFold(d.Collections[ci].Name, t.Name) && (schema == t.Schema || t.Schema == "") {
				return fmt.Sprintf("$.dataset[%d].collections[%d]", di, ci), &d.Collections[ci]
			}
		}
	}
	return "", nil
}

// look says where the map has a column, and what it lacks of it.
func look(m *sqlmap.Map, path string, c *sqlmap.Collection, column string) (line int, missing string) {
	if c == nil {
		return 0, "table"
	}
	for fi := range c.Fields {
		f := &c.Fields[fi]
		if !strings.EqualFold(f.Name, column) {
			continue
		}
		if said(f) || len(c.DataCategories) > 0 {
			return 0, ""
		}
		return m.Line(fmt.Sprintf("%s.fields[%d].name", path, fi)), "category"
	}
	return m.Line(path + ".name"), "column"
}

// said reports whether the map says anything of what a field holds: a
// category, of its own or of a part, or that it ties rows together.
func said(f *sqlmap.Field) bool {
	if len(f.DataCategories) > 0 {
		return true
	}
	for _, meta := range []*sqlmap.FieldMeta{f.FidesMeta, f.FidesopsMeta} {
		if meta != nil && (meta.Identity != "" || meta.PrimaryKey || len(meta.References) > 0) {
			return true
		}
	}
	for i := range f.Fields {
		if said(&f.Fields[i]) {
			return true
		}
	}
	return false
}
