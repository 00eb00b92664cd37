package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const testMap = `
stores:
  - name: events
    files: events/dt=*/*
    partition: dt
    identifiers:
      user_id: [user.id, people.id]
      device_id: [device.id, device_ids]
    shared: people
    type: type
    categories:
      view: {letter: F, data: user.behavior}
      place: {letter: G, data: user.location}
      "*": {letter: K, data: user.derived}
    time: {field: at}
    withhold:
      - {field: user.licence, as: driver's licence number}
      - {field: pin, as: account password}
ignore: ["events/**/*.md"]
`

func mustMap(t testing.TB, text string) *Map {
	t.Helper()
	m, err := ParseMap("map.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newTestLake makes a lake of the given files: keys and what they hold before
// compression.
func newTestLake(t testing.TB, files map[string]string) (*Lake, string) {
	t.Helper()
	dir := t.TempDir()
	for key, text := range files {
		put(t, dir, key, text)
	}
	return openTestLake(t, dir), dir
}

func openTestLake(t testing.TB, dir string) *Lake {
	t.Helper()
	l, err := Open(Options{Folder: dir, Map: mustMap(t, testMap), Workers: 4, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// failer is what helpers need of a testing.TB, which rapid has too.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// put writes one file, compressed as its name says.
func put(t failer, dir, key, text string) {
	t.Helper()
	var b bytes.Buffer
	switch filepath.Ext(key) {
	case ".gz":
		z := gzip.NewWriter(&b)
		z.Name = "kept.jsonl"
		write(t, z, text)
	case ".zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		write(t, z, text)
	default:
		b.WriteString(text)
	}
	p := filepath.Join(dir, key)
	if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, b.Bytes(), 0o640); err != nil {
		t.Fatal(err)
	}
}

func write(t failer, w io.WriteCloser, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// get reads one file, whatever its compression, without the engine's help.
func get(t failer, dir, key string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, key))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Errorf("closing %s: %v", key, err)
		}
	}()
	var r io.Reader = f
	switch filepath.Ext(key) {
	case ".gz":
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if z.Name != "kept.jsonl" {
			t.Errorf("%s: the gzip header lost its name", key)
		}
		r = z
	case ".zst":
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// names lists every name in the folder, hidden ones too.
func names(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p) // p is below dir
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

var ada = sdk.NewPerson(sdk.ID(sdk.UserID, "usr_ada"), sdk.ID(sdk.DeviceID, "dev-ada"))

const (
	adaView   = `{"type":"view","user":{"id":"usr_ada"},"at":"2026-01-02T10:00:00Z"}`
	adaPlace  = `{ "at" : "2026-01-02T11:00:00Z", "type":"place", "device" : {"id":"dev\u002dada"} }`
	adaList   = `{"type":"guess","device_ids":["x",["dev-ada"]],"note":"käse \ud83e\uddc0"}`
	bobView   = `{"type":"view","user":{"id":"usr_bob"},"text":"usr_ada is only mentioned"}`
	together  = `{"type":"view","people":[{"id":"usr_ada"}, {"id":"usr_bob"} ,{"id":"usr_ada"}]}`
	adaAlone  = `{"people":[{"id":"usr_ada"},{"guest":true}],"type":"view"}`
	blank     = "  "
	noOne     = `{"type":"view"}`
	day2, gz3 = "events/dt=2026-01-02/a.jsonl", "events/dt=2026-01-03/b.jsonl.gz"
	zst4      = "events/dt=2026-01-04/c.jsonl.zst"
)

func TestLocateAndErase(t *testing.T) {
	l, dir := newTestLake(t, map[string]string{
		day2:                            lines(adaView, bobView, adaPlace, blank, together),
		gz3:                             bobView + "\r\n" + adaList + "\n" + noOne,
		zst4:                            lines(adaAlone) + adaView,
		"events/dt=2026-01-04/_SUCCESS": "not json",
		"events/dt=2026-01-04/about.md": "not json",
	})
	got, err := l.Locate(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	want := []sdk.Found{
		{Store: "events", Category: "F", Count: 4},
		{Store: "events", Category: "G", Count: 1},
		{Store: "events", Category: "K", Count: 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("Locate (-want +got):\n%s", d)
	}
	before := names(t, dir)
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		day2: lines(bobView, blank, `{"type":"view","people":[{"id":"usr_bob"}]}`),
		gz3:  bobView + "\r\n" + noOne,
		zst4: "",
	} {
		if d := cmp.Diff(want, get(t, dir, key)); d != "" {
			t.Errorf("%s (-want +got):\n%s", key, d)
		}
	}
	if d := cmp.Diff(before, names(t, dir)); d != "" {
		t.Errorf("names (-before +after):\n%s", d)
	}
	if info, err := os.Stat(filepath.Join(dir, day2)); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode of a rewritten file: %v, %v", info.Mode(), err)
	}
	if got, err := l.Locate(t.Context(), ada); got != nil || err != nil {
		t.Errorf("Locate after Erase: %v, %v", got, err)
	}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Errorf("erasing twice: %v", err)
	}
}

type collector []sdk.Record

func (c *collector) Write(_ context.Context, r sdk.Record) error {
	*c = append(*c, r)
	return nil
}

func TestExport(t *testing.T) {
	l, _ := newTestLake(t, map[string]string{day2: lines(
		`{"type":"view","user":{"id":"usr_ada","licence":"D1234567","n":1.50},"pin":1234,"ok":true,"none":null,"x":7,"f":1.5,"big":12345678901234567890}`,
		bobView,
		`{"type":"view","people":[{"id":"usr_ada"}, {"id":"usr_bob","age":3}]}`,
	)})
	var got collector
	if err := l.Export(t.Context(), ada, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"events F",
		`type string view`,
		`user json.RawMessage {"id":"usr_ada","licence":"withheld: driver's licence number","n":1.50}`,
		`pin sdk.Withheld account password`,
		`ok bool true`, `none <nil> <nil>`, `x int64 7`, `f float64 1.5`,
		`big json.RawMessage 12345678901234567890`,
		"events F",
		`type string view`,
		`people json.RawMessage [{"id":"usr_ada"}, "withheld: about another person"]`,
	}
	var seen []string
	for _, r := range got {
		seen = append(seen, r.Store+" "+r.Category)
		for _, f := range r.Fields {
			v := f.Value
			if raw, ok := v.(json.RawMessage); ok {
				v = string(raw)
			}
			seen = append(seen, fmt.Sprintf("%s %T %v", f.Name, f.Value, v))
		}
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}
