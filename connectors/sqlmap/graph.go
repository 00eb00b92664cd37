package sqlmap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// graph is a data map without a database: collections, and the links by which
// rows are reached.
type graph struct {
	m           *Map
	collections []*collection
	links       []*link
	// reading lists the collections in the order of after.
	reading []*collection
	// censuses are the collections that people are listed by.
	censuses []*census
}

// collection is one table of the map.
type collection struct {
	spec   *Collection
	rules  *CollectionRules
	path   string // in the map, for errors
	name   string // "dataset:collection"
	store  string // as in the manifest
	shared sdk.Facts
	schema string // schema of the database, or empty for the default
	fields []*field
	index  int
	table  *table // the live table, once opened

	in, out []*link
	// personal is set when anything in it is about a person.
	personal bool
	// counted is set when its rows are located, copied and erased; a table of
	// products that orders point to is only passed through.
	counted bool
	// owner are the links that say whose a row is; ownerAny lets anyone.
	owner    []*link
	ownerAny bool
	retain   []retention
	needs    []*field
	cut      []*field
	time     *field
	carry    []*field // columns a walk reads, besides the key
}

// field is one column of a collection, or a field inside one that holds
// documents.
type field struct {
	c          *collection
	spec       *Field
	meta       FieldMeta
	path       string
	name       string
	categories []string
	personal   bool
	col        *column // the live column, once opened
	slot       int     // index in carry, or -1
	// doc is the column a field inside a document belongs to, way how to get
	// there from the column, itself included; leaves are the fields inside a
	// column.
	doc    *field
	way    []node
	leaves []*field
	// yields are the kinds of identifier its values are to other connectors.
	yields []sdk.Kind
}

// link leads from values to rows: from an identifier kind when from is nil,
// else from a field of rows already reached.
type link struct {
	id   int
	kind sdk.Kind
	from *field
	to   *field
	// declared is the end that holds the reference.
	declared *field
	// twin is the same reference the other way round, when the map gives no
	// direction.
	twin *link
	// lower compares without regard to case.
	lower bool
	// fk is set when the database enforces the reference; down when the link
	// then leads from what is referred to to what refers.
	fk   *foreignKey
	down bool
}

// seed reports whether the link starts at an identifier.
func (l *link) seed() bool { return l.from == nil }

// dependent reports whether rows reached by l belong to what led there,
// rather than being pointed to by it.
func (l *link) dependent() bool { return l.seed() || l.declared == l.to }

// retention is a compiled rule.
type retention struct {
	spec  *Retention
	from  *field
	when  *field
	in    []string
	with  *link
	needs []*field
}

func (f *field) String() string { return f.c.store + "." + f.name }

// compile makes the graph of a map and checks all that the map alone can tell.
func compile(m *Map) (*graph, error) {
	g := &graph{m: m}
	steps := []func() error{g.addCollections, g.addLinks, g.addRules, g.addCensuses, g.checkOrder, g.checkWords, g.checkReach}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *graph) addCollections() error {
	stores := map[string]bool{}
	for di := range g.m.Datasets {
		d := &g.m.Datasets[di]
		dpath := fmt.Sprintf("$.dataset[%d]", di)
		if d.Key == "" {
			return g.m.errorAt(dpath, "dataset without fides_key")
		}
		for ci := range d.Collections {
			spec := &d.Collections[ci]
			if spec.meta().SkipProcessing {
				continue
			}
			c := &collection{
				spec: spec, rules: &spec.Habeas, index: len(g.collections),
				path: fmt.Sprintf("%s.collections[%d]", dpath, ci),
				name: d.Key + ":" + spec.Name, store: spec.Name,
				schema: d.meta().Namespace["schema"], shared: d.Habeas.Shared,
			}
			if spec.Name == "" {
				return g.m.errorAt(c.path, "collection without name")
			}
			if g.byName(c.name) != nil {
				return g.m.errorAt(c.path+".name", "collection %s is there twice", spec.Name)
			}
			if stores[c.store] {
				c.store = d.Key + "." + spec.Name
			}
			stores[c.store] = true
			if err := g.addFields(c); err != nil {
				return err
			}
			g.collections = append(g.collections, c)
		}
	}
	return nil
}

func (g *graph) addFields(c *collection) error {
	c.personal = slices.ContainsFunc(c.spec.DataCategories, personal)
	for fi := range c.spec.Fields {
		spec := &c.spec.Fields[fi]
		f := &field{c: c, spec: spec, meta: spec.meta(), name: spec.Name, slot: -1, path: fmt.Sprintf("%s.fields[%d]", c.path, fi)}
		if f.name == "" {
			return g.m.errorAt(f.path, "field without name")
		}
		if c.field(f.name) != nil {
			return g.m.errorAt(f.path+".name", "field %s is there twice", f.name)
		}
		if err := g.checkField(f); err != nil {
			return err
		}
		f.categories = slices.Clone(spec.DataCategories)
		c.fields = append(c.fields, f)
		way := []node{{spec.Name, spec.isArray()}}
		if err := g.addLeaves(f, spec.Fields, f.path, way); err != nil {
			return err
		}
		if way[0].array && len(f.leaves) == 0 {
			f.way = way
		}
		f.personal = slices.ContainsFunc(f.categories, personal)
		if len(f.categories) == 0 && !f.meta.PrimaryKey {
			// What the collection says goes for columns that say nothing.
			f.personal = slices.ContainsFunc(c.spec.DataCategories, personal)
		}
		c.personal = c.personal || f.personal
	}
	return nil
}

// checkField looks at what a field says of itself.
func (g *graph) checkField(f *field) error {
	if f.meta.Identity == string(sdk.Name) {
		return g.m.errorAt(f.path, "field %s: a name is never enough to find a person by; remove the identity", f.name)
	}
	if m := f.spec.Habeas.Match; m != "" && m != "exact" && m != "lower" {
		return g.m.errorAt(f.path+".habeas.match", "field %s: match must be exact or lower", f.name)
	}
	base := strings.TrimSuffix(f.meta.DataType, "[]")
	if dataTypes[base] == nil {
		return g.m.errorAt(f.path, "field %s: data_type %q is not known; it can be string, integer, float, boolean, object_id or object, with [] behind it for many", f.name, f.meta.DataType)
	}
	if len(f.spec.Fields) > 0 && base != "" && base != "object" {
		return g.m.errorAt(f.path, "field %s: a field with fields inside is of data_type object or object[], not %s", f.name, f.meta.DataType)
	}
	if len(f.spec.Fields) > 0 && (f.meta.Identity != "" || len(f.meta.References) > 0) {
		return g.m.errorAt(f.path, "field %s: a whole document can't be an identity or a reference; put it on a field inside", f.name)
	}
	if f.meta.ReturnAllElements && !f.spec.isArray() {
		return g.m.errorAt(f.path, "field %s: return_all_elements is for arrays", f.name)
	}
	if k := f.spec.Habeas.Yields; k != "" {
		g.yield(f, sdk.Kind(k))
	}
	return nil
}

func (g *graph) addLinks() error {
	for _, c := range g.collections {
		for _, f := range c.all() {
			if f.meta.Identity != "" {
				lower := f.spec.Habeas.Match == "lower" || f.spec.Habeas.Match == "" && f.meta.Identity == string(sdk.Email)
				g.addLink(&link{kind: identityKind(f.meta.Identity), to: f, declared: f, lower: lower})
			}
			for i, ref := range f.meta.References {
				if err := g.addReference(f, ref, fmt.Sprintf("%s.%s.references[%d]", f.path, metaKey(f.spec), i)); err != nil {
					return err
				}
			}
		}
	}
	return g.addNeighbours()
}

func metaKey(f *Field) string {
	if f.FidesMeta == nil && f.FidesopsMeta != nil {
		return "fidesops_meta"
	}
	return "fides_meta"
}

func (g *graph) addReference(f *field, ref Reference, path string) error {
	if g.outside(ref.Dataset) {
		return g.addLeaving(f, ref, path)
	}
	other, err := g.target(ref, path)
	if err != nil {
		return err
	}
	if other == f {
		return g.m.errorAt(path, "field %s refers to itself", f.name)
	}
	feeds, fed := &link{from: f, to: other, declared: f}, &link{from: other, to: f, declared: f}
	switch {
	case ref.Direction == "to":
		g.addLink(feeds)
	case ref.Direction == "from" || ref.Direction == "" && other.c == f.c:
		// In a tree the parent leads to the children.
		g.addLink(fed)
	case ref.Direction == "":
		feeds.twin, fed.twin = fed, feeds
		g.addLink(feeds)
		g.addLink(fed)
	default:
		return g.m.errorAt(path+".direction", "direction must be to or from, not %q", ref.Direction)
	}
	return nil
}

func (g *graph) target(ref Reference, path string) (*field, error) {
	name, fieldName, ok := strings.Cut(ref.Field, ".")
	if !ok {
		return nil, g.m.errorAt(path+".field", "reference %q: want collection.field", ref.Field)
	}
	c := g.byName(ref.Dataset + ":" + name)
	if c == nil {
		for _, d := range g.m.Datasets {
			if d.Key == ref.Dataset {
				return nil, g.m.errorAt(path, "referenced object %s:%s does not exist or is skipped", ref.Dataset, name)
			}
		}
		return nil, g.m.errorAt(path, "referenced object %s:%s does not exist: no dataset %s; if another connector has it, name it under habeas.beside of this dataset", ref.Dataset, strings.Replace(ref.Field, ".", ":", 1), ref.Dataset)
	}
	other := c.field(fieldName)
	if other == nil {
		return nil, g.m.errorAt(path+".field", "referenced object %s:%s does not exist: collection %s has no field %s", ref.Dataset, ref.Field, name, fieldName)
	}
	return other, nil
}

func (g *graph) addLink(l *link) {
	l.id = len(g.links)
	g.links = append(g.links, l)
	l.to.c.in = append(l.to.c.in, l)
	if l.from != nil {
		l.from.c.out = append(l.from.c.out, l)
	}
}

func (g *graph) byName(name string) *collection {
	for _, c := range g.collections {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (c *collection) field(name string) *field {
	for _, f := range c.fields {
		if f.name == name {
			return f
		}
	}
	return c.inner(name)
}

// active returns which links are followed for somebody known by the given
// kinds, by link id. A reference without direction leads from the end that is
// reached first.
func (g *graph) active(kinds []sdk.Kind) []bool {
	on := make([]bool, len(g.links))
	reached := make([]bool, len(g.collections))
	var queue []*collection
	reach := func(l *link) {
		on[l.id] = true
		if c := l.to.c; !reached[c.index] {
			reached[c.index] = true
			queue = append(queue, c)
		}
	}
	for _, l := range g.links {
		if l.seed() && slices.Contains(kinds, l.kind) {
			reach(l)
		}
	}
	for len(queue) > 0 {
		c := queue[0]
		queue = queue[1:]
		for _, l := range c.out {
			if l.twin == nil || !on[l.twin.id] {
				reach(l)
			}
		}
	}
	return on
}

// kinds returns the identifier kinds the map can find somebody by.
func (g *graph) kinds() []sdk.Kind {
	var kinds []sdk.Kind
	for _, l := range g.links {
		if l.seed() && !slices.Contains(kinds, l.kind) {
			kinds = append(kinds, l.kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// yields returns the identifier kinds that counted collections have for other
// connectors.
func (g *graph) yields() []sdk.Kind {
	var kinds []sdk.Kind
	for _, c := range g.collections {
		for _, f := range c.all() {
			for _, k := range f.yields {
				if c.counted && !slices.Contains(kinds, k) {
					kinds = append(kinds, k)
				}
			}
		}
	}
	return kinds
}

// checkReach refuses a map with personal data that no identity leads to:
// nobody would ever be found there.
func (g *graph) checkReach() error {
	on := g.active(g.kinds())
	for _, c := range g.collections {
		reached := slices.ContainsFunc(c.in, func(l *link) bool { return on[l.id] })
		if !reached && c.personal {
			return g.m.errorAt(c.path+".name", "some nodes were not reachable: %s: no identity and no reference leads to it", c.name)
		}
		c.counted = reached && (c.personal || slices.ContainsFunc(c.in, (*link).dependent))
	}
	return nil
}
