package keyspace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// fieldsOf reads a whole document.
func (c *Connector) fieldsOf(ctx context.Context, s *store, key string, heads []head, i int) ([]fieldValue, error) {
	switch s.typ {
	case "hash":
		var fields []fieldValue
		err := c.eachElement(ctx, s, key, "*", func(e element) error {
			fields = append(fields, fieldValue{name: e.ref, value: e.text})
			return nil
		})
		sortFields(fields)
		return fields, err
	case "json":
		h, _ := heads[i].(jsonHead) // heads reads nothing else for this type
		return jsonFields(h), nil
	}
	text, _ := heads[i].(rawHead)
	return []fieldValue{{name: "value", value: string(text)}}, nil
}

func sortFields(fields []fieldValue) {
	slices.SortFunc(fields, func(a, b fieldValue) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
}

// jsonFields are an object's members.
func jsonFields(h jsonHead) []fieldValue {
	fields := make([]fieldValue, 0, len(h))
	for name, v := range h {
		switch v.(type) {
		case map[string]any, []any, json.Number:
			raw, err := json.Marshal(v)
			if err == nil { // always: it was parsed from JSON
				v = json.RawMessage(raw)
			}
		}
		fields = append(fields, fieldValue{name: name, value: v})
	}
	sortFields(fields)
	return fields
}

// elementFields are an entry's fields, its place in the collection first.
func (s *store) elementFields(e element) ([]fieldValue, error) {
	switch {
	case s.typ == "stream":
		var fields []fieldValue
		for name, v := range e.values {
			fields = append(fields, fieldValue{name: name, value: v})
		}
		sortFields(fields)
		return slices.Insert(fields, 0, fieldValue{name: "id", value: e.ref}), nil
	case len(s.fields) > 0:
		h, err := s.parseJSON(e.ref)
		if err != nil {
			return nil, err
		}
		return append(jsonFields(h), s.scoreField(e)...), nil
	case s.typ == "hash":
		return []fieldValue{{name: "field", value: e.ref}, {name: "value", value: e.text}}, nil
	}
	return append([]fieldValue{{name: "member", value: e.ref}}, s.scoreField(e)...), nil
}

func (s *store) scoreField(e element) []fieldValue {
	if s.typ != "zset" {
		return nil
	}
	return []fieldValue{{name: "score", value: e.score}}
}

// Export implements [sdk.Exporter]. Each document and each entry is one
// record, with the name of its key.
func (c *Connector) Export(ctx context.Context, p sdk.Person, out sdk.RecordWriter) error {
	q := c.sought([]sdk.Person{p})
	for _, s := range c.stores {
		err := c.search(ctx, q, s, wants{times: true, fields: true}, func(r record) error {
			if outside(p, r.at) {
				return nil
			}
			fields := []sdk.Field{{Name: "key", Value: r.key}}
			for _, f := range r.fields {
				if as, hidden := s.withhold[f.name]; hidden {
					f.value = as
				}
				fields = append(fields, sdk.Field{Name: f.name, Value: f.value})
			}
			if err := out.Write(ctx, sdk.Record{Store: s.name, Fields: fields}); err != nil {
				return &writerError{err}
			}
			return nil
		})
		if own, ok := errors.AsType[*writerError](err); ok {
			return own.err
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
