package restspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// recordFields turns a record into fields in the order the system sent them.
// What may never be disclosed is taken out, however deep it lies, and named
// instead.
func recordFields(raw json.RawMessage, withhold []hidden) ([]sdk.Field, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return []sdk.Field{{Name: "value", Value: raw}}, nil
	}
	var fields []sdk.Field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, sdk.WithCode(sdk.Unavailable, errNotJSON)
		}
		name, _ := key.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, sdk.WithCode(sdk.Unavailable, errNotJSON)
		}
		more, err := field(name, value, withhold)
		if err != nil {
			return nil, err
		}
		fields = append(fields, more...)
	}
	return fields, nil
}

// field is one field, followed by what was withheld from inside it.
func field(name string, raw json.RawMessage, withhold []hidden) ([]sdk.Field, error) {
	var inside []hidden
	for _, h := range withhold {
		switch {
		case h.path[0] != name:
		case len(h.path) == 1 && string(raw) == "null":
			return []sdk.Field{{Name: name}}, nil
		case len(h.path) == 1:
			return []sdk.Field{{Name: name, Value: sdk.Withheld(h.kind)}}, nil
		default:
			inside = append(inside, h)
		}
	}
	v, err := decodeValue(raw)
	if err != nil {
		return nil, sdk.WithCode(sdk.Unavailable, errNotJSON)
	}
	var taken []sdk.Field
	for _, h := range inside {
		if cut(v, h.path[1:]) {
			taken = append(taken, sdk.Field{Name: strings.Join(h.path, "."), Value: sdk.Withheld(h.kind)})
		}
	}
	value, err := plainValue(v, raw, len(taken) > 0)
	if err != nil {
		return nil, err
	}
	return append([]sdk.Field{{Name: name, Value: value}}, taken...), nil
}

// plainValue is a decoded value as a record's field holds it.
func plainValue(v any, raw json.RawMessage, changed bool) (any, error) {
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t, nil
		}
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return json.RawMessage(v.String()), nil // a float would round it
	}
	if !changed {
		return json.RawMessage(bytes.Clone(raw)), nil
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing what is left of a record: %w", err)
	}
	return json.RawMessage(out), nil
}

// cut takes the value at path out of v, out of every element when there are
// lists on the way, and reports whether there was one.
func cut(v any, path []string) bool {
	switch v := v.(type) {
	case []any:
		found := false
		for _, e := range v {
			found = cut(e, path) || found
		}
		return found
	case map[string]any:
		if len(path) == 1 {
			old, ok := v[path[0]]
			delete(v, path[0])
			return ok && old != nil
		}
		return cut(v[path[0]], path[1:])
	}
	return false
}
