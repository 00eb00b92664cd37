package sqlmap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// node is one name on the way into a document, and whether an array is there.
type node struct {
	name  string
	array bool
}

// isArray reports whether the data map says that the field holds many values.
func (f *Field) isArray() bool { return strings.HasSuffix(f.meta().DataType, "[]") }

// addLeaves adds the fields inside a document column, however deep.
func (g *graph) addLeaves(doc *field, specs []Field, path string, way []node) error {
	for i := range specs {
		spec := &specs[i]
		at := fmt.Sprintf("%s.fields[%d]", path, i)
		if spec.Name == "" {
			return g.m.errorAt(at, "field without name")
		}
		here := append(slices.Clone(way), node{spec.Name, spec.isArray()})
		doc.categories = append(doc.categories, spec.DataCategories...)
		if len(spec.Fields) > 0 {
			if err := g.addLeaves(doc, spec.Fields, at, here); err != nil {
				return err
			}
			if !slices.ContainsFunc(spec.DataCategories, personal) {
				continue
			}
		}
		f := &field{c: doc.c, spec: spec, meta: spec.meta(), name: doc.name, doc: doc, way: here, slot: -1, path: at, categories: spec.DataCategories}
		for _, n := range here[1:] {
			f.name += "." + n.name
		}
		if doc.c.field(f.name) != nil {
			return g.m.errorAt(at+".name", "field %s is there twice", f.name)
		}
		if err := g.checkField(f); err != nil {
			return err
		}
		f.personal = slices.ContainsFunc(f.categories, personal)
		doc.leaves = append(doc.leaves, f)
	}
	return nil
}

// inner finds a field inside the document columns by its dotted name.
func (c *collection) inner(name string) *field {
	for _, f := range c.fields {
		for _, leaf := range f.leaves {
			if leaf.name == name {
				return leaf
			}
		}
	}
	return nil
}

// all lists the columns and, behind each, the fields inside it.
func (c *collection) all() []*field {
	var fields []*field
	for _, f := range c.fields {
		fields = append(append(fields, f), f.leaves...)
	}
	return fields
}

// byPart reports whether erasing takes single fields out of the document: the
// column as a whole is not about a person.
func (f *field) byPart() bool {
	return len(f.leaves) > 0 && f.col.class == classJSON && !slices.ContainsFunc(f.spec.DataCategories, personal)
}

// scalars lists the different values that a column inside a document holds, as the
// dialect read them: the text of an array or of a single value.
func scalars(v value, typed bool) []value {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	read, err := decode(s)
	if err != nil {
		return nil
	}
	var found []value
	add := func(v value) {
		if !slices.Contains(found, v) {
			found = append(found, v)
		}
	}
	var walk func(any)
	walk = func(x any) {
		switch x := x.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case string:
			add(x)
		case json.Number:
			if n, err := x.Int64(); err == nil && typed {
				add(n)
			} else {
				add(x.String())
			}
		case bool:
			add(fmt.Sprint(x))
		}
	}
	walk(read)
	return found
}

func decode(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// rewrite replaces what lies on the ways of the given fields. A text that is no
// document becomes an empty one: nobody can say what it holds.
func rewrite(text string, replace map[*field]func(any) any) string {
	read, err := decode(text)
	if err != nil {
		return "{}"
	}
	for f, with := range replace {
		read = replaced(read, f.way[1:], with)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(read); err != nil {
		return "{}" // what was decoded can be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// replaced follows a way through objects, and through arrays wherever they are.
func replaced(v any, way []node, with func(any) any) any {
	if list, ok := v.([]any); ok {
		for i, e := range list {
			list[i] = replaced(e, way, with)
		}
		return list
	}
	if len(way) == 0 {
		return with(v)
	}
	if object, ok := v.(map[string]any); ok {
		if inner, ok := object[way[0].name]; ok {
			object[way[0].name] = replaced(inner, way[1:], with)
		}
	}
	return v
}

// partly is the change of a document of which only some fields go: those that
// are personal, unless they are needed, and those of ties.
func (p *plan) partly(f *field, needs []*field, how Method, ties bool) *change {
	replace := map[*field]func(any) any{}
	for _, leaf := range f.leaves {
		switch {
		case leaf.spec.Habeas.Erase == Retain || leaf.meta.ReadOnly || slices.Contains(needs, leaf):
		case leaf.link() && !ties:
		case !leaf.personal && (!leaf.tied() || !ties):
		case leaf.spec.Habeas.Erase == Mask || how == Mask && !leaf.link() && !leaf.tied():
			replace[leaf] = scrambled
		default:
			replace[leaf] = func(any) any { return nil }
		}
	}
	if len(replace) == 0 {
		return nil
	}
	return &change{f: f, reads: true, inside: replace, make: func(old value) value {
		s, ok := old.(string)
		if !ok {
			return nil
		}
		return rewrite(s, replace)
	}}
}

// scrambled masks a value inside a document, keeping its shape.
func scrambled(v any) any {
	switch v := v.(type) {
	case string:
		return scramble(v)
	case json.Number:
		s, _ := scramble(v.String()).(string)
		if s = strings.TrimLeft(s, "0"); s == "" || !json.Valid([]byte(s)) {
			return 0
		}
		return json.Number(s)
	}
	return nil
}

// withholding puts the type of an item in place of each that is never
// disclosed.
func (f *field) withholding(v any) any {
	var text string
	switch v := v.(type) {
	case json.RawMessage:
		text = string(v)
	case string:
		text = v
	default:
		return v
	}
	replace := map[*field]func(any) any{}
	for _, leaf := range f.leaves {
		w := leaf.withheld()
		if leaf.spec.Habeas.Hidden {
			replace[leaf] = func(any) any { return nil }
		} else if w != "" {
			replace[leaf] = func(x any) any {
				if x == nil {
					return nil
				}
				return string(w)
			}
		}
	}
	if len(replace) == 0 {
		return v
	}
	return json.RawMessage(rewrite(text, replace))
}

// withheldText is what stands for a whole column whose inside can't be told
// apart.
func (f *field) withheldInside() sdk.Withheld {
	for _, leaf := range f.leaves {
		if w := leaf.withheld(); w != "" {
			return w
		}
	}
	return ""
}
