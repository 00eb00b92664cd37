package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

const demoConfig = "../../deploy/demo/analytics.yaml"

func TestConformance(t *testing.T) {
	sdktest.Run(t, func(t testing.TB) sdktest.System { return &system{dir: t.TempDir()} })
}

// system is an analytics folder with the demo company's kind of events.
type system struct{ dir string }

func (s *system) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	env, err := sdk.NewEnv("analytics", t.TempDir(), "folder: "+s.dir+"\nmap: analytics.map.yaml\n")
	if err != nil {
		t.Fatal(err)
	}
	env.ConfigFile = demoConfig
	manifest, connector, err := lake.Connect(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	manifest.Name, manifest.Version = env.Name, env.Version
	return manifest, connector
}

// TestDescribe_KN9 starts the program on the demo company's own configuration.
// Inferences are among what it says that it holds.
func TestDescribe_KN9(t *testing.T) {
	t.Setenv("HABEAS_DEMO_DIR", t.TempDir())
	var out, logs bytes.Buffer
	if err := sdk.Command(t.Context(), "analytics", lake.Connect, []string{"--config", demoConfig, "--describe"}, &out, &logs); err != nil {
		t.Fatalf("%v: %s", err, logs.String())
	}
	var manifest struct {
		Name    string
		Accepts []string
		Yields  []string
		Stores  []struct {
			Name       string
			Categories []struct{ Letter string }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &manifest); err != nil {
		t.Fatal(err)
	}
	letters := map[string]bool{}
	for _, c := range manifest.Stores[0].Categories {
		letters[c.Letter] = true
	}
	if manifest.Name != "analytics" || !slices.Equal(manifest.Accepts, []string{"device_id", "user_id"}) || len(manifest.Yields) > 0 {
		t.Errorf("manifest %+v", manifest)
	}
	if len(letters) != 3 || !letters["F"] || !letters["G"] || !letters["K"] {
		t.Errorf("categories %v, want F, G and K", letters)
	}
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

// TestDemo erases the story's people from the company and compares everything
// that is left with a plain search for their identifiers.
func TestDemo(t *testing.T) {
	for _, test := range []struct{ who, size int }{
		{demo.Leaver, demo.Leaver + 20}, {demo.Namesake, demo.Namesake + 10}, {demo.Busy, demo.Size},
	} {
		t.Run(fmt.Sprint(test.who), func(t *testing.T) {
			s := &system{dir: t.TempDir()}
			if err := demo.SeedAnalytics(t.Context(), s.dir, test.size); err != nil {
				t.Fatal(err)
			}
			_, c := s.Open(t)
			eraser, ok := c.(sdk.Eraser)
			if !ok {
				t.Fatal("the connector can't erase")
			}
			want := s.without(t, test.who)
			if err := eraser.Erase(t.Context(), person(demo.PersonAt(test.who))); err != nil {
				t.Fatal(err)
			}
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

// without is the dump as it should be when somebody is erased. Of what the
// namesakes share, only the one's device goes.
func (s *system) without(t *testing.T, who int) []string {
	t.Helper()
	p, other := demo.PersonAt(who), demo.PersonAt(demo.OtherNamesake).DeviceIDs[0]
	var want []string
	shared := 0
	for _, line := range s.Dump(t) {
		switch {
		case !names(p, line):
			want = append(want, line)
		case who == demo.Namesake && strings.Contains(line, other):
			mine := fmt.Sprintf(`{"id":"%s","seat":"sofa"},`, p.DeviceIDs[0])
			want = append(want, strings.Replace(line, mine, "", 1))
			shared++
		}
	}
	if who == demo.Namesake && shared == 0 {
		t.Error("the namesakes share no event")
	}
	return want
}

func names(p demo.Person, line string) bool {
	for _, id := range append([]string{p.UserID}, p.DeviceIDs...) {
		if strings.Contains(line, id) {
			return true
		}
	}
	return false
}
