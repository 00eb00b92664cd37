package delivery_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/delivery"
)

// FuzzRecord compares the reading of lines with encoding/json's.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"category":"A","fields":[{"name":"a","value":1},{"name":"b","withheld":"x"}]}`))
	f.Add([]byte(` { "fields" : [ { "value" : {"x":["]}\"",{}]} , "name" : "\u0061" } , {"name":"a"} ] , "category" : "" } `))
	f.Add([]byte(`{"category":"A","fields":null}`))
	f.Add([]byte(`{"category":"A","fields":[]} {}`))
	f.Add([]byte("{\"category\":\"A\",\"fields\":[{\"name\":\"\xff\",\"value\":\"\xfe\"}]}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		names, values, err := delivery.ParseRecord(bytes.Clone(line))
		var want struct {
			Category *string
			Fields   []struct {
				Name     *string
				Value    json.RawMessage
				Withheld string
			}
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		wantErr := dec.Decode(&want)
		if err != nil {
			return // stricter than encoding/json is allowed
		}
		if wantErr != nil {
			t.Fatalf("read %q, which encoding/json does not: %v", line, wantErr)
		}
		if len(names) != len(want.Fields) {
			t.Fatalf("%q: %d fields, want %d", line, len(names), len(want.Fields))
		}
		for i, w := range want.Fields {
			if w.Withheld == "" && w.Value != nil && values[i] != "" {
				if d := cmp.Diff(string(bytes.ToValidUTF8(w.Value, []byte("\ufffd"))), values[i]); d != "" {
					t.Fatalf("%q: field %d: %s", line, i, d)
				}
			}
		}
	})
}
