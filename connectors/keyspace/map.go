package keyspace

import (
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Map says what the keys of a server hold. It is read from YAML, strictly: a
// key it doesn't know is an error.
type Map struct {
	// Separator stands between the segments of a key; the default is ":".
	Separator string `yaml:"separator"`
	// Normalise tells how values of a kind are compared: "lower" ignores the
	// case of letters and surrounding blanks; "exact" is the default for every
	// kind but email. Keys named after a kind that is compared in lower case
	// are found by walking the keys; exact ones are asked for by name.
	Normalise declared.Normalise `yaml:"normalise"`
	// Stores are the sets of keys that hold personal data.
	Stores []StoreMap `yaml:"stores"`

	source *declared.File
}

// StoreMap describes one set of keys.
type StoreMap struct {
	// Name is the store's name in evidence and exports.
	Name string `yaml:"name"`
	// Keys is the pattern of the keys' names. "<kind>" stands for an
	// identifier and "*" for one whole segment; a backslash takes the meaning
	// from the next character.
	Keys string `yaml:"keys"`
	// Type is "string", "json" (a string that holds a JSON object), "hash",
	// "set", "zset", "list" or "stream".
	Type string `yaml:"type"`
	// Member is the pattern of the members of a set or zset, the elements of a
	// list, or the names of a hash's fields, of keys that many people share.
	Member string `yaml:"member"`
	// Identifiers are the fields that name the person, by kind: of a hash, of
	// a stream's entries, or of the JSON objects that are the value, members or
	// elements. In JSON a dot leads into an object.
	Identifiers map[string]declared.Texts `yaml:"identifiers"`
	// Category is the category of personal information.
	Category declared.Category `yaml:"category"`
	// Role is "business" (the default) or "service_provider".
	Role string `yaml:"role"`
	// Time dates a record.
	Time TimeMap `yaml:"time"`
	// Keep is set when the law wants these records kept.
	Keep *KeepMap `yaml:"keep"`
	// TrimmedAfter is how long a stream's entries stay before it is trimmed.
	// A removed entry can't be read any more, and its bytes stay in memory and
	// in dumps until its block is trimmed; the evidence says until when.
	TrimmedAfter time.Duration `yaml:"trimmed_after"`
	// Withhold are fields that are never disclosed (11 CCR 7024(d)).
	Withhold []WithholdMap `yaml:"withhold"`
}

// TimeMap says what dates a record. A stream's entries are dated by their ids.
type TimeMap struct {
	// Field is the field of a hash, a stream's entry or a JSON object. For a
	// zset without a field it is the score.
	Field string `yaml:"field"`
	// Layout is "rfc3339" (the default), "unix", "unix_ms" or a layout as Go's
	// package time writes it. A score is "unix" or "unix_ms".
	Layout string `yaml:"layout"`
}

// KeepMap keeps records for a legal basis, for a time from their date.
type KeepMap struct {
	// Basis is the code of the exception.
	Basis string `yaml:"basis"`
	// For is how long from the record's date.
	For time.Duration `yaml:"for"`
	// Needs are the fields of a hash that the basis needs; the others are
	// removed when the person is erased. Empty means all.
	Needs []string `yaml:"needs"`
	// Facts are what the law asks for with the basis: legal_ref, reference,
	// assessment or facts.
	Facts sdk.Facts `yaml:"facts"`
}

// WithholdMap is a field that is never disclosed.
type WithholdMap struct {
	// Field is the name of a hash's or entry's field, or of a member of a JSON
	// object.
	Field string `yaml:"field"`
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
		_, err := m.compile()
		return err
	})
}

// fault is an error about one field of a store: file, line and path.
func (m *Map) fault(store int, field, format string, args ...any) error {
	return m.source.Fault("stores", store, field, format, args...)
}

// Manifest is what the map says of the system: stores, categories, roles and
// the identifier kinds accepted, with the map's digest. Name and the other
// settings are the program's to fill in.
func (m *Map) Manifest() sdk.Manifest {
	man := sdk.Manifest{Digest: m.source.Digest}
	stores, err := m.compile()
	if err != nil {
		return man // ParseMap has refused it
	}
	for i, s := range stores {
		spec := m.Stores[i]
		st := declared.Store(s.name, spec.Role, slices.Values([]declared.Category{spec.Category}))
		if k := spec.Keep; k != nil {
			st.Retains = []sdk.Retention{{Basis: k.Basis, Ends: true, Facts: k.Facts}}
		}
		man.Stores = append(man.Stores, st)
		for _, k := range s.kinds() {
			if !slices.Contains(man.Accepts, k) {
				man.Accepts = append(man.Accepts, k)
			}
		}
		man.BackupExpiry = max(man.BackupExpiry, spec.TrimmedAfter)
	}
	slices.Sort(man.Accepts)
	return man
}
