package sqlmap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// planChanges decides which columns are emptied in rows of c that stay, and
// refuses what the schema would not allow.
func (p *plan) planChanges(c *collection) (err error) {
	ch := &changes{}
	p.changes[c] = ch
	if c.method() != Delete {
		if ch.method, err = p.methodChanges(c); err != nil {
			return err
		}
	}
	if ch.crowd, err = p.planCrowd(c, ch.method); err != nil {
		return err
	}
	// Only rows that others refer to can have to stay for another's sake.
	if slices.ContainsFunc(c.table.referred, func(k *foreignKey) bool { return !k.setNull }) {
		if ch.anchor, err = p.keptChanges(c, c.needs, false); err != nil {
			return err
		}
	}
	for _, r := range c.retain {
		// Without what the rule goes by, the next attempt would see another row.
		list, err := p.keptChanges(c, append(slices.Clone(r.needs), r.from, r.when), true)
		if err != nil {
			return err
		}
		ch.retain = append(ch.retain, list)
	}
	return nil
}

// keptChanges empties the personal columns a kept row does not need, save
// keys and references, and cuts the references the map says. A rule of the
// map's own must say of every column that can't be emptied that it needs it.
func (p *plan) keptChanges(c *collection, needs []*field, rule bool) ([]change, error) {
	var list []change
	for _, f := range c.fields {
		if f.byPart() {
			if ch := p.partly(f, needs, f.spec.Habeas.Erase, false); ch != nil {
				list = append(list, *ch)
			}
			continue
		}
		cut := slices.Contains(c.cut, f)
		if why := f.stays(); rule && why != "" && !slices.Contains(needs, f) {
			return nil, p.m.errorAt(f.path, "collection %s: field %s %s and can't be emptied in rows that are kept; list it under needs if the basis needs it, or say habeas: {erase: retain} if it names nobody", c.spec.Name, f.name, why)
		}
		if !cut && (!f.personal || slices.Contains(needs, f) || f.link() || c.table.inKey(f.name)) {
			continue
		}
		ch, err := p.change(f, f.spec.Habeas.Erase, cut)
		if err != nil {
			return nil, err
		}
		if ch != nil {
			list = append(list, *ch)
		}
	}
	return list, nil
}

// telling reports whether the field says something of a person beyond being a
// number that stands for one.
func (f *field) telling() bool {
	return slices.ContainsFunc(f.spec.DataCategories, func(data string) bool { return personal(data) && !within(data, "user.unique_id") })
}

// stays says why a field about a person can't be emptied although nobody says
// that it is to stay; empty when it can.
func (f *field) stays() string {
	switch {
	case !f.telling() || f.spec.Habeas.Erase == Retain:
		return ""
	case f.c.table.inKey(f.name):
		return "is part of the primary key"
	case f.meta.ReadOnly:
		return "is read_only"
	case f.meta.Masking != nil && f.meta.Masking.Strategy == "preserve":
		return "has the strategy preserve"
	}
	return ""
}

// link reports whether the field holds a reference to or from another
// collection.
func (f *field) link() bool {
	for _, l := range f.c.in {
		if !l.seed() && l.to == f {
			return true
		}
	}
	return slices.ContainsFunc(f.c.out, func(l *link) bool { return l.from == f })
}

// methodChanges empties rows of a collection whose method is not delete: all
// that is personal and all that ties a row to the person.
func (p *plan) methodChanges(c *collection) ([]change, error) {
	var list []change
	for _, f := range c.fields {
		if f.byPart() {
			if ch := p.partly(f, nil, c.method(), true); ch != nil {
				list = append(list, *ch)
			}
			continue
		}
		if why := f.stays(); why != "" {
			return nil, p.m.errorAt(f.path, "collection %s: field %s %s and would stay as it is under erase: %s; use erase: delete, or say habeas: {erase: retain} if it names nobody", c.spec.Name, f.name, why, c.method())
		}
		tie := slices.ContainsFunc(c.in, func(l *link) bool { return l.to == f && l.dependent() })
		if !f.personal && !tie && f.spec.Habeas.Generalise == "" || c.table.inKey(f.name) {
			continue
		}
		how := f.spec.Habeas.Erase
		if how == "" && c.method() == Mask && !f.link() {
			how = Mask
		}
		ch, err := p.change(f, how, tie && f.link())
		if err != nil {
			return nil, err
		}
		if ch != nil {
			list = append(list, *ch)
		}
	}
	for _, l := range c.in {
		changed := slices.ContainsFunc(list, func(ch change) bool { return ch.reaches(l.to) })
		if !changed && (l.dependent() || l.from.c.method() != Delete) {
			return nil, p.m.errorAt(l.to.path, "collection %s: erase: %s leaves its rows tied to the person by field %s, which can't be emptied; use erase: delete", c.spec.Name, c.method(), l.to.name)
		}
	}
	return list, nil
}

// change makes the change of one column; nil means it stays as it is. A
// reference can only be cut: a made-up one would point at somebody.
func (p *plan) change(f *field, how Method, cut bool) (*change, error) {
	c := f.c
	refuse := func(format string, args ...any) (*change, error) {
		return nil, p.m.errorAt(f.path, "collection "+c.spec.Name+": field "+f.name+" "+format, args...)
	}
	switch {
	case how == Retain || f.meta.ReadOnly:
		return nil, nil
	case f.meta.Masking != nil && f.meta.Masking.Strategy == "preserve":
		return nil, nil
	case c.table.inKey(f.name):
		return refuse("is part of the primary key and can't be emptied; say habeas: {erase: retain} if it names nobody, or use erase: delete")
	case f.col.generated:
		return refuse("is computed by the database; say habeas: {erase: retain}, its inputs are emptied")
	case cut && f.col.notNull:
		return refuse("must be cut, and the database does not allow NULL in it")
	case how == Null && f.col.notNull:
		return refuse("has erase: null, and the database does not allow NULL in it; use mask")
	}
	made := change{f: f}
	if text := f.spec.Habeas.Generalise; text != "" && !cut {
		by, err := parseCoarse(text)
		if err != nil {
			return refuse("has generalise: %v", err)
		}
		if !f.takesCoarse(by) || f.col.notNull {
			return refuse("has generalise: %s, which a column of type %s that may be NULL must be able to hold", text, f.col.typ)
		}
		made.make, made.reads = by.value, true
		return &made, nil
	}
	switch {
	case f.meta.Masking != nil && !cut:
		made = overridden(f)
		if f.meta.Masking.Strategy == "null_rewrite" && f.col.notNull {
			return refuse("has the strategy null_rewrite, and the database does not allow NULL in it")
		}
		if !f.takes(made) {
			return refuse("has the strategy %s, which gives what a column of type %s does not take; use null_rewrite", f.meta.Masking.Strategy, f.col.typ)
		}
	case how == Mask && !cut:
		if f.col.class != classText && f.col.class != classInt {
			return refuse("has erase: mask, which is for text and whole numbers")
		}
		made.make, made.reads = func(old value) value { return mask(f, old) }, true
	case f.col.notNull:
		if err := f.fill(&made); err != "" {
			return refuse("%s", err)
		}
	}
	return &made, p.allowed(f, made)
}

// takes reports whether the column can hold what a masking strategy gives.
func (f *field) takes(made change) bool {
	if made.make == nil || f.col.class == classText {
		return true
	}
	if f.meta.Masking.Strategy != "string_rewrite" {
		return false
	}
	s := fmt.Sprint(made.make(nil))
	switch f.col.class {
	case classInt:
		return numberShape.MatchString(s) && !strings.Contains(s, ".")
	case classNumber:
		return numberShape.MatchString(s)
	case classTime:
		_, ok := parseTime(s)
		return ok
	case classUUID:
		return uuidShape.MatchString(s)
	case classJSON:
		return json.Valid([]byte(s))
	}
	return true
}

// mask scrambles a value, whatever type the dialect reads it as.
func mask(f *field, old value) value {
	masked := scramble(old)
	if s, ok := masked.(string); ok {
		if f.col.class == classInt {
			// A larger number of as many digits might not fit.
			return strings.Map(func(r rune) rune {
				if r > '1' && r <= '9' {
					return '1'
				}
				return r
			}, s)
		}
		return f.fit(s)
	}
	return masked
}

// fill puts a constant where NULL is not allowed, or a random text where the
// constant could be there only once. It returns what is wrong.
func (f *field) fill(made *change) string {
	fixed, ok := f.fixed()
	if !ok {
		return "can't be NULL and is of type " + f.col.typ + ", for which there is no neutral value; say habeas: {erase: retain} if it names nobody"
	}
	if !f.c.table.inUnique(f.name) {
		made.make, made.fixed = func(value) value { return fixed }, fixed
		return ""
	}
	if f.col.class != classText || f.col.length > 0 && f.col.length < 16 {
		return "can't be NULL and is unique; there is no neutral value for it"
	}
	made.make, made.prefix = func(value) value { return f.fit(erasedPrefix + randomHex(24)) }, erasedPrefix
	return ""
}

// allowed looks for CHECK constraints that would refuse the change.
func (p *plan) allowed(f *field, made change) error {
	for _, k := range f.c.table.checks {
		if !slices.Contains(k.cols, strings.ToLower(f.name)) {
			continue
		}
		nullable := made.make == nil && !strings.Contains(k.text, "not null")
		if nullable || f.meta.Masking != nil {
			continue // NULL passes a check that does not speak of it; an override is the map's own word
		}
		return p.m.errorAt(f.path, "collection %s: field %s is under %s, which emptying it may break; give a masking_strategy_override that satisfies it, or say habeas: {erase: retain}", f.c.spec.Name, f.name, k.name)
	}
	return nil
}
