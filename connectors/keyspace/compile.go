package keyspace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// store is a StoreMap made ready for use.
type store struct {
	name      string
	keys      *pattern
	typ       string
	member    *pattern // nil when entries are not told by their names
	fields    []identified
	provider  bool
	time      TimeMap
	keep      *KeepMap
	withhold  map[string]sdk.Withheld
	normalise declared.Normalise
}

// identified is a field that holds an identifier.
type identified struct {
	kind sdk.Kind
	path []string // of one name, save in JSON
}

// serverType is what TYPE says of the store's keys.
func (s *store) serverType() string {
	if s.typ == "json" {
		return "string"
	}
	return s.typ
}

// whole reports whether a key is one record: a document.
func (s *store) whole() bool {
	return s.typ == "string" || s.typ == "json" || s.typ == "hash" && s.member == nil
}

// byKey reports whether a key's name tells whose it is.
func (s *store) byKey() bool { return s.keys.kind != "" }

// dated reports whether the records have a time.
func (s *store) dated() bool {
	return s.typ == "stream" || s.time != TimeMap{}
}

// kinds are the identifier kinds by which the store finds somebody.
func (s *store) kinds() []sdk.Kind {
	var kinds []sdk.Kind
	add := func(k sdk.Kind) {
		if k != "" && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	add(s.keys.kind)
	if s.member != nil {
		add(s.member.kind)
	}
	for _, f := range s.fields {
		add(f.kind)
	}
	return kinds
}

var types = []string{"string", "json", "hash", "set", "zset", "list", "stream"}

// compile checks the map and makes its stores ready for use. The error joins
// all faults.
func (m *Map) compile() ([]*store, error) {
	if len(m.Stores) == 0 {
		return nil, fmt.Errorf("%s:1: stores: name at least one store", m.source.Name)
	}
	separator := m.Separator
	if separator == "" {
		separator = ":"
	}
	if len(separator) != 1 {
		return nil, fmt.Errorf("%s:1: separator: want one ASCII character", m.source.Name)
	}
	if err := m.Normalise.Check(); err != nil {
		return nil, m.source.Placed(err)
	}
	var stores []*store
	var errs []error
	for i := range m.Stores {
		s := &store{normalise: m.Normalise}
		fault := func(field, format string, args ...any) { errs = append(errs, m.fault(i, field, format, args...)) }
		s.compile(&m.Stores[i], separator, fault)
		if slices.ContainsFunc(stores, func(t *store) bool { return t.name == s.name }) {
			fault("name", "there are two stores named %s", s.name)
		}
		stores = append(stores, s)
	}
	return stores, errors.Join(errs...)
}

type faulter func(field, format string, args ...any)

func (s *store) compile(spec *StoreMap, separator string, fault faulter) {
	s.name, s.typ, s.time, s.keep = spec.Name, spec.Type, spec.Time, spec.Keep
	s.provider = spec.Role == string(sdk.ServiceProvider)
	if !declared.IsStore(spec.Name) {
		fault("name", "%q must begin with a lower-case letter and hold only these, digits, '_', '-' and '.'", spec.Name)
	}
	if !slices.Contains(types, spec.Type) {
		fault("type", "%q: want one of %s", spec.Type, strings.Join(types, ", "))
	}
	if err := declared.CheckRole(spec.Role); err != nil {
		fault("role", "%v", err)
	}
	if !spec.Category.Lettered() {
		fault("category", "letter %q: want A to L (Civ. Code 1798.140(v)(1))", spec.Category.Letter)
	}
	s.withhold = map[string]sdk.Withheld{}
	for _, w := range spec.Withhold {
		if w.Field == "" || w.As == "" {
			fault("withhold", "each needs field, and as: what it is called to the person")
		}
		s.withhold[w.Field] = sdk.Withheld(w.As)
	}
	s.compileOwner(spec, separator, fault)
	s.compileTime(spec, fault)
}

// compileOwner reads how a record tells whose it is: by its key, by its name
// within the key, or by its content, and by one of these alone.
func (s *store) compileOwner(spec *StoreMap, separator string, fault faulter) {
	var err error
	if s.keys, err = parsePattern(spec.Keys, separator); err != nil {
		fault("keys", "%v", err)
		s.keys = &pattern{}
	}
	ways := 0
	if s.keys.kind != "" {
		ways++
	}
	if spec.Member != "" {
		ways++
		if s.member, err = parsePattern(spec.Member, separator); err != nil {
			fault("member", "%v", err)
		} else if s.member.kind == "" {
			fault("member", "has no <kind>: which part of it is the identifier?")
		}
		if !slices.Contains([]string{"set", "zset", "list", "hash"}, spec.Type) {
			fault("member", "a %s has no members", spec.Type)
		}
	}
	if len(spec.Identifiers) > 0 {
		ways++
		if spec.Type == "string" {
			fault("identifiers", "a plain string has no fields: use type json")
		}
	}
	if ways != 1 {
		fault("keys", "want one way to tell whose a record is, and there are %d: a <kind> in keys, member, or identifiers", ways)
	}
	for _, kind := range slices.Sorted(maps.Keys(spec.Identifiers)) {
		if !declared.IsKind(kind) {
			fault("identifiers", "kind %q must be lower-case words joined by '_'", kind)
		}
		for _, field := range spec.Identifiers[kind] {
			path := []string{field}
			if spec.Type != "hash" && spec.Type != "stream" {
				path = strings.Split(field, ".")
			}
			if slices.Contains(path, "") {
				fault("identifiers", "%s: %q is not a path of names joined by dots", kind, field)
			}
			s.fields = append(s.fields, identified{kind: sdk.Kind(kind), path: path})
		}
	}
}

func (s *store) compileTime(spec *StoreMap, fault faulter) {
	shared := !s.byKey()
	if spec.Type == "stream" && shared && spec.TrimmedAfter <= 0 {
		fault("name", "trimmed_after is missing: a removed entry's bytes stay in the stream until it is trimmed, so say after how long it is")
	}
	if spec.TrimmedAfter != 0 && spec.Type != "stream" {
		fault("trimmed_after", "only streams are trimmed")
	}
	if spec.Time.Field != "" && (spec.Type == "string" || spec.Type == "hash" && spec.Member != "") {
		fault("time", "this store's records have no fields")
	}
	if spec.Time.Field == "" && spec.Time.Layout != "" && spec.Type != "zset" {
		fault("time", "field is missing: which one dates a record?")
	}
	if spec.Type == "zset" && spec.Time.Field == "" && spec.Time.Layout != "" && spec.Time.Layout != "unix" && spec.Time.Layout != "unix_ms" {
		fault("time", "layout %q: a score is unix or unix_ms", spec.Time.Layout)
	}
	if (spec.Type == "set" || spec.Type == "list" || spec.Type == "zset") && spec.Time.Field != "" && len(spec.Identifiers) == 0 {
		fault("time", "members are dated by a field only where they are JSON and identifiers say so")
	}
	if k := spec.Keep; k != nil {
		if k.Basis == "" || k.For <= 0 {
			fault("keep", "needs basis and for")
		}
		if !s.dated() {
			fault("keep", "the records have no date to keep them from: give time")
		}
		if len(k.Needs) > 0 && (spec.Type != "hash" || spec.Member != "") {
			fault("keep", "needs: only the fields of a hash can be removed one by one")
		}
		if len(k.Needs) > 0 && spec.Time.Field != "" && !slices.Contains(k.Needs, spec.Time.Field) {
			fault("keep", "needs: %s is missing, without which nobody would know until when to keep it", spec.Time.Field)
		}
	}
}

// parse reads a record's date; nothing is no date, what can't be read is
// an error.
func (t TimeMap) parse(text string) (time.Time, error) {
	switch t.Layout {
	case "unix", "unix_ms":
		unit := time.Second
		if t.Layout == "unix_ms" {
			unit = time.Millisecond
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n > -1e15 && n < 1e15) {
			return time.Time{}, errNoTime
		}
		if unit == time.Second {
			return time.UnixMilli(int64(n * 1000)).UTC(), nil
		}
		return time.UnixMilli(int64(n)).UTC(), nil
	}
	layout := t.Layout
	if layout == "" || layout == "rfc3339" {
		layout = time.RFC3339Nano
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, errNoTime // the parser's error repeats the text
	}
	return at.UTC(), nil
}

var errNoTime = errors.New("a record's time is not what the map's layout says")
