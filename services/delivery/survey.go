package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"
)

const (
	// maxColumns bounds the columns of one CSV; the fields of a record beyond
	// them go together into one more column.
	maxColumns = 2000
	moreFields = "more fields"
	// maxName is the longest name that is worth a column.
	maxName = 512
	// maxWithheld bounds the lines of one store's list of what is withheld.
	maxWithheld = 5000

	sampleRows   = 20
	sampleFields = 40
)

// storeData is what a first pass learned of one store of one connector.
type storeData struct {
	connector, name string
	parts           []*spooled
	declared        []string // letters of the manifest
	records         int64
	counts          map[string]int64 // records by letter; "" when a record has none
	columns         []string
	columnIndex     map[string]int
	more            bool // some record has fields beyond maxColumns
	samples         [][]sampleField
	withheld        map[withheldItem]int64
	csv             string // file name in the package
	documents       bool   // some record has one
	// texts counts by field the records that have a text there; nil does not count.
	texts map[string]int64
}

// sampleField is a field as the page shows it: its value, or the type of what
// is withheld, or how many fields there are besides.
type sampleField struct {
	Name, Value, Withheld string
	More                  int
	// File is the document of which Value is the name.
	File string
}

// withheldItem is one kind of thing withheld in one place.
type withheldItem struct {
	field, kind, basis, foundBy string
}

// Who found an item that is withheld.
const (
	byConnector = "connector"
	byScan      = "content scan"
	byException = "exception"
)

// survey reads all parts once: it proves that every record can be read and
// screened, and gathers what has to be known before the first byte is written.
func survey(ctx context.Context, parts []*spooled, identity age.Identity, sc *screen, findTexts bool) ([]*storeData, error) {
	byName := map[[2]string]*storeData{}
	var stores []*storeData
	for _, p := range parts {
		k := [2]string{p.Connector, p.Store}
		s := byName[k]
		if s == nil {
			s = &storeData{connector: p.Connector, name: p.Store, counts: map[string]int64{}, columnIndex: map[string]int{}, withheld: map[withheldItem]int64{}}
			if findTexts {
				s.texts = map[string]int64{}
			}
			byName[k] = s
			stores = append(stores, s)
		}
		s.parts = append(s.parts, p)
		s.declared = append(s.declared, p.Categories...)
		clean := true
		if err := p.each(ctx, identity, sc, func(r *record) error {
			clean = clean && !slices.ContainsFunc(r.fields, func(f field) bool { return f.scanned })
			s.add(r)
			return nil
		}); err != nil {
			return nil, err
		}
		p.clean = clean
		if err := s.addDeclared(p.Withheld, sc); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(stores, func(a, b *storeData) int {
		return cmp.Or(strings.Compare(a.connector, b.connector), strings.Compare(a.name, b.name))
	})
	stores = slices.DeleteFunc(stores, func(s *storeData) bool { return s.records == 0 && len(s.withheld) == 0 })
	nameFiles(stores)
	return stores, nil
}

// categories are the letters of the store's records, sorted. Those that the
// manifest declares count when some record does not say its own.
func (s *storeData) categories() []string {
	letters := slices.Collect(maps.Keys(s.counts))
	if s.counts[""] > 0 {
		letters = append(letters, s.declared...)
	}
	letters = slices.DeleteFunc(letters, func(letter string) bool { return letter == "" })
	slices.Sort(letters)
	return slices.Compact(letters)
}

func (s *storeData) add(r *record) {
	s.records++
	s.counts[r.category]++
	for _, f := range r.fields {
		if _, ok := s.columnIndex[f.name]; !ok {
			if len(s.columns) >= maxColumns || len(f.name) > maxName {
				s.more = true
			} else {
				s.columnIndex[f.name] = len(s.columns)
				s.columns = append(s.columns, f.name)
			}
		}
		s.addWithheld(f)
		s.documents = s.documents || f.file != nil
		s.addText(f)
	}
	if len(s.samples) < sampleRows {
		s.samples = append(s.samples, sample(r))
	}
}

func (s *storeData) addWithheld(f field) {
	foundBy := byConnector
	switch {
	case f.basis != "":
		foundBy = byException
	case f.scanned:
		foundBy = byScan
	}
	name := f.name
	if _, ok := s.columnIndex[name]; !ok {
		name = moreFields // as the CSV has it; the number of names stays bounded
	}
	kinds := f.inside
	if f.withheld != "" {
		kinds = []string{f.withheld}
	}
	for _, kind := range kinds {
		item := withheldItem{name, kind, cmp.Or(f.basis, basisOf(kind)), foundBy}
		if s.withheld[item] == 0 && len(s.withheld) >= maxWithheld {
			item = withheldItem{moreFields, withheldUnnamed, withheldBasis, foundBy}
		}
		s.withheld[item]++
	}
}

// addDeclared adds the types of the connector's record that no field shows.
func (s *storeData) addDeclared(kinds []string, sc *screen) error {
	for _, kind := range kinds {
		f, err := sc.field("", nil, kind)
		if err != nil {
			return err
		}
		seen := false
		for item := range s.withheld {
			seen = seen || item.kind == f.withheld
		}
		if !seen {
			s.withheld[withheldItem{"", f.withheld, basisOf(f.withheld), byConnector}] = 0
		}
	}
	return nil
}

func sample(r *record) []sampleField {
	fields := make([]sampleField, 0, min(len(r.fields), sampleFields))
	for _, f := range r.fields[:min(len(r.fields), sampleFields)] {
		one := sampleField{Name: shown(f.name, 80), Value: shown(cellText(f.value), 300), Withheld: shown(f.withheld, 120)}
		if f.file != nil {
			one.File = f.file.name
		}
		fields = append(fields, one)
	}
	if n := len(r.fields) - sampleFields; n > 0 {
		fields = append(fields, sampleField{Name: "…", More: n})
	}
	return fields
}

// cellText is a value as text: a string's content, nothing for null, and JSON
// for all else.
func cellText(value json.RawMessage) string {
	switch {
	case len(value) == 0 || value[0] == 'n':
		return ""
	case value[0] != '"':
		return string(value)
	}
	text, _ := textOf(value)
	return text
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// nameFiles gives every store its CSV: csv/<connector>-<store>.csv, with what
// does not fit a file name replaced, and distinct on systems that ignore case.
func nameFiles(stores []*storeData) {
	seen := map[string]bool{}
	for _, s := range stores {
		base := "csv/" + s.connector + "-" + unfit.ReplaceAllString(s.name, "_")
		base = base[:min(len(base), 120)]
		name := base + ".csv"
		for n := 2; seen[strings.ToLower(name)]; n++ {
			name = fmt.Sprintf("%s-%d.csv", base, n)
		}
		seen[strings.ToLower(name)] = true
		s.csv = name
	}
}
