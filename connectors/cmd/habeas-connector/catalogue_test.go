package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunCatalogue describes a connector of an entry by a file that says only
// the rest, by one that names the entry, and refuses what does not fit.
func TestRunCatalogue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "analytics.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: product-analytics\nconfig: {settings: {project_token: p1}}\n")
	out, err := execute(t, "run", "catalogue:mixpanel", "--config", file, "--describe")
	if err != nil {
		t.Fatal(err, out)
	}
	var m struct {
		Name  string
		Facts string
		Notes []string
		Batch int `json:"batch_size"`
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatal(err, out)
	}
	if m.Name != "product-analytics" || m.Facts != "primary" || len(m.Notes) == 0 || m.Batch != 1999 {
		t.Errorf("the manifest is %+v", m)
	}
	write("kind: restspec\nname: product-analytics\nconfig: {catalogue: mixpanel, settings: {project_token: p1}}\n")
	if out, err := execute(t, "run", file, "--describe"); err != nil {
		t.Error(err, out)
	}
	for args, want := range map[string]string{
		"run catalogue:mixpanel --describe":                      "--config",
		"run catalogue:nowhere --config " + file + " --describe": "it has",
		"run catalogue:stripe --config " + file + " --describe":  "another specification",
		"run " + file + " --config " + file:                      "the file itself",
	} {
		if _, err := execute(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %q", args, err, want)
		}
	}
}

func TestCatalogue(t *testing.T) {
	out, err := execute(t, "catalogue")
	if err != nil || !strings.Contains(out, "stripe") || !strings.Contains(out, "primary") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute(t, "catalogue", "mixpanel")
	if err != nil || !strings.Contains(out, "project_token: # has to be given") || !strings.Contains(out, "MIXPANEL_GDPR_TOKEN") {
		t.Errorf("%v\n%s", err, out)
	}
}
