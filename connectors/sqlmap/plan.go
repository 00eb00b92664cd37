package sqlmap

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// plan is a graph bound to a live schema: everything a request needs that
// does not depend on the person.
type plan struct {
	*graph
	d   dialect
	db  *sql.DB
	now func() time.Time
	// erase lists the counted collections, children before parents.
	erase []*collection
	// loose are foreign keys set to NULL before rows are deleted, because
	// tables refer to each other in a circle.
	loose map[*collection][]*field
	// defers is set when a foreign key can be checked at the end.
	defers bool
	// changes holds, by collection, the changes of rows that stay.
	changes map[*collection]*changes
}

// changes are the columns emptied in rows of one collection that stay.
type changes struct {
	method []change   // rows of people whose collection is not deleted from
	anchor []change   // rows that stay only because a kept row refers to them
	retain [][]change // rows kept by the rule of the same index
	crowd  *crowd     // what deidentified rows are counted by, or nil
}

// bind attaches the live schema to the graph and examines all that would make
// a request fail later.
func bind(ctx context.Context, g *graph, d dialect, db *sql.DB, now func() time.Time) (*plan, error) {
	p := &plan{graph: g, d: d, db: db, now: now, loose: map[*collection][]*field{}, changes: map[*collection]*changes{}}
	if err := p.attach(ctx); err != nil {
		return nil, err
	}
	for _, c := range g.collections {
		if err := p.attachKeys(c); err != nil {
			return nil, err
		}
	}
	for _, c := range g.collections {
		if !c.counted {
			continue
		}
		if err := p.checkDates(c); err != nil {
			return nil, err
		}
		if err := p.planChanges(c); err != nil {
			return nil, err
		}
		if err := p.checkReferred(c); err != nil {
			return nil, err
		}
	}
	if err := p.checkCensuses(); err != nil {
		return nil, err
	}
	return p, p.planOrder()
}

// attach finds the tables and columns the map names.
func (p *plan) attach(ctx context.Context) error {
	names := make([]tableName, len(p.collections))
	for i, c := range p.collections {
		names[i] = tableName{c.schema, c.spec.Name}
	}
	s, err := p.d.load(ctx, p.db, names)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", clean(ctx, p.d, err))
	}
	for _, c := range p.collections {
		for _, t := range s.tables {
			if strings.EqualFold(t.name, c.spec.Name) && (c.schema == "" || t.schema == "" || t.schema == c.schema) && c.table == nil {
				c.table = t
			}
		}
		if c.table == nil {
			return p.m.errorAt(c.path+".name", "collection %s: the database has no table of this name; check the name, the schema in fides_meta.namespace and the rights of the account", c.spec.Name)
		}
		if c.table.unfit != "" {
			return p.m.errorAt(c.path+".name", "collection %s: table %s %s", c.spec.Name, c.table.name, c.table.unfit)
		}
		for _, f := range c.fields {
			if f.col = c.table.column(f.name); f.col == nil {
				return p.m.errorAt(f.path+".name", "collection %s: table %s has no column %s; it has %s", c.spec.Name, c.table.name, f.name, c.table.names())
			}
			if err := p.attachInside(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDates refuses columns that can't hold a date where one is needed: rows
// would be kept for ever, or be of no time.
func (p *plan) checkDates(c *collection) error {
	check := func(f *field, path string) error {
		if f == nil || f.col.class == classTime || f.col.class == classText || f.col.class == classInt || len(f.col.way) > 0 {
			return nil
		}
		return p.m.errorAt(path, "collection %s: field %s is of type %s, which holds no date", c.spec.Name, f.name, f.col.typ)
	}
	for i, r := range c.retain {
		if err := check(r.from, fmt.Sprintf("%s.habeas.retain[%d].from", c.path, i)); err != nil {
			return err
		}
	}
	return check(c.time, c.path+".habeas.time")
}

// attachInside ties the fields inside a document to its column.
func (p *plan) attachInside(f *field) error {
	inside := f.leaves
	if len(f.way) > 0 {
		inside = []*field{f} // an array of values
	}
	for _, leaf := range inside {
		if f.col.class != classJSON && (leaf.tied() || leaf.link() || len(leaf.yields) > 0) {
			return p.m.errorAt(leaf.path, "collection %s: field %s is inside column %s, which is of type %s; only what is in a JSON column can be an identity or a reference", f.c.spec.Name, leaf.name, f.col.name, f.col.typ)
		}
		if leaf != f || leaf.tied() || leaf.link() || len(leaf.yields) > 0 {
			inner := *f.col
			inner.way, inner.typed = leaf.way, p.d.typed()
			leaf.col = &inner
		}
	}
	return nil
}

// tied reports whether an identity is looked up in the field.
func (f *field) tied() bool {
	return slices.ContainsFunc(f.c.in, func(l *link) bool { return l.seed() && l.to == f })
}

// attachKeys checks the map's key against the live one and ties links to the
// foreign keys that enforce them.
func (p *plan) attachKeys(c *collection) error {
	var marked []string
	for _, f := range c.fields {
		if f.meta.PrimaryKey {
			marked = append(marked, f.name)
		}
	}
	slices.Sort(marked)
	if len(marked) > 0 && !slices.ContainsFunc(c.table.uniques, func(u []string) bool {
		// A key of which a part is already unique is unique as well.
		return !slices.ContainsFunc(u, func(name string) bool { return !slices.Contains(marked, name) })
	}) {
		return p.m.errorAt(c.path, "collection %s: the database does not keep the primary_key %s unique", c.spec.Name, strings.Join(marked, ", "))
	}
	for _, k := range c.table.refers {
		for _, l := range p.links {
			if l.seed() {
				continue
			}
			if down := tied(k, l.to, l.from); down || tied(k, l.from, l.to) {
				l.fk, l.down = k, down
			}
		}
	}
	return nil
}

// tied reports whether the foreign key leads from child to parent.
func tied(k *foreignKey, child, parent *field) bool {
	i := slices.Index(k.childCols, child.name)
	return i >= 0 && i < len(k.parentCols) && k.parentCols[i] == parent.name &&
		child.c.table.name == k.child && child.c.table.schema == k.childSchema &&
		parent.c.table.name == k.parent && parent.c.table.schema == k.parentSchema
}

// ofTable returns the collection of a table, or nil.
func (p *plan) ofTable(schema, name string) *collection {
	for _, c := range p.collections {
		if c.table.schema == schema && c.table.name == name {
			return c
		}
	}
	return nil
}

// checkReferred refuses a map that deletes rows other tables refer to by
// foreign keys it does not know: deleting would fail, or take along rows that
// nobody counted.
func (p *plan) checkReferred(c *collection) error {
	if c.method() != Delete {
		return nil
	}
	for _, k := range c.table.referred {
		if k.setNull || slices.ContainsFunc(p.links, func(l *link) bool { return l.fk == k }) {
			continue
		}
		what := "deleting would fail"
		if k.cascade {
			what = "deleting would take them along uncounted"
		}
		if child := p.ofTable(k.childSchema, k.child); child != nil {
			return p.m.errorAt(child.path, "collection %s: column %s refers to %s by a foreign key that the map does not have, and %s; add a reference to that field", child.spec.Name, strings.Join(k.childCols, ", "), c.spec.Name, what)
		}
		return p.m.errorAt(c.path, "collection %s: rows of table %s refer to it by a foreign key, and %s; add %s to the map with a reference on %s", c.spec.Name, k.child, what, k.child, strings.Join(k.childCols, ", "))
	}
	return nil
}

// planOrder sorts the collections so that rows go before what they refer to.
// Where tables refer to each other in a circle, a reference that may be NULL
// is emptied first.
func (p *plan) planOrder() error {
	type edge struct {
		child, parent *collection
		key           *foreignKey
	}
	var keys []edge
	for _, child := range p.collections {
		if err := p.loosenTrees(child); err != nil {
			return err
		}
		for _, k := range child.table.refers {
			p.defers = p.defers || k.deferrable
			if parent := p.ofTable(k.parentSchema, k.parent); parent != nil && parent != child {
				keys = append(keys, edge{child, parent, k})
			}
		}
	}
	for {
		before := make([][]*collection, len(p.collections))
		for _, e := range keys {
			before[e.parent.index] = append(before[e.parent.index], e.child)
		}
		for _, c := range p.collections {
			for _, name := range c.spec.meta().EraseAfter {
				before[c.index] = append(before[c.index], p.byName(strings.Replace(name, ".", ":", 1)))
			}
		}
		sorted, cycle := order(p.collections, before)
		if cycle == nil {
			p.erase = slices.DeleteFunc(sorted, func(c *collection) bool { return !c.counted })
			return nil
		}
		i := slices.IndexFunc(keys, func(e edge) bool { return e.key.deferrable || e.child.canLoosen(e.key) })
		if i < 0 {
			return p.m.errorAt(cycle.path, "collection %s: its foreign keys and erase_after make a circle in which no reference can be NULL or deferred; there is no order to delete in", cycle.spec.Name)
		}
		e := keys[i]
		if !e.key.deferrable {
			p.loosen(e.child, e.key)
		}
		keys = slices.Delete(keys, i, i+1)
	}
}

// loosenTrees has references of a table to itself emptied first where the
// database would check them in the middle of a statement.
func (p *plan) loosenTrees(c *collection) error {
	if !p.d.rowwise() || !c.counted || c.method() != Delete {
		return nil
	}
	for _, k := range c.table.refers {
		if k.child != k.parent || k.childSchema != k.parentSchema {
			continue
		}
		if !c.canLoosen(k) {
			return p.m.errorAt(c.path, "collection %s: its reference to itself in %s can't be NULL, and the database checks it row by row; allow NULL there, or use erase: deidentify", c.spec.Name, strings.Join(k.childCols, ", "))
		}
		p.loosen(c, k)
	}
	return nil
}

// loosen has the columns of a key emptied before rows are deleted.
func (p *plan) loosen(c *collection, k *foreignKey) {
	for _, name := range k.childCols {
		if f := c.field(name); f != nil {
			p.loose[c] = append(p.loose[c], f)
		}
	}
}

// canLoosen reports whether a column of the key can be set to NULL, which
// lifts the whole key.
func (c *collection) canLoosen(k *foreignKey) bool {
	return slices.ContainsFunc(k.childCols, func(name string) bool {
		f := c.field(name)
		return f != nil && !f.col.notNull && !c.table.inKey(name)
	})
}
