package clickhouse

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Map says what the tables of a server hold. It is read from YAML, strictly: a
// key it doesn't know is an error.
type Map struct {
	// Normalise tells how values of a kind are compared: "lower" ignores the
	// case of letters and surrounding blanks; "exact" is the default for every
	// kind but email. Exact comparison can use a table's index.
	Normalise declared.Normalise `yaml:"normalise"`
	// Stores are the tables that hold personal data.
	Stores []StoreMap `yaml:"stores"`

	source *declared.File
}

// StoreMap describes one table.
type StoreMap struct {
	// Name is the store's name in evidence and exports.
	Name string `yaml:"name"`
	// Table is the table's name, with its database before a dot.
	Table string `yaml:"table"`
	// Identifiers are the columns that hold each kind of identifier.
	Identifiers map[string]declared.Texts `yaml:"identifiers"`
	// Role is "business" (the default) or "service_provider".
	Role string `yaml:"role"`
	// Type is the column that tells the types of rows apart.
	Type string `yaml:"type"`
	// Categories give the category of each type of row, "*" that of every type
	// not named, or of all rows when there is no Type.
	Categories map[string]declared.Category `yaml:"categories"`
	// Time is the Date or DateTime column that dates a row, for the look-back
	// window.
	Time string `yaml:"time"`
	// Withhold are columns that are never disclosed (11 CCR 7024(d)).
	Withhold []WithholdMap `yaml:"withhold"`
}

// WithholdMap is a column that is never disclosed.
type WithholdMap struct {
	// Column is the column's name.
	Column string `yaml:"column"`
	// As names the type of the item to the person.
	As string `yaml:"as"`
}

// ReadMap reads and checks the map in a file.
func ReadMap(file string) (*Map, error) {
	name, data, err := declared.Read(file, "map")
	if err != nil {
		return nil, err
	}
	return ParseMap(name, data)
}

// ParseMap reads and checks a map. The error names every fault with the file,
// its line and its field; file is only a name.
func ParseMap(file string, data []byte) (*Map, error) {
	return declared.Map(file, data, func(m *Map, f *declared.File) error {
		m.source = f
		return m.check()
	})
}

// fault is an error about one field of a store: file, line and path.
func (m *Map) fault(store int, field, format string, args ...any) error {
	return m.source.Fault("stores", store, field, format, args...)
}

var (
	columnForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	tableForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$`)
)

// check joins everything that is wrong with the map by itself. Names are held
// to letters that need no quoting, so that they can stand in a statement.
func (m *Map) check() error {
	if len(m.Stores) == 0 {
		return fmt.Errorf("%s:1: stores: name at least one store", m.source.Name)
	}
	if err := m.Normalise.Check(); err != nil {
		return m.source.Placed(err)
	}
	var errs []error
	seen, tables := map[string]bool{}, map[string]bool{}
	for i := range m.Stores {
		s := &m.Stores[i]
		fault := func(field, format string, args ...any) { errs = append(errs, m.fault(i, field, format, args...)) }
		if !declared.IsStore(s.Name) || seen[s.Name] {
			fault("name", "%q is used twice, or not made of lower-case letters, digits, '_', '-' and '.' after a letter", s.Name)
		}
		if !tableForm.MatchString(s.Table) {
			fault("table", "%q: want database.table", s.Table)
		}
		if tables[s.Table] {
			fault("table", "%s is in two stores: its rows would be counted twice", s.Table)
		}
		seen[s.Name], tables[s.Table] = true, true
		s.check(fault)
	}
	return errors.Join(errs...)
}

func (s *StoreMap) check(fault func(field, format string, args ...any)) {
	if len(s.Identifiers) == 0 {
		fault("identifiers", "name the columns that hold at least one kind of identifier")
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Identifiers)) {
		if !declared.IsKind(kind) {
			fault("identifiers", "kind %q must be lower-case words joined by '_'", kind)
		}
		for _, c := range s.Identifiers[kind] {
			if !columnForm.MatchString(c) {
				fault("identifiers", "%s: %q is no name of a column", kind, c)
			}
		}
	}
	if err := declared.CheckRole(s.Role); err != nil {
		fault("role", "%v", err)
	}
	if len(s.Categories) == 0 {
		fault("categories", `give at least "*"`)
	}
	for name, c := range s.Categories {
		if !c.Lettered() {
			fault("categories", "%s: letter %q: want A to L (Civ. Code 1798.140(v)(1))", name, c.Letter)
		}
		if s.Type == "" && name != "*" {
			fault("categories", `%s: without type there is only "*"`, name)
		}
	}
	if s.Time != "" && !columnForm.MatchString(s.Time) {
		fault("time", "%q is no name of a column", s.Time)
	}
	if s.Type != "" && !columnForm.MatchString(s.Type) {
		fault("type", "%q is no name of a column", s.Type)
	}
	for _, w := range s.Withhold {
		if !columnForm.MatchString(w.Column) || w.As == "" {
			fault("withhold", "each needs column, and as: what it is called to the person")
		}
	}
}

// Manifest is what the map says of the system: stores, categories, roles and
// the identifier kinds accepted, with the map's digest. Name and the other
// settings are the program's to fill in.
func (m *Map) Manifest() sdk.Manifest {
	man := sdk.Manifest{Digest: m.source.Digest}
	for _, s := range m.Stores {
		man.Stores = append(man.Stores, declared.Store(s.Name, s.Role, maps.Values(s.Categories)))
		for kind := range s.Identifiers {
			if !slices.Contains(man.Accepts, sdk.Kind(kind)) {
				man.Accepts = append(man.Accepts, sdk.Kind(kind))
			}
		}
	}
	slices.Sort(man.Accepts)
	return man
}
