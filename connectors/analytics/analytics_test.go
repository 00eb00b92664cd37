package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

const demoConfig = "../../deploy/demo"

func TestConformance(t *testing.T) {
	sdktest.Run(t, func(t testing.TB) sdktest.System { return &system{dir: t.TempDir()} })
}

// system is an analytics folder with the demo company's kind of events.
type system struct{ dir string }

func (s *system) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	return open(t, s.dir)
}

func open(t testing.TB, dir string) (sdk.Manifest, *lake.Lake) {
	t.Helper()
	m, l, err := lake.Config{Folder: dir, Map: "analytics.map.yaml"}.Connector("analytics", demoConfig, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

func (s *system) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	p := demo.PersonAt(n)
	planted := sdktest.Planted{Person: person(p), Stores: map[string]int64{}}
	var all []byte
	for e := range demo.AnalyticsEvents(p) {
		add(t, filepath.Join(s.dir, e.Key()), append(e.Line, '\n'))
		all = append(all, e.Line...)
		planted.Stores["events"]++
	}
	for _, id := range append([]string{p.UserID}, p.DeviceIDs...) {
		if bytes.Contains(all, []byte(id)) {
			planted.Traces = append(planted.Traces, id)
		}
	}
	return planted
}

func person(p demo.Person) sdk.Person {
	ids := []sdk.Identifier{sdk.ID(sdk.UserID, p.UserID)}
	for _, d := range p.DeviceIDs {
		ids = append(ids, sdk.ID(sdk.DeviceID, d))
	}
	return sdk.NewPerson(ids...)
}

func add(t testing.TB, path string, line []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(line); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *system) Dump(t testing.TB) []string {
	t.Helper()
	var dump []string
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			dump = append(dump, rel+" "+string(line))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

// TestDemo erases the story's people from the whole company and compares
// everything with a plain search for their identifiers.
func TestDemo(t *testing.T) {
	s := &system{dir: t.TempDir()}
	if err := demo.SeedAnalytics(t.Context(), s.dir, demo.Size); err != nil {
		t.Fatal(err)
	}
	_, l := open(t, s.dir)
	for _, n := range []int{demo.Leaver, demo.Namesake, demo.Busy} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := demo.PersonAt(n)
			var want []string
			shared := 0
			other := demo.PersonAt(demo.OtherNamesake).DeviceIDs[0]
			for _, line := range s.Dump(t) {
				switch {
				case !names(p, line):
					want = append(want, line)
				case n == demo.Namesake && strings.Contains(line, other):
					mine := fmt.Sprintf(`{"id":"%s","seat":"sofa"},`, p.DeviceIDs[0])
					want = append(want, strings.Replace(line, mine, "", 1))
					shared++
				}
			}
			if n == demo.Namesake && shared == 0 {
				t.Error("the namesakes share no event")
			}
			start := time.Now()
			if err := l.Erase(t.Context(), person(p)); err != nil {
				t.Fatal(err)
			}
			t.Logf("erasing took %v", time.Since(start))
			got := s.Dump(t)
			if len(got) != len(want) {
				t.Fatalf("%d records are left, want %d", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("record %d is %s, want %s", i, got[i], want[i])
				}
			}
		})
	}
}

func names(p demo.Person, line string) bool {
	for _, id := range append([]string{p.UserID}, p.DeviceIDs...) {
		if strings.Contains(line, id) {
			return true
		}
	}
	return false
}
