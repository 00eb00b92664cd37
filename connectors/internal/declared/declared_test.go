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
		Name string `yaml:"name"`
		Keys names  `yaml:"keys"`
	} `yaml:"stores"`
}

type names []string

func (n *names) UnmarshalYAML(unmarshal func(any) error) error {
	texts, err := declared.OneOrMany(unmarshal)
	*n = texts
	return err
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
		{7, "keys", "map.yaml:2: stores[7].keys: too many"},
	} {
		if got := f.Fault("stores", c.entry, c.field, "too %s", "many").Error(); got != c.want {
			t.Errorf("a fault is %q, want %q", got, c.want)
		}
	}
	for name, broken := range map[string]string{"a field nobody knows": "stores:\n  - nome: users\n", "no YAML": "stores:\n  - [\n"} {
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
