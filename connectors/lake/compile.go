package lake

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// store is a StoreMap made ready for use.
type store struct {
	name       string
	files      pattern
	format     format
	partition  string
	provider   bool       // held as a service provider
	kinds      []sdk.Kind // by the number that tree nodes use
	lower      []bool     // by kind number: compare in lower case
	fields     *node
	flat       bool // paths are names as they are
	typed      bool
	letters    map[string]string // type of record to statutory letter
	letter     string            // letter of every other type, or empty
	when       timeLayout
	withheldAs []string // by the number that tree nodes use
	others     int      // in withheldAs: what stands for another person's element
}

// node is one name in the tree of the field paths a store's map mentions.
type node struct {
	path     string
	children []*node
	name     string // the last name of path
	kind     int    // number of the identifier kind held here, or -1
	withheld int    // number of the item withheld here, or -1
	typ      bool   // the type of the record is here
	time     bool   // the time of the record is here
	shared   bool   // elements of this list belong to different people
	leads    bool   // an identifier lies further down
}

func newNode(path, name string) *node { return &node{path: path, name: name, kind: -1, withheld: -1} }

// child is the node for a member of an object, or nil.
func (n *node) child(name []byte) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == string(name) {
			return c
		}
	}
	return nil
}

// add makes sure that path is in the tree and returns its node and those above.
func (s *store) add(path string) (*node, []*node, error) {
	names, err := splitPath(path)
	if s.flat && path != "" {
		names, err = []string{path}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var above []*node
	at := s.fields
	for i, name := range names {
		above = append(above, at)
		next := at.child([]byte(name))
		if next == nil {
			next = newNode(strings.Join(names[:i+1], "."), name)
			at.children = append(at.children, next)
		}
		at = next
	}
	return at, above, nil
}

func splitPath(path string) ([]string, error) {
	var names []string
	var name strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			name.WriteByte(path[i])
		case path[i] == '.':
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteByte(path[i])
		}
	}
	names = append(names, name.String())
	if slices.Contains(names, "") {
		return nil, fmt.Errorf("%q is not a path of field names joined by dots", path)
	}
	return names, nil
}

// compile checks the map and makes its stores ready for use.
func (m *Map) compile() ([]*store, error) {
	if len(m.Stores) == 0 {
		return nil, errors.New("stores: name at least one store")
	}
	var stores []*store
	for i := range m.Stores {
		sm := &m.Stores[i]
		s, err := sm.compile()
		if err != nil {
			return nil, fmt.Errorf("stores[%d]: %w", i, err)
		}
		if slices.ContainsFunc(stores, func(t *store) bool { return t.name == s.name }) {
			return nil, fmt.Errorf("stores[%d].name: there are two stores named %s", i, s.name)
		}
		stores = append(stores, s)
	}
	for i, p := range m.Ignore {
		if _, err := parsePattern(p); err != nil {
			return nil, fmt.Errorf("ignore[%d]: %w", i, err)
		}
	}
	return stores, nil
}

func (sm *StoreMap) compile() (*store, error) {
	s := &store{name: sm.Name, partition: sm.Partition, provider: sm.Role == string(sdk.ServiceProvider), fields: newNode("", ""), flat: sm.Format == "csv"}
	if !declared.IsStore(sm.Name) {
		return nil, fmt.Errorf("name: %q must begin with a lower-case letter and hold only these, digits, '_', '-' and '.'", sm.Name)
	}
	var err error
	if s.files, err = parsePattern(sm.Files); err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	if s.format, err = newFormat(sm); err != nil {
		return nil, err
	}
	if err := declared.CheckRole(sm.Role); err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	for _, step := range []func(*StoreMap) error{s.compileIdentifiers, s.compileCategories, s.compileOthers} {
		if err := step(sm); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *store) compileIdentifiers(sm *StoreMap) error {
	if len(sm.Identifiers) == 0 {
		return errors.New("identifiers: name the fields that hold at least one kind of identifier")
	}
	for _, kind := range slices.Sorted(maps.Keys(sm.Identifiers)) {
		if !declared.IsKind(kind) {
			return fmt.Errorf("identifiers: kind %q must be lower-case words joined by '_'", kind)
		}
		fields := sm.Identifiers[kind]
		if len(fields) == 0 {
			return fmt.Errorf("identifiers.%s: name at least one field", kind)
		}
		number := len(s.kinds)
		s.kinds = append(s.kinds, sdk.Kind(kind))
		s.lower = append(s.lower, sm.Normalise.Lower(sdk.Kind(kind)))
		for _, path := range fields {
			n, above, err := s.add(path)
			if err != nil {
				return fmt.Errorf("identifiers.%s: %w", kind, err)
			}
			if n.kind >= 0 {
				return fmt.Errorf("identifiers.%s: field %s already holds %s", kind, path, s.kinds[n.kind])
			}
			n.kind = number
			for _, a := range above {
				a.leads = true
			}
		}
	}
	for kind := range sm.Normalise {
		if !slices.Contains(s.kinds, sdk.Kind(kind)) {
			return fmt.Errorf("normalise.%s: this store has no such identifier", kind)
		}
	}
	return sm.Normalise.Check()
}

func (s *store) compileCategories(sm *StoreMap) error {
	s.letters = make(map[string]string)
	if len(sm.Categories) == 0 {
		return errors.New(`categories: give the category of each type of record, or of "*"`)
	}
	types := slices.Sorted(maps.Keys(sm.Categories))
	slices.Reverse(types) // "*" is for the rest, and last
	for _, typ := range types {
		c := sm.Categories[typ]
		if !c.Lettered() {
			return fmt.Errorf("categories.%s.letter: %q is not a letter from A to L (Civ. Code 1798.140(v)(1))", typ, c.Letter)
		}
		if c.Data == "" {
			return fmt.Errorf("categories.%s.data: name the data category, such as user.behavior", typ)
		}
		if typ == "*" {
			s.letter = c.Letter
			continue
		}
		s.letters[typ] = c.Letter
	}
	switch {
	case sm.Type == "" && len(s.letters) > 0:
		return errors.New("type: categories tell types of records apart, so name the field that holds the type")
	case sm.Type == "":
		return nil
	}
	n, _, err := s.add(sm.Type)
	if err != nil {
		return fmt.Errorf("type: %w", err)
	}
	n.typ, s.typed = true, true
	return nil
}

func (s *store) compileOthers(sm *StoreMap) error {
	for i, path := range sm.Shared {
		n, _, err := s.add(path)
		if err != nil {
			return fmt.Errorf("shared[%d]: %w", i, err)
		}
		if !n.leads && n.kind < 0 {
			return fmt.Errorf("shared[%d]: no identifier lies in %s, so its elements can't be told apart", i, path)
		}
		n.shared = true
	}
	if sm.Format == "csv" && len(sm.Shared) > 0 {
		return errors.New("shared: CSV has no lists")
	}
	for i, w := range sm.Withhold {
		n, _, err := s.add(w.Field)
		if err != nil {
			return fmt.Errorf("withhold[%d].field: %w", i, err)
		}
		if w.As == "" {
			return fmt.Errorf("withhold[%d].as: say what type of item this is, such as \"driver's licence number\"", i)
		}
		n.withheld = len(s.withheldAs)
		s.withheldAs = append(s.withheldAs, w.As)
	}
	s.others = len(s.withheldAs)
	s.withheldAs = append(s.withheldAs, "about another person")
	if sm.Time.Field == "" {
		if sm.Time.Layout != "" {
			return errors.New("time.field: name the field that the layout is for")
		}
		return nil
	}
	n, _, err := s.add(sm.Time.Field)
	if err != nil {
		return fmt.Errorf("time.field: %w", err)
	}
	n.time = true
	s.when = timeLayout(sm.Time.Layout)
	return s.when.check()
}

// day is the day of a partition, from the file's key; the zero time for a
// store that is not partitioned.
func (s *store) day(key string) (time.Time, error) {
	if s.partition == "" {
		return time.Time{}, nil
	}
	for name := range strings.SplitSeq(path.Dir(key), "/") {
		if value, ok := strings.CutPrefix(name, s.partition+"="); ok {
			day, err := time.Parse(time.DateOnly, value)
			if err != nil {
				return time.Time{}, misfit("the folder %s is not named after a day, as in %s=2026-01-31", name, s.partition)
			}
			return day, nil
		}
	}
	return time.Time{}, misfit("no folder %s=YYYY-MM-DD is on its path, as the map's partition wants", s.partition)
}

// misfit is the error for files that are not what the map says. No retry heals
// it: a person has to look.
func misfit(format string, args ...any) error {
	return sdk.Permanent(sdk.WithCode(sdk.Configuration, fmt.Errorf(format, args...)))
}
