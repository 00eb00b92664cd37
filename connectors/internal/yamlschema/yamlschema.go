// Package yamlschema writes the JSON Schema of a YAML file from the Go type
// that the file is decoded into, so that what an editor checks and what a
// program reads can't drift apart: names and nesting come from the type,
// descriptions from its doc comments. What a type can't say, such as which
// words a field takes, stands in [Rules].
package yamlschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema is a JSON Schema as it is written.
type Schema map[string]any

// Rules are what the types do not say. Keys are "package.Type" and
// "package.Type.Field" by the Go names.
type Rules struct {
	// Required are the keys a mapping must have, by type.
	Required map[string][]string
	// Enums are the words a field takes, by field.
	Enums map[string][]string
	// Scalars are the schemas of types with a decoder of their own, by type.
	Scalars map[string]Schema
}

// Document is one kind of file.
type Document struct {
	// ID is the schema's address, Title its name.
	ID, Title string
	// Root is the type of the whole file.
	Root reflect.Type
	// Comments are the doc comments, from [Comments].
	Comments map[string]string
	Rules    Rules
	// Add says more about the root than its type does; of makes the schema of
	// a further type. It may be nil.
	Add func(root Schema, of func(reflect.Type) Schema)
}

// Generate writes the schema (JSON Schema 2020-12).
func Generate(d Document) ([]byte, error) {
	g := &generator{doc: d, defs: map[string]any{}}
	root := g.object(d.Root)
	if d.Add != nil {
		d.Add(root, g.of)
	}
	root["$schema"], root["$id"], root["title"] = "https://json-schema.org/draft/2020-12/schema", d.ID, d.Title
	if len(g.defs) > 0 {
		root["$defs"] = g.defs
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(text, '\n'), nil
}

type generator struct {
	doc  Document
	defs map[string]any
}

// name is how rules and comments call a type.
func name(t reflect.Type) string { return t.String() }

var durationType = reflect.TypeFor[time.Duration]()

// of is the schema of a value of type t. A key that is there without a value
// is null, which decodes to nothing.
func (g *generator) of(t reflect.Type) Schema {
	if t.Kind() == reflect.Pointer {
		return g.of(t.Elem())
	}
	if t.Name() != "" {
		if s, ok := g.doc.Rules.Scalars[name(t)]; ok {
			return maps.Clone(s)
		}
	}
	switch {
	case t == durationType:
		return Schema{"type": []string{"string", "null"}, "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`}
	case t.Kind() == reflect.String:
		return Schema{"type": []string{"string", "number", "boolean", "null"}}
	case t.Kind() == reflect.Bool:
		return Schema{"type": []string{"boolean", "null"}}
	case t.Kind() == reflect.Float64:
		return Schema{"type": []string{"number", "null"}}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return Schema{"type": []string{"integer", "null"}}
	case t.Kind() == reflect.Slice:
		return Schema{"type": []string{"array", "null"}, "items": g.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return Schema{"type": []string{"object", "null"}, "additionalProperties": g.of(t.Elem())}
	case t.Kind() == reflect.Struct && t.Name() == "":
		return g.object(t)
	case t.Kind() == reflect.Struct:
		key := name(t)
		if g.defs[key] == nil {
			g.defs[key] = Schema{} // it may hold itself
			g.defs[key] = g.object(t)
		}
		return Schema{"$ref": "#/$defs/" + key}
	}
	return Schema{} // anything
}

// object is the schema of a mapping that is decoded strictly.
func (g *generator) object(t reflect.Type) Schema {
	properties := map[string]any{}
	g.fields(t, properties)
	s := Schema{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
	if t.Name() == "" {
		return s
	}
	if text := g.doc.Comments[name(t)]; text != "" {
		s["description"] = text
	}
	if required := g.doc.Rules.Required[name(t)]; len(required) > 0 {
		s["required"], s["type"] = required, "object"
	}
	return s
}

// fields adds the keys of a struct, those of inlined ones too.
func (g *generator) fields(t reflect.Type, properties map[string]any) {
	for f := range t.Fields() {
		tag := f.Tag.Get("yaml")
		key, options, _ := strings.Cut(tag, ",")
		if !f.IsExported() || key == "-" {
			continue
		}
		if slices.Contains(strings.Split(options, ","), "inline") {
			g.fields(f.Type, properties)
			continue
		}
		if key == "" {
			key = strings.ToLower(f.Name)
		}
		s := g.of(f.Type)
		owner := ""
		if t.Name() != "" {
			owner = name(t) + "." + f.Name
		}
		if words := g.doc.Rules.Enums[owner]; len(words) > 0 {
			g.limit(s, words)
		}
		if text := g.doc.Comments[owner]; text != "" {
			s["description"] = text
		}
		properties[key] = s
	}
}

// limit lets a field, or the elements of a list, be only one of the words.
func (g *generator) limit(s Schema, words []string) {
	if items, ok := s["items"].(Schema); ok {
		g.limit(items, words)
		return
	}
	enum := make([]any, 0, len(words)+1)
	for _, w := range words {
		enum = append(enum, w)
	}
	s["enum"] = append(enum, nil)
	delete(s, "type")
}
