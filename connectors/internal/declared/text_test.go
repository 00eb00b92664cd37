package declared_test

import (
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/internal/declared"
)

// A file that is saved by another editor, or by nobody in their senses, is read or
// refused in words.
func TestText(t *testing.T) {
	var s sample
	if f, err := declared.Decode("map.yaml", []byte("\xef\xbb\xbf"+text), &s); err != nil || len(s.Stores) != 2 || f.Name != "map.yaml" {
		t.Errorf("with a mark before it: %v, %+v", err, s)
	}
	for name, c := range map[string]struct{ content, want string }{
		"UTF-16":   {"\xff\xfes\x00t\x00", "save it as UTF-8"},
		"binary":   {"stores: \x00\x01", "save it as UTF-8"},
		"Latin-1":  {"stores:\n  - name: caf\xe9\n", "map.yaml:2: a letter is not of UTF-8"},
		"brackets": {"stores:\n" + strings.Repeat("[", 100_000), "map.yaml:2: more than 500 brackets are open"},
		"braces":   {"stores: " + strings.Repeat("{a: ", 100_000), "map.yaml:1: more than 500 brackets are open"},
		"too much": {"stores: []\n" + strings.Repeat("# nothing\n", 1_000_000), "at most 8 MiB"},
	} {
		if _, err := declared.Decode("map.yaml", []byte(c.content), &sample{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(text))
	f.Add([]byte("\xef\xbb\xbfstores: [{name: a, keys: [b]}]\n---\n{}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			t.Skip("a short one shows as much")
		}
		content, err := declared.Text("map.yaml", data)
		if err != nil && !strings.HasPrefix(err.Error(), "map.yaml:") {
			t.Errorf("the error does not name the file: %v", err)
		}
		if err == nil && strings.HasPrefix(string(content), "\xef\xbb\xbf") {
			t.Error("the mark is still there")
		}
	})
}
