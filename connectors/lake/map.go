package lake

import (
	"maps"
	"slices"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Map says what the files of a lake hold. It is read from YAML, strictly: a
// key it doesn't know is an error.
type Map struct {
	// Stores are the sets of files that hold personal data.
	Stores []StoreMap `yaml:"stores"`
	// Ignore are patterns, as in [StoreMap.Files], of files that lie among the
	// stores' files and hold no personal data; no store claims them. Files whose
	// name begins with "_" or "." are ignored without being listed here, by the
	// convention of lakes.
	// Any other file below a store's folder that no store claims is an error.
	Ignore []string `yaml:"ignore"`

	source *declared.File
}

// StoreMap describes one set of files.
type StoreMap struct {
	// Name is the store's name in evidence and exports.
	Name string `yaml:"name"`
	// Files is the pattern of their paths: "*" stands for anything within one
	// name, "**" for any number of folders.
	Files string `yaml:"files"`
	// Format is "jsonl" (the default), one JSON object a line; "csv", whose
	// first record names the columns unless Columns does; or "parquet".
	Format string `yaml:"format"`
	// Columns are the names of the columns of CSV whose first record is data,
	// all of them, in their order.
	Columns []string `yaml:"columns"`
	// Delimiter stands between the fields of CSV; the default is a comma.
	Delimiter string `yaml:"delimiter"`
	// Compression is "none", "gzip", "zstd" or, the default, "auto": by the
	// ending .gz or .zst of the file's name.
	Compression string `yaml:"compression"`
	// Partition is the key of the folder name that holds a file's day, such as
	// "dt" for dt=2026-01-31; empty when files are not partitioned by day.
	Partition string `yaml:"partition"`
	// Role is "business" (the default) or "service_provider".
	Role string `yaml:"role"`
	// Identifiers are the fields that hold each kind of identifier, each a path.
	// The names in a path are joined by dots; a dot within a name is written "\.".
	// Lists on the way are looked through, element by element. In CSV a path is
	// the name of a column as it is.
	Identifiers map[string]declared.Texts `yaml:"identifiers"`
	// Normalise tells how values of a kind are compared: "lower" ignores the
	// case of letters and surrounding blanks; "exact" is the default for every
	// kind but email.
	Normalise declared.Normalise `yaml:"normalise"`
	// Shared are lists whose elements each belong to the person named in the
	// element: of a record that is somebody's only through such elements, only
	// those are erased.
	Shared declared.Texts `yaml:"shared"`
	// Type is the field that tells the types of records apart.
	Type string `yaml:"type"`
	// Categories give the category of each type of record, "*" that of every
	// type not named, or of all records when there is no Type.
	Categories map[string]declared.Category `yaml:"categories"`
	// Time is the field that dates a record; without it the partition does.
	Time TimeMap `yaml:"time"`
	// Withhold are fields that are never disclosed (11 CCR 7024(d)).
	Withhold []WithholdMap `yaml:"withhold"`
}

// TimeMap names the field that dates a record.
type TimeMap struct {
	// Field is the path of the field.
	Field string `yaml:"field"`
	// Layout is "rfc3339" (the default), "date", "unix", "unix_ms", "unix_us"
	// or a layout as Go's package time writes it.
	Layout string `yaml:"layout"`
}

// WithholdMap is a field that is never disclosed.
type WithholdMap struct {
	// Field is the path of the field.
	Field string `yaml:"field"`
	// As names the type of the item to the person, such as
	// "driver's licence number".
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

// ParseMap reads and checks a map. The error names the file, the line and the
// field; file is only a name.
func ParseMap(file string, data []byte) (*Map, error) {
	return declared.Map(file, data, func(m *Map, f *declared.File) error {
		m.source = f
		if _, err := m.compile(); err != nil {
			return f.Placed(err)
		}
		return nil
	})
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
