package restspec

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestReadPage(t *testing.T) {
	for _, tt := range []struct {
		name, body, items string
		count             int
		err               error
	}{
		{"nested", `{"a":{"b":[{"x":1},{"x":2}]},"n":{"c":"k"}}`, "a.b", 2, nil},
		{"a list itself", `[{"x":1},{"x":2},{"x":3}]`, ".", 3, nil},
		{"one record", `{"x":1,"n":{"c":"k"}}`, "", 1, nil},
		{"decoys", `{"z":{"a":{"b":[1,2]}},"a":{"c":[{"b":[]}],"b":[{"x":1}]},"n":{"c":"k"}}`, "a.b", 1, nil},
		{"spaces", "  { \"a\" : { \"b\" : [ ] } }\n\n", "a.b", 0, nil},
		{"missing", `{"a":{"c":[]}}`, "a.b", 0, errNoList},
		{"a list instead of an object", `[{"a":{"b":[]}}]`, "a.b", 0, errNoList},
		{"an object instead of a list", `{"a":{"b":{"x":1}}}`, "a.b", 0, errNoList},
		{"empty", ``, "a.b", 0, errCut},
		{"cut in a record", `{"a":{"b":[{"x":1},{"x`, "a.b", 1, errCut},
		{"cut after the list", `{"a":{"b":[{"x":1}]}`, "a.b", 1, errCut},
		{"two values", `{"a":{"b":[]}}{}`, "a.b", 0, errTrailing},
		{"not JSON", `nope`, "a.b", 0, errNotJSON},
		{"too big", `{"pad":[` + strings.Repeat(`"xxxxxxxx",`, 200) + `1],"a":{"b":[]}}`, "a.b", 0, errBigItem},
		{"a record too big", `{"a":{"b":[{"x":"` + strings.Repeat("x", 2000) + `"}]}}`, "a.b", 0, errBigItem},
		{"in all too big", `{"a":{"b":[` + strings.Repeat(`{"x":1},`, 2000) + `{}]}}`, "a.b", -1, errTooBig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			_, err := readPage(strings.NewReader(tt.body), 8<<10, 512, tt.items, []string{"n.c"}, func(json.RawMessage) error { n++; return nil })
			if !errors.Is(err, tt.err) || (tt.err == nil) != (err == nil) || tt.count >= 0 && n != tt.count {
				t.Errorf("%d records, %v; want %d, %v", n, err, tt.count, tt.err)
			}
		})
	}
}

func FuzzReadPage(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[{"x":1}]}}`, `[1,2]`, `{"a":`, `null`, `{"a":{"b":{"b":[]}}}`, "\x00"} {
		f.Add(s, "a.b")
		f.Add(s, ".")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, body, items string) {
		n := 0
		_, err := readPage(strings.NewReader(body), 1<<16, 1<<12, items, []string{"a.c", "n"}, func(raw json.RawMessage) error {
			n++
			if !json.Valid(raw) {
				t.Errorf("a record that is not JSON")
			}
			return nil
		})
		if err == nil && !json.Valid([]byte(body)) {
			t.Errorf("an answer that is not JSON was read")
		}
	})
}

// TestExportIsConstantMemory streams 8 MB of records, gzipped, and looks at the
// heap on the way.
func TestExportIsConstantMemory(t *testing.T) {
	const records = 8 << 10
	pad := strings.Repeat("x", 1000)
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"users":[`)
		for i := range records {
			if i > 0 {
				_, _ = io.WriteString(z, ",")
			}
			_, _ = fmt.Fprintf(z, `{"email":"ada+x@example.com","n":%d,"pad":%q}`, i, pad)
		}
		_, _ = io.WriteString(z, `]}`)
		_ = z.Close()
	}})
	c := open(t, v, "locate:\n  - {name: users, for: email, get: /users, items: users, match: email, store: users}\nexport: [{use: locate}]\n")
	w := &heapWatch{}
	before := heap()
	if err := c.(sdk.Exporter).Export(t.Context(), her, w); err != nil {
		t.Fatal(err)
	}
	if w.n != records || w.most > before+2<<20 {
		t.Errorf("%d records; the heap grew from %d to %d kB", w.n, before>>10, w.most>>10)
	}
}

type heapWatch struct {
	n    int
	most uint64
}

func (h *heapWatch) Write(context.Context, sdk.Record) error {
	h.n++
	if h.n%1024 == 0 {
		h.most = max(h.most, heap())
	}
	return nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestWithheld takes out what may never be shown, however deep, and keeps the
// order of the rest.
func TestWithheld(t *testing.T) {
	hide := []hidden{
		{[]string{"ssn"}, "government identification number"},
		{[]string{"cards", "number"}, "payment card number"},
		{[]string{"login", "password"}, "account password"},
		{[]string{"none"}, "nothing"},
	}
	raw := `{"z":"last","id":9007199254740993,"ssn":"078-05-1120","cards":[{"number":"4111","brand":"v"},{"number":"5500"}],"login":{"user":"a","password":"p"},"none":null,"when":"2024-05-02T10:00:00Z","score":0.1}`
	fields, err := recordFields(json.RawMessage(raw), hide)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields {
		got = append(got, fmt.Sprintf("%s=%s", f.Name, show(f.Value)))
	}
	want := []string{
		"z=last", "id=9007199254740993", "ssn=<government identification number>",
		`cards=[{"brand":"v"},{}]`, "cards.number=<payment card number>",
		`login={"user":"a"}`, "login.password=<account password>", "none=<nil>",
		"when=2024-05-02 10:00:00 +0000 UTC", "score=0.1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func show(v any) string {
	switch v := v.(type) {
	case json.RawMessage:
		return string(bytes.TrimSpace(v))
	case sdk.Withheld:
		return "<" + string(v) + ">"
	}
	return fmt.Sprint(v)
}
