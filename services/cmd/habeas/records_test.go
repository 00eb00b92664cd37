package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// run executes the program with arguments and returns what it printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// recordsConfig makes an empty database and a configuration that names it.
func recordsConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	database := filepath.Join(dir, "habeas.db")
	if err := litestore.Migrate(t.Context(), database, false); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "habeas.yaml")
	if err := os.WriteFile(file, []byte("store:\n  dsn: sqlite:"+database+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMetricsCommand_RE4(t *testing.T) {
	config := recordsConfig(t)
	out, err := run(t, "metrics", "--config", config, "--year", "2025", "--by", "ana")
	if err != nil || !strings.HasPrefix(out, "year,request_to,received,") || strings.Count(out, "\n") != 6 {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = run(t, "metrics", "--config", config, "--year", "2025", "--by", "ana", "--format", "json"); err != nil || !strings.Contains(out, `"median_days"`) {
		t.Errorf("%v: %s", err, out)
	}
	for _, args := range [][]string{{"--role", "marketing"}, {"--purpose", "campaign"}, {"--year", "1999"}, {"--year", "2999"}, {"--format", "xml"}} {
		if out, err := run(t, append([]string{"metrics", "--config", config, "--year", "2025", "--by", "ana"}, args...)...); err == nil {
			t.Errorf("%v: %s", args, out)
		}
	}
}

func TestPurgeCommand_RE1(t *testing.T) {
	config := recordsConfig(t)
	if out, err := run(t, "records", "purge", "--config", config, "--months", "23"); err == nil {
		t.Errorf("23 months: %s", out)
	}
	if out, err := run(t, "records", "purge", "--config", config); err != nil || !strings.Contains(out, "0 requests deleted") {
		t.Errorf("%v: %s", err, out)
	}
}

// The reference company's two files: one is refused line by line, the other
// passes on both sides of the changes of 2027.
func TestRegimeLint_VE14_OO7(t *testing.T) {
	tenants := filepath.Join("..", "..", "..", "deploy", "config", "tenants")
	out, err := run(t, "regime", "lint", "--on", "2026-11-22", "--tenant", filepath.Join(tenants, "clientary-as-written.yaml"))
	if !errors.Is(err, errSilent) || !strings.Contains(out, "VE-14") || !strings.Contains(out, "[policy line 24]") {
		t.Errorf("%v: %s", err, out)
	}
	for _, on := range []string{"2026-11-22", "2027-01-02"} {
		for _, file := range []string{filepath.Join(tenants, "clientary.yaml"), filepath.Join(deployFolder, "config", "company.yaml")} {
			if out, err := run(t, "regime", "lint", "--on", on, "--tenant", file); err != nil || strings.Contains(out, "warning") {
				t.Errorf("%s on %s: %v: %s", file, on, err, out)
			}
		}
	}
	if out, err := run(t, "regime", "lint", "--on", "2026-11-22", "--categories", "A,J", "--tenant", filepath.Join(tenants, "clientary.yaml")); err == nil || !strings.Contains(out, "category J") {
		t.Errorf("a category the policy does not mention: %v: %s", err, out)
	}
	if out, err := run(t, "regime", "lint", "--on", "2040-01-01"); err == nil || !strings.Contains(out, "no data for 2040") {
		t.Errorf("a year without data: %v: %s", err, out)
	}
}

// The company's file brings its law into use, and the gate for those who decide.
func TestTenantFile_RE5(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tenant.yaml")
	text := "tenant: x\nregimes: [us-va]\nconfirmations: [{regime: us-va, by: counsel, on: 2026-10-01}]\ntraining_months: 12\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := config{Intake: intakeConfig{Tenant: file}}
	f, err := c.loadTenant(set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.At("us-va", request.Date{Year: 2026, Month: 11, Day: 22}); err != nil {
		t.Errorf("a confirmed law: %v", err)
	}
	database := filepath.Join(dir, "habeas.db")
	if err := litestore.Migrate(t.Context(), database, false); err != nil {
		t.Fatal(err)
	}
	s, err := litestore.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	gate := training(f, s)
	if gate == nil {
		t.Fatal("there is no gate")
	}
	today := request.Date{Year: 2026, Month: 11, Day: 22}
	if err := gate.Trained(t.Context(), "ana", today.Start(time.UTC)); !errors.Is(err, intake.ErrUntrained) {
		t.Errorf("nobody trained her: %v", err)
	}
	if training(nil, s) != nil {
		t.Error("a gate without a file")
	}
}

// What decides about people and what they are shown is all on record, and can be
// taken out again as it was.
func TestTextsOfTheProgram_RE8(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tenant.yaml")
	if err := os.WriteFile(file, []byte("tenant: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config{Intake: intakeConfig{Tenant: file}}
	texts, err := c.texts()
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, x := range texts {
		key := x.Kind + " " + x.Name
		if have[key] || len(x.Content) == 0 {
			t.Errorf("%s is there twice, or empty", key)
		}
		have[key] = true
	}
	for _, want := range []string{"regime us-ca-ccpa.yaml", "form templates/form.html", "form words/es.yaml", "notice words/es.yaml", "tenant tenant.yaml"} {
		if !have[want] {
			t.Errorf("%s is not on record: %v", want, have)
		}
	}
	out := filepath.Join(dir, "out")
	if err := writeTexts(out, []store.Version{{Kind: "form", Name: "words/es.yaml", Content: []byte("palabras")}}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "form", "words", "es.yaml")); err != nil || string(text) != "palabras" {
		t.Errorf("%v: %s", err, text)
	}
	if err := writeTexts(filepath.Join(dir, "evil"), []store.Version{{Kind: "form", Name: "../../outside", Content: []byte("x")}}); err == nil {
		t.Error("a text was written outside of its folder")
	}
}
