package declared_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/internal/declared"
)

type sample struct {
	Stores []struct {
		Name string         `yaml:"name"`
		Keys declared.Texts `yaml:"keys"`
	} `yaml:"stores"`
}

const text = "stores:\n  - name: users\n    keys: id\n  - name: visits\n    keys: [a, b]\n"

func TestDecode(t *testing.T) {
	var s sample
	f, err := declared.Decode("map.yaml", []byte(text), &s)
	if err != nil || len(s.Stores) != 2 || strings.Join(s.Stores[0].Keys, " ") != "id" || strings.Join(s.Stores[1].Keys, " ") != "a b" {
		t.Fatalf("read as %+v, %v", s, err)
	}
	for _, c := range []struct {
		entry       int
		field, want string
	}{
		{1, "keys", "map.yaml:5: stores[1].keys: too many"},
		{1, "absent", "map.yaml:4: stores[1].absent: too many"},
		{7, "keys", "map.yaml:1: stores[7].keys: too many"},
	} {
		if got := f.Fault("stores", c.entry, c.field, "too %s", "many").Error(); got != c.want {
			t.Errorf("a fault is %q, want %q", got, c.want)
		}
	}
	for name, broken := range map[string]string{"a field nobody knows": "stores:\n  - nome: users\n", "no YAML": "stores:\n  - [\n", "two documents": "stores: []\n--- {}\n"} {
		if _, err := declared.Decode("map.yaml", []byte(broken), &sample{}); err == nil || !strings.HasPrefix(err.Error(), "map.yaml:2:") {
			t.Errorf("%s: %v, want the file and line 2", name, err)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := declared.Read(filepath.Join(dir, "none.yaml"), "map"); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "reading the map: ") {
		t.Errorf("a file that is not there: %v", err)
	}
	if got := declared.Beside(filepath.Join(dir, "config.yaml"), "map.yaml"); got != filepath.Join(dir, "map.yaml") {
		t.Errorf("a file beside another is looked for at %s", got)
	}
	if got := declared.Beside("config.yaml", dir); got != dir {
		t.Errorf("an absolute path is looked for at %s", got)
	}
}

// TestPlaced finds the line of the deepest part of a place that is in the file.
func TestPlaced(t *testing.T) {
	f, err := declared.Decode("map.yaml", []byte("stores:\n  - name: users\n    withhold:\n      - field: pin\n        as: ''\n"), &map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("stores[0]: withhold[0].as: say what it is")
	if err := f.Placed(cause); !errors.Is(err, cause) || err.Error() != "map.yaml:5: stores[0]: withhold[0].as: say what it is" {
		t.Errorf("placed as %v", err)
	}
	for place, want := range map[string]string{
		"stores[0]: withhold[0].absent: x": "map.yaml:4:", "stores[0]: withhold[9].as: x": "map.yaml:3:",
		"stores[0]: name: x": "map.yaml:2:", "absent: x": "map.yaml:1:", "no place at all": "map.yaml:1:",
	} {
		if got := f.Placed(errors.New(place)).Error(); got != want+" "+place {
			t.Errorf("placed as %q, want line %q", got, want)
		}
	}
}

func TestAnEmptyFileSaysNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# a comment\n", "---\n", "---\n# a comment\n", "# a comment\n---\n", "---\n...\n"} {
		var s sample
		f, err := declared.Decode("map.yaml", []byte(text), &s)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := f.Fault("stores", 0, "name", "missing").Error(); got != "map.yaml:1: stores[0].name: missing" {
			t.Errorf("%q: a fault is %q", text, got)
		}
	}
}
