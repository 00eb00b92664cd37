package lake

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestMapErrors(t *testing.T) {
	const good = `
stores:
  - name: events
    files: events/*.jsonl
    identifiers: {user_id: user.id}
    categories: {"*": {letter: F, data: user.behavior}}
`
	mustMap(t, good)
	for _, test := range []struct{ old, new, want string }{
		{"name: events", "nam: events", "nam"},
		{"name: events", "name: Events", `stores[0]: name: "Events"`},
		{"files: events/*.jsonl", "files: ../*.jsonl", "stores[0]: files:"},
		{"files: events/*.jsonl", "files: events/[.jsonl", "is not a pattern"},
		{"{user_id: user.id}", "{}", "identifiers: name the fields"},
		{"{user_id: user.id}", "{User: user.id}", `kind "User"`},
		{"{user_id: user.id}", "{user_id: user..id}", "identifiers.user_id"},
		{"{user_id: user.id}", "{user_id: [user.id, user.id]}", "already holds"},
		{"letter: F", "letter: M", "categories.*.letter"},
		{"letter: F, data: user.behavior", "letter: F", "categories.*.data"},
		{`"*"`, "view", "type: categories tell types"},
		{"identifiers:", "format: orc\n    identifiers:", "format:"},
		{"identifiers:", "format: csv\n    shared: user\n    identifiers:", "stores[0]: shared"},
		{"identifiers:", "columns: [a]\n    identifiers:", "columns: only CSV"},
		{"identifiers:", "format: csv\n    columns: [a, a]\n    identifiers:", "columns[1]"},
		{"identifiers:", "format: csv\n    columns: [a]\n    identifiers:", "is not among the columns"},
		{"identifiers:", "format: parquet\n    compression: gzip\n    identifiers:", "compression: Parquet"},
		{"identifiers:", "format: parquet\n    shared: [user]\n    identifiers:", "shared: elements"},
		{"identifiers:", "shared: other\n    identifiers:", "shared[0]: no identifier lies in other"},
		{"identifiers:", "compression: lz4\n    identifiers:", "compression:"},
		{"identifiers:", "role: owner\n    identifiers:", "role:"},
		{"identifiers:", "time: {field: at, layout: sometime}\n    identifiers:", "time.layout"},
		{"identifiers:", "withhold: [{field: pin}]\n    identifiers:", "withhold[0].as"},
		{"identifiers:", "normalise: {email: lower}\n    identifiers:", "normalise.email"},
		{"stores:", "ignore: ['']\nstores:", "ignore[0]"},
	} {
		text := strings.Replace(good, test.old, test.new, 1)
		if _, err := ParseMap("map.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("with %q: error %v, want %q", test.new, err, test.want)
		}
	}
}

func TestFaultsNameFileLineAndField(t *testing.T) {
	good := `stores:
  - name: events
    files: events/*.jsonl
    identifiers:
      user_id: user.id
    categories:
      "*":
        letter: F
        data: user.behavior
    withhold:
      - field: pin
        as: account password
`
	for _, tc := range []struct{ old, new, want string }{
		{"", "", ""},
		{"files:", "filez:", `m.yaml:3: unknown field "filez"`},
		{"letter: F", "letter: Z", "m.yaml:8: stores[0]: categories.*.letter"},
		{"as: account password", "as: ''", "m.yaml:12: stores[0]: withhold[0].as"},
		{"user_id: user.id", "User: user.id", "m.yaml:4: stores[0]: identifiers"},
		{"name: events", "name: Events", "m.yaml:2: stores[0]: name"},
		{"    files", "  files", "m.yaml:"},
	} {
		file := filepath.Join(t.TempDir(), "m.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(good, tc.old, tc.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMap(file)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %s", tc.new, err, tc.want)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, key string
		want         bool
	}{
		{"events/dt=*/*.jsonl", "events/dt=2026-01-01/a.jsonl", true},
		{"events/dt=*/*.jsonl", "events/dt=2026-01-01/x/a.jsonl", false},
		{"events/**/*.jsonl", "events/a.jsonl", true},
		{"events/**/*.jsonl", "events/x/y/a.jsonl", true},
		{"events/**/*.jsonl", "other/a.jsonl", false},
		{"**", "a/b", true},
		{"*", "a/b", false},
	} {
		p, err := parsePattern(test.pattern)
		if err != nil || p.match(test.key) != test.want {
			t.Errorf("%s of %s: want %v (%v)", test.pattern, test.key, test.want, err)
		}
	}
	got := roots([]*store{{files: pattern{"a", "b", "*"}}, {files: pattern{"a", "*"}}, {files: pattern{"c*", "d"}}})
	if len(got) != 1 || got[0] != "" {
		t.Errorf("roots %q, want the whole folder", got)
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for layout, text := range map[timeLayout]string{
		"": "2026-01-02T03:04:05Z", "rfc3339": "2026-01-02T04:04:05.000+01:00", "unix": "1767323045", "unix_ms": "1767323045000",
		"unix_us": "1767323045000000", "2006-01-02 15:04:05": "2026-01-02 03:04:05",
	} {
		got, err := layout.parse(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", layout, got, err)
		}
	}
	for _, layout := range []timeLayout{"", "unix", "date"} {
		if _, err := layout.parse("2026-99"); err == nil || strings.Contains(err.Error(), "99") {
			t.Errorf("%s: error %v", layout, err)
		}
	}
}

// TestSince limits people to their look-back windows, by the record's time and
// by the partition, and treats them differently in one batch.
func TestSince(t *testing.T) {
	old := `{"type":"view","user":{"id":"usr_ada"},"at":"2025-12-31T23:00:00Z"}`
	undated := `{"type":"view","user":{"id":"usr_ada"}}`
	l, dir := newTestLake(t, map[string]string{
		"events/dt=2026-01-01/a.jsonl": lines(old, adaView, undated, bobView),
		"events/dt=2025-06-01/a.jsonl": lines(undated),
	})
	since := ada.WithSince(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	found, err := l.LocateBatch(t.Context(), []sdk.Person{since, ada})
	if err != nil {
		t.Fatal(err)
	}
	if found[0][0].Count != 2 || found[1][0].Count != 4 {
		t.Errorf("found %v since the new year and %v in all, want 2 and 4", found[0], found[1])
	}
	if err := l.Erase(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	if got := get(t, dir, "events/dt=2026-01-01/a.jsonl"); got != lines(old, bobView) {
		t.Errorf("left %q", got)
	}
	put(t, dir, "events/dt=2026-01-01/b.jsonl", lines(`{"type":"view","user":{"id":"usr_ada"},"at":"yesterday"}`))
	if _, err := l.Locate(t.Context(), since); err == nil || !strings.Contains(err.Error(), "b.jsonl, line 1: the time") {
		t.Errorf("error %v", err)
	}
}

// TestServiceProvider keeps what belongs to somebody else's customers.
func TestServiceProvider(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, day2, lines(adaView))
	l, err := Open(Options{Folder: dir, Map: mustMap(t, strings.Replace(testMap, "partition: dt", "partition: dt\n    role: service_provider", 1))})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	found, err := l.Locate(t.Context(), ada)
	if err != nil || len(found) != 1 || found[0].Keep == nil || found[0].Keep.Basis != heldForOthers || !found[0].Keep.Until.After(time.Now()) {
		t.Errorf("found %v, %v", found, err)
	}
}

// TestMemory finds and rewrites a file much larger than what may be allocated
// in doing so.
func TestMemory(t *testing.T) {
	var text strings.Builder
	for text.Len() < 12<<20 {
		text.WriteString(lines(adaView, bobView))
	}
	for _, key := range []string{day2, gz3} {
		l, dir := newTestLake(t, map[string]string{key: text.String()})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := l.Erase(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 6<<20 {
			t.Errorf("%s: allocated %d bytes for a file of %d", filepath.Ext(key), used, text.Len())
		}
		if got := get(t, dir, key); strings.Contains(got, adaView) || !strings.Contains(got, bobView) {
			t.Errorf("%s: not rewritten", key)
		}
	}
}
