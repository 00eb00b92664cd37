package lake

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
