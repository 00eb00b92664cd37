package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var (
	instrument = regexp.MustCompile(`(Counter|Histogram|Gauge)\("([a-z_.]+)"`)
	inSeconds  = regexp.MustCompile(`WithUnit\("s"\)`)
	metricName = regexp.MustCompile(`\b(?:habeas|http_server)_[a-z_]+`)
)

// knownMetrics are the metrics that the rooms and the connectors' runtime
// have, as Prometheus names them, from the source.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, dir := range []string{"services", "connectors/sdk"} {
		err := filepath.WalkDir(filepath.Join("../../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range instrument.FindAllSubmatchIndex(text, -1) {
				kind, name := string(text[m[2]:m[3]]), strings.ReplaceAll(string(text[m[4]:m[5]]), ".", "_")
				line, _, _ := strings.Cut(string(text[m[0]:])+"\n", "; err")
				line, _, _ = strings.Cut(line, "errs[")
				if inSeconds.MatchString(line[:min(len(line), 300)]) {
					name += "_seconds"
				}
				switch kind {
				case "Counter":
					known[name+"_total"] = true
				case "Gauge":
					known[name] = true
				case "Histogram":
					known[name+"_bucket"], known[name+"_sum"], known[name+"_count"] = true, true, true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return known
}

// The dashboard and the alerts ask for metrics that there are.
func TestDashboardAndAlertsAskForWhatThereIs(t *testing.T) {
	known := knownMetrics(t)
	var queries []string
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	text, err := os.ReadFile(filepath.Join(deployFolder, "grafana", "habeas.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	var alerts struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if text, err = os.ReadFile(filepath.Join(deployFolder, "prometheus", "alerts.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &alerts); err != nil {
		t.Fatal(err)
	}
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			queries = append(queries, r.Expr)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("found %d queries only", len(queries))
	}
	for _, q := range queries {
		for _, name := range metricName.FindAllString(q, -1) {
			if name != "http_route" && name != "http_response_status_code" && !known[name] {
				t.Errorf("no metric %s, in %s", name, q)
			}
		}
	}
}
