package lake

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func adaLookup(t testing.TB) *lookup {
	t.Helper()
	stores, err := mustMap(t, testMap).compile()
	if err != nil {
		t.Fatal(err)
	}
	return newSought([]sdk.Person{ada}, stores).in(stores[0])
}

// FuzzWalk holds the walker against encoding/json: it accepts exactly the same
// objects, and finds the person exactly where a decoded object has her.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{
		adaView, adaPlace, adaList, bobView, together, adaAlone, noOne, `{"user":{"id":"\u0075sr_ada"}}`, `{"\u0075ser":{"id":"usr_ada"}}`,
		`{"a":1e5,"b":-0.1E+3,"c":[[],{}],"d":"\ud83d\ude00\ud83d"}`, `{"a":01}`, `{"a":1.}`, `{"a":"` + "\x01" + `"}`, `{"a":tru}`, `{"a":1,}`, `{,}`,
		`{"a":"\x"}`, `{"user":{"id":"usr_ada"}} `, `{"user":{"id":"usr_ada"}}}`, `[]`, `"x"`, `{"a":-}`, "{\"a\":\"\xff\"}", `{"people":[{"id":"usr_ada"},7]}`,
	} {
		f.Add([]byte(s))
	}
	l := adaLookup(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Count(string(data), "[")+strings.Count(string(data), "{") > maxDepth {
			return
		}
		var rec record
		rec.reset(data, 1)
		w := jsonWalker{lookup: l}
		err := w.walk(&rec)
		var object map[string]any
		valid := json.Valid(data) && json.Unmarshal(data, &object) == nil && object != nil
		if err == nil && !valid {
			t.Fatalf("accepted what is no JSON object: %q", data)
		}
		if err != nil {
			// A valid object may still not be what the map expects.
			if valid && !strings.HasPrefix(err.Error(), "field ") {
				t.Fatalf("rejected a JSON object: %v: %q", err, data)
			}
			return
		}
		// encoding/json keeps only the last of two members with one name; what
		// it finds must be found.
		if holdsAda(object) && len(rec.hits) == 0 {
			t.Fatalf("did not find the person in %q", data)
		}
		var cut []int
		for i := range rec.elems {
			cut = append(cut, i)
			if out := (&jsonl{}).cut(nil, &rec, []int{i}); !json.Valid(out) {
				t.Fatalf("without element %d, %q became %q", i, data, out)
			}
		}
		if out := (&jsonl{}).cut(nil, &rec, cut); !json.Valid(out) {
			t.Fatalf("without its elements, %q became %q", data, out)
		}
	})
}

func holdsAda(object map[string]any) bool {
	at := func(v any, name string) any {
		m, _ := v.(map[string]any)
		return m[name]
	}
	return at(object["user"], "id") == "usr_ada" || at(object["device"], "id") == "dev-ada"
}

func TestWalkFinds(t *testing.T) {
	l := adaLookup(t)
	for _, test := range []struct {
		line string
		hits int
		err  string
	}{
		{line: `{"user":{"id":"usr_ada"}}`, hits: 1},
		{line: `{"user":[{"id":"x"},{"id":"usr_ada"}]}`, hits: 1},
		{line: `{"user":{"id":" usr_ada "}}`, hits: 1},
		{line: `{"user":{"id":"usr_adam"}}`},
		{line: `{"user":{"id":"USR_ADA"}}`},
		{line: `{"user":{"ID":"usr_ada"}}`},
		{line: `{"other":{"user":{"id":"usr_ada"}}}`},
		{line: `{"user":{"id":"usr_ada","id":"other"}}`, hits: 1},
		{line: `{"user":{"id":null},"device":null}`},
		{line: `{"user":"usr_ada"}`, err: "field user is a value"},
		{line: `{"user":{"id":{"raw":"usr_ada"}}}`, err: "field user.id is an object"},
		{line: `["usr_ada"]`, err: "not a JSON object"},
	} {
		var rec record
		rec.reset([]byte(test.line), 1)
		w := jsonWalker{lookup: l}
		err := w.walk(&rec)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.line, err, test.err)
			}
			continue
		}
		if err != nil || len(rec.hits) != test.hits {
			t.Errorf("%s: %d hits, want %d (%v)", test.line, len(rec.hits), test.hits, err)
		}
	}
}

func TestNumbersAsIdentifiers(t *testing.T) {
	for in, want := range map[string]string{
		"12345": "12345", "12345.0": "12345", "1.2345e4": "12345", "-7": "-7", "1.5": "1.5",
		"9007199254740993": "9007199254740993", "1e400": "1e400", "1e300": "1e300",
	} {
		if got := string(plainInteger([]byte(in))); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
