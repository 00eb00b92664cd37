package access

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The table of roles that people read says what the program does.
func TestRolesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	columns := []Permission{See, Evidence, Look, Operate, Decide, Handle, Manage}
	_, table, found := strings.Cut(string(text), "| role | sees lists and counts | takes evidence | opens a request | verifies, retries, cancels | denies, holds, lifts a cap | does tasks, sees whom they are about | makes API tokens |\n")
	if !found {
		t.Fatal("docs/operations.md has no table of roles with these columns")
	}
	for _, role := range Roles {
		_, row, found := strings.Cut(table, "| `"+string(role)+"` |")
		if !found {
			t.Errorf("the table lacks %s", role)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		for i, cell := range strings.Split(strings.TrimSuffix(row, "|"), "|")[:len(columns)] {
			if says, may := strings.TrimSpace(cell) == "yes", (Identity{Roles: []Role{role}}).May(columns[i]); says != may {
				t.Errorf("the table says %t of %s and %s, the program %t", says, role, columns[i], may)
			}
		}
	}
	for role, granted := range grants {
		for _, p := range granted {
			if !strings.Contains("see evidence look operate decide handle manage", string(p)) {
				t.Errorf("%s may %s, of which the table says nothing; add a column", role, p)
			}
		}
	}
}
