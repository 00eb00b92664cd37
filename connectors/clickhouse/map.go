package clickhouse

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Map says what the tables of a server hold. It is read from YAML, strictly: a
// key it doesn't know is an error.
type Map struct {
	// Normalise tells how values of a kind are compared: "lower" ignores the
	// case of letters and surrounding blanks; "exact" is the default for every
	// kind but email. Exact comparison can use a table's index.
	Normalise map[string]string `yaml:"normalise"`
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
	Identifiers map[string]Columns `yaml:"identifiers"`
	// Role is "business" (the default) or "service_provider".
	Role string `yaml:"role"`
	// Type is the column that tells the types of rows apart.
	Type string `yaml:"type"`
	// Categories give the category of each type of row, "*" that of every type
	// not named, or of all rows when there is no Type.
	Categories map[string]CategoryMap `yaml:"categories"`
	// Time is the Date or DateTime column that dates a row, for the look-back
	// window.
	Time string `yaml:"time"`
	// Withhold are columns that are never disclosed (11 CCR 7024(d)).
	Withhold []WithholdMap `yaml:"withhold"`
}

// CategoryMap is a category of personal information.
type CategoryMap struct {
	// Letter is the statutory category, "A" to "L".
	Letter string `yaml:"letter"`
	// Data is the finer data category, such as "user.behavior".
	Data string `yaml:"data"`
}

// WithholdMap is a column that is never disclosed.
type WithholdMap struct {
	// Column is the column's name.
	Column string `yaml:"column"`
	// As names the type of the item to the person.
	As string `yaml:"as"`
}

// Columns is one column or a list of them.
type Columns []string

// UnmarshalYAML accepts a single column for a list of one.
func (c *Columns) UnmarshalYAML(unmarshal func(any) error) error {
	texts, err := declared.OneOrMany(unmarshal)
	*c = texts
	return err
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
	m := &Map{}
	var err error
	if m.source, err = declared.Decode(file, data, m); err != nil {
		return nil, err
	}
	if err = m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// fault is an error about one field of a store: file, line and path.
func (m *Map) fault(store int, field, format string, args ...any) error {
	return m.source.Fault("stores", store, field, format, args...)
}

var (
	kindForm   = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	storeForm  = regexp.MustCompile(`^[a-z][a-z0-9_.-]*$`)
	columnForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	tableForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$`)
)

// check joins everything that is wrong with the map by itself. Names are held
// to letters that need no quoting, so that they can stand in a statement.
func (m *Map) check() error {
	if len(m.Stores) == 0 {
		return fmt.Errorf("%s:1: stores: name at least one store", m.source.Name)
	}
	for kind, how := range m.Normalise {
		if how != "lower" && how != "exact" {
			return fmt.Errorf("%s:1: normalise.%s: %q is neither lower nor exact", m.source.Name, kind, how)
		}
	}
	var errs []error
	seen, tables := map[string]bool{}, map[string]bool{}
	for i := range m.Stores {
		s := &m.Stores[i]
		fault := func(field, format string, args ...any) { errs = append(errs, m.fault(i, field, format, args...)) }
		if !storeForm.MatchString(s.Name) || seen[s.Name] {
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
		if !kindForm.MatchString(kind) {
			fault("identifiers", "kind %q must be lower-case words joined by '_'", kind)
		}
		for _, c := range s.Identifiers[kind] {
			if !columnForm.MatchString(c) {
				fault("identifiers", "%s: %q is no name of a column", kind, c)
			}
		}
	}
	if role := sdk.Role(s.Role); role != "" && role != sdk.Business && role != sdk.ServiceProvider {
		fault("role", "%q is neither %s nor %s", s.Role, sdk.Business, sdk.ServiceProvider)
	}
	if len(s.Categories) == 0 {
		fault("categories", `give at least "*"`)
	}
	for name, c := range s.Categories {
		if len(c.Letter) != 1 || c.Letter < "A" || c.Letter > "L" {
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

// lower reports whether a kind is compared in lower case.
func (m *Map) lower(kind sdk.Kind) bool {
	if how, ok := m.Normalise[string(kind)]; ok {
		return how == "lower"
	}
	return kind == sdk.Email
}

// normal is the form in which values of a kind are compared.
func (m *Map) normal(kind sdk.Kind, value string) string {
	if m.lower(kind) {
		return strings.ToLower(strings.TrimSpace(value))
	}
	return value
}

// Manifest is what the map says of the system: stores, categories, roles and
// the identifier kinds accepted, with the map's digest. Name and the other
// settings are the program's to fill in.
func (m *Map) Manifest() sdk.Manifest {
	man := sdk.Manifest{Digest: m.source.Digest}
	for _, s := range m.Stores {
		store := sdk.Store{Name: s.Name, Role: sdk.Role(s.Role)}
		if store.Role == "" {
			store.Role = sdk.Business
		}
		for _, c := range s.Categories {
			category := sdk.Category{Letter: c.Letter, Data: c.Data}
			if !slices.Contains(store.Categories, category) {
				store.Categories = append(store.Categories, category)
			}
		}
		slices.SortFunc(store.Categories, func(a, b sdk.Category) int {
			return strings.Compare(a.Letter+a.Data, b.Letter+b.Data)
		})
		man.Stores = append(man.Stores, store)
		for kind := range s.Identifiers {
			if !slices.Contains(man.Accepts, sdk.Kind(kind)) {
				man.Accepts = append(man.Accepts, sdk.Kind(kind))
			}
		}
	}
	slices.Sort(man.Accepts)
	return man
}
