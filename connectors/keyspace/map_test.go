package keyspace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestFaultsNameFileLineAndField(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":    {"stores:\n  - name: a\n    kays: x\n", `m.yaml:3: unknown field "kays"`},
		"no stores":      {"separator: ':'\n", "m.yaml:1: stores: name at least one store"},
		"bad type":       {"stores:\n  - name: a\n    keys: \"a:<user_id>\"\n    type: blob\n    category: {letter: A}\n", `m.yaml:4: stores[0].type: "blob": want one of string, json, hash, set, zset, list, stream`},
		"nobody's":       {"stores:\n  - name: a\n    keys: \"a:*\"\n    type: hash\n    category: {letter: A}\n", "m.yaml:3: stores[0].keys: want one way to tell whose a record is, and there are 0: a <kind> in keys, member, or identifiers"},
		"part wildcard":  {"stores:\n  - name: a\n    keys: \"a-*:<user_id>\"\n    type: hash\n    category: {letter: A}\n", `m.yaml:3: stores[0].keys: a '*' must be a whole segment between ":", or a name could be read in two ways`},
		"two kinds":      {"stores:\n  - name: a\n    keys: \"a:<user_id>:<email>\"\n    type: hash\n    category: {letter: A}\n", "m.yaml:3: stores[0].keys: two identifiers in one pattern"},
		"open kind":      {"stores:\n  - name: a\n    keys: \"a:<user\"\n    type: hash\n    category: {letter: A}\n", `m.yaml:3: stores[0].keys: after "a:": want <kind>`},
		"letter":         {"stores:\n  - name: a\n    keys: \"a:<user_id>\"\n    type: hash\n    category: {letter: Z}\n", `m.yaml:5: stores[0].category: letter "Z": want A to L`},
		"stream's bytes": {"stores:\n  - name: a\n    keys: \"a\"\n    type: stream\n    identifiers: {user_id: u}\n    category: {letter: A}\n", "m.yaml:2: stores[0].name: trimmed_after is missing"},
		"keep undated":   {"stores:\n  - name: a\n    keys: \"a:<user_id>\"\n    type: hash\n    category: {letter: A}\n    keep: {basis: x, for: 1h}\n", "m.yaml:6: stores[0].keep: the records have no date"},
		"same name":      {"stores:\n  - {name: a, keys: \"a:<user_id>\", type: hash, category: {letter: A}}\n  - {name: a, keys: \"b:<user_id>\", type: hash, category: {letter: A}}\n", "m.yaml:3: stores[1].name: there are two stores named a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseMap("m.yaml", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestManifestOfAMap(t *testing.T) {
	m, err := ParseMap("m.yaml", []byte(shopMap))
	if err != nil {
		t.Fatal(err)
	}
	man := m.Manifest()
	if diff := cmp.Diff([]sdk.Kind{sdk.Email, sdk.UserID}, man.Accepts); diff != "" {
		t.Error(diff)
	}
	if len(man.Stores) != 13 || man.BackupExpiry.Hours() != 720 || len(man.Digest) != 64 {
		t.Errorf("%d stores, backups for %s, digest %s", len(man.Stores), man.BackupExpiry, man.Digest)
	}
}

// TestNamesAreReadInOneWay makes names of values and reads them back, whatever
// the values are.
func TestNamesAreReadInOneWay(t *testing.T) {
	segment := rapid.StringMatching(`[a-z<>*\\\[?-]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		var text, name strings.Builder
		value := rapid.StringN(1, 8, -1).Draw(t, "value")
		at := rapid.IntRange(0, 3).Draw(t, "at")
		for i := range 4 {
			if i > 0 {
				text.WriteByte(':')
				name.WriteByte(':')
			}
			switch {
			case i == at:
				text.WriteString("<user_id>")
				name.WriteString(value)
			case rapid.Bool().Draw(t, "wild"):
				text.WriteByte('*')
				name.WriteString(rapid.StringMatching(`[^:]{0,4}`).Draw(t, "segment"))
			default:
				s := segment.Draw(t, "literal")
				text.WriteString(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `<`, `\<`).Replace(s))
				name.WriteString(s)
			}
		}
		p, err := parsePattern(text.String(), ":")
		if err != nil {
			t.Fatalf("%s: %v", text.String(), err)
		}
		got, ok := p.match(name.String())
		if !ok || got != value {
			t.Fatalf("%q read by %q: %q, %v, want %q", name.String(), text.String(), got, ok, value)
		}
	})
}
