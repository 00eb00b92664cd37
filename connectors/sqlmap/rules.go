package sqlmap

import (
	"fmt"
	"slices"
	"strings"
)

// addRules compiles what stands under the key habeas.
func (g *graph) addRules() error {
	for _, c := range g.collections {
		for _, add := range []func(*collection) error{g.addOwner, g.addColumns, g.addRetain, g.checkMethod, g.checkDeidentified} {
			if err := add(c); err != nil {
				return err
			}
		}
		g.addCarry(c)
	}
	// Retention rules of one collection read columns of another's links.
	for _, c := range g.collections {
		for slot, f := range c.carry {
			f.slot = slot
		}
	}
	return nil
}

func (g *graph) rule(c *collection, key string) string { return c.path + ".habeas." + key }

// fieldsNamed looks up the columns a rule names.
func (g *graph) fieldsNamed(c *collection, names []string, path string) ([]*field, error) {
	var fields []*field
	for i, name := range names {
		f := c.field(name)
		if f == nil {
			return nil, g.m.errorAt(fmt.Sprintf("%s[%d]", path, i), "collection %s has no field %s", c.spec.Name, name)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (g *graph) addOwner(c *collection) error {
	if slices.Equal(c.rules.Owner, []string{"any"}) {
		c.ownerAny = true
		return nil
	}
	for i, name := range c.rules.Owner {
		var links []*link
		for _, l := range c.in {
			own := l.to.name == name
			foreign := !l.seed() && l.from.c.spec.Name+"."+l.from.name == name
			if own || foreign {
				links = append(links, l)
			}
		}
		if len(links) == 0 {
			return g.m.errorAt(fmt.Sprintf("%s[%d]", g.rule(c, "owner"), i), "owner %s of collection %s: want an identity or reference field of it, collection.field of one that leads to it, or any", name, c.spec.Name)
		}
		c.owner = append(c.owner, links...)
	}
	return nil
}

func (g *graph) addColumns(c *collection) (err error) {
	if c.needs, err = g.fieldsNamed(c, c.rules.Needs, g.rule(c, "needs")); err != nil {
		return err
	}
	if c.cut, err = g.fieldsNamed(c, c.rules.Cut, g.rule(c, "cut")); err != nil {
		return err
	}
	if name := c.rules.Time; name != "" {
		if c.time = c.field(name); c.time == nil {
			return g.m.errorAt(g.rule(c, "time"), "collection %s has no field %s", c.spec.Name, name)
		}
	}
	return nil
}

func (g *graph) addRetain(c *collection) error {
	for i := range c.rules.Retain {
		path := fmt.Sprintf("%s[%d]", g.rule(c, "retain"), i)
		r, err := g.compileRetention(c, &c.rules.Retain[i], path)
		if err != nil {
			return err
		}
		c.retain = append(c.retain, r)
	}
	return nil
}

func (g *graph) compileRetention(c *collection, spec *Retention, path string) (r retention, err error) {
	r.spec = spec
	if r.needs, err = g.fieldsNamed(c, spec.Needs, path+".needs"); err != nil {
		return r, err
	}
	if spec.With != "" {
		if spec.Basis != "" || spec.From != "" || spec.When != nil || !spec.Period.IsZero() {
			return r, g.m.errorAt(path, "with takes basis, period, from and when from the other row; remove them here")
		}
		for _, l := range c.in {
			if !l.seed() && l.to.name == spec.With {
				r.with = l
			}
		}
		if r.with == nil {
			return r, g.m.errorAt(path+".with", "with: %s is no reference field that another collection leads to", spec.With)
		}
		return r, nil
	}
	switch {
	case spec.Basis == "":
		return r, g.m.errorAt(path, "retention without basis: name the exception, such as ccpa-1798.105(d)(8)")
	case spec.Period.IsZero():
		return r, g.m.errorAt(path, "retention without period, such as \"7 years\"")
	case spec.From == "":
		return r, g.m.errorAt(path, "retention without from: name the column the period is counted from")
	}
	if r.from = c.field(spec.From); r.from == nil {
		return r, g.m.errorAt(path+".from", "collection %s has no field %s", c.spec.Name, spec.From)
	}
	if spec.When != nil {
		if r.when = c.field(spec.When.Column); r.when == nil {
			return r, g.m.errorAt(path+".when.column", "collection %s has no field %s", c.spec.Name, spec.When.Column)
		}
		if len(spec.When.In) == 0 {
			return r, g.m.errorAt(path+".when", "when without in: list the values")
		}
		for _, v := range spec.When.In {
			r.in = append(r.in, conditionText(v))
		}
	}
	return r, nil
}

// checkMethod looks at the erase methods of a collection and its fields.
func (g *graph) checkMethod(c *collection) error {
	if o := c.spec.meta().Masking; o != nil && o.Strategy != string(Delete) {
		return g.m.errorAt(c.path, "collection %s: masking_strategy_override of a collection can only be delete", c.spec.Name)
	}
	switch c.rules.Erase {
	case "", Delete, Null, Mask, Deidentify:
	case Retain:
		if len(c.rules.Retain) == 0 {
			return g.m.errorAt(g.rule(c, "erase"), "collection %s: erase: retain asks for a rule under retain that says why and how long", c.spec.Name)
		}
	default:
		return g.m.errorAt(g.rule(c, "erase"), "collection %s: erase must be delete, null, mask, deidentify or retain, not %q", c.spec.Name, c.rules.Erase)
	}
	switch c.rules.Role {
	case "", "business", "service_provider":
	default:
		return g.m.errorAt(g.rule(c, "role"), "collection %s: role must be business or service_provider", c.spec.Name)
	}
	switch c.rules.Source {
	case "", "consumer", "third_party":
	default:
		return g.m.errorAt(g.rule(c, "source"), "collection %s: source must be consumer or third_party", c.spec.Name)
	}
	for _, f := range c.all() {
		switch f.spec.Habeas.Erase {
		case "", Null, Mask, Retain:
		default:
			return g.m.errorAt(f.path+".habeas.erase", "field %s: erase must be null, mask or retain, not %q", f.name, f.spec.Habeas.Erase)
		}
		if o := f.meta.Masking; o != nil && !knownStrategy(o.Strategy) {
			return g.m.errorAt(f.path, "field %s: masking strategy %q is not known; it can be %s", f.name, o.Strategy, strings.Join(strategies, ", "))
		}
		if f.meta.Masking != nil && f.doc != nil {
			return g.m.errorAt(f.path, "field %s: a masking strategy is for columns; inside a document say habeas: {erase: null}, mask or retain", f.name)
		}
	}
	return nil
}

// method is what erasing does to rows of c that are not kept.
func (c *collection) method() Method {
	switch c.rules.Erase {
	case "", Retain:
		return Delete
	}
	return c.rules.Erase
}

// addCarry lists the columns a walk must read of each row.
func (g *graph) addCarry(c *collection) {
	for _, l := range c.in {
		c.carryField(l.to)
	}
	for _, l := range c.out {
		c.carryField(l.from)
	}
	for _, r := range c.retain {
		c.carryField(r.from)
		c.carryField(r.when)
	}
	c.carryField(c.time)
}

func (c *collection) carryField(f *field) {
	if f != nil && !slices.Contains(c.carry, f) {
		c.carry = append(c.carry, f)
	}
}

// conditionText writes a value as columns are compared with it.
func conditionText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		// Databases without booleans store 0 and 1.
		if v {
			return "true"
		}
		return "false"
	}
	return fmt.Sprint(v)
}
