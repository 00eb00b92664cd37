package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/demo"
)

const demoMaps = "../../../deploy/demo/"

// digest is that of a file, or of all files of a folder with their names.
func digest(t *testing.T, place string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text) // a hash takes everything
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// nameless fails when an output holds anything of the person's.
func nameless(t *testing.T, out string, p demo.Person) {
	t.Helper()
	for _, value := range []string{p.Email, p.First + " " + p.Last, p.Phone} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(value)) {
			t.Errorf("the output holds an identifier:\n%s", out)
		}
	}
}

func wantAll(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("the output has no %q:\n%s", part, out)
		}
	}
}

func TestPreviewDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "billing.db")
	if err := demo.SeedBilling(t.Context(), file, 60); err != nil {
		t.Fatal(err)
	}
	her := demo.PersonAt(7)
	before := digest(t, filepath.Dir(file))
	out, err := execute(t, "preview", "--map", demoMaps+"billing.map.yaml", "--database", "sqlite://"+file, "--email", strings.ToUpper(her.Email), "--reads")
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, filepath.Dir(file)) != before {
		t.Error("the database is another afterwards")
	}
	nameless(t, out, her)
	wantAll(t, out, "customers", `DELETE FROM "contacts"`, "reads, runs", "-- 1 rows", "Nothing was changed.")

	out, err = execute(t, "preview", "--map", demoMaps+"billing.map.yaml", "--database", "sqlite://"+file, "--email", "no@example.invalid")
	if err != nil || !strings.Contains(out, "Nothing is held") {
		t.Errorf("a stranger: %v\n%s", err, out)
	}
}

func TestPreviewLake(t *testing.T) {
	dir := t.TempDir()
	if err := demo.SeedAnalytics(t.Context(), dir, 60); err != nil {
		t.Fatal(err)
	}
	her := demo.PersonAt(7)
	before := digest(t, dir)
	out, err := execute(t, "preview", "--map", demoMaps+"analytics.map.yaml", "--folder", dir, "--id", "user_id="+her.UserID)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, dir) != before {
		t.Error("the files are others afterwards")
	}
	nameless(t, out, her)
	wantAll(t, out, "REWRITTEN FILE", "dt=", "Nothing was changed.")
	if strings.Contains(out, her.UserID) {
		t.Errorf("the output holds the user's id:\n%s", out)
	}
}

func TestPreviewREST(t *testing.T) {
	crm := demo.NewCRM(60)
	changes := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete || r.Method == http.MethodPatch || r.Method == http.MethodPut {
			changes++
		}
		crm.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	her := demo.PersonAt(7)
	t.Setenv("HABEAS_CRM_KEY_FILE", demoMaps+"crm.key")
	before := strings.Join(crm.Dump(), "\n")
	out, err := execute(t, "preview", "--map", demoMaps+"crm.spec.yaml", "--base", server.URL, "--email", her.Email)
	if err != nil {
		t.Fatal(err)
	}
	if changes > 0 || strings.Join(crm.Dump(), "\n") != before {
		t.Errorf("%d requests that change something", changes)
	}
	nameless(t, out, her)
	wantAll(t, out, "contacts", "DELETE /", "Nothing was changed.")
}

func TestPreviewErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(file, []byte("name: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"preview", "--email", "a@example.com"}, "config map"},
		{[]string{"preview", "--map", file, "--email", "a@example.com"}, "none of the keys dataset, restspec and stores"},
		{[]string{"preview", "--map", demoMaps + "billing.map.yaml", "--email", "a@example.com"}, "--database"},
		{[]string{"preview", "--map", demoMaps + "billing.map.yaml", "--database", "sqlite:///nowhere.db", "--id", "secret-value"}, "--id, number 1: want KIND=VALUE"},
		{[]string{"preview", "--map", demoMaps + "analytics.map.yaml", "--folder", t.TempDir(), "--email", "a@example.com"}, "device_id, user_id"},
		{[]string{"preview", "--map", "testdata/examples/keyspace.yaml", "--email", "a@example.com"}, "give --config"},
		{[]string{"preview", "--map", demoMaps + "billing.map.yaml", "--database", "sqlite:///x.db", "--password-file", file, "--email", "a@example.com"}, "postgres://user@host/name"},
		{[]string{"preview", "--config", file, "--email", "a@example.com"}, `kind ""`},
	} {
		_, err := execute(t, tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret-value") {
			t.Errorf("%v: error %v, want one with %q", tc.args, err, tc.want)
		}
	}
}
