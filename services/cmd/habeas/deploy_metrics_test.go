package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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

// alertRule is one rule of alerts.yaml.
type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	var alerts struct {
		Groups []struct {
			Name  string
			Rules []alertRule
		}
	}
	text, err := os.ReadFile(filepath.Join(deployFolder, "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(text, &alerts, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range alerts.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 20 {
		t.Fatalf("%d alerts", len(rules))
	}
	return rules
}

// alertName is how the documents speak of alerts.
var alertName = regexp.MustCompile(`\bHabeas[A-Z][A-Za-z]+\b`)

// Every alert says how bad it is, what is wrong and what to do, and the alerts that
// the documents name are there, with the metrics that they name.
func TestAlertsSayWhatToDo(t *testing.T) {
	have := map[string]bool{}
	for _, r := range alertRules(t) {
		if have[r.Alert] || !alertName.MatchString(r.Alert) {
			t.Errorf("alert %q is there twice, or has a name of its own kind", r.Alert)
		}
		have[r.Alert] = true
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what is wrong and what to do", r.Alert)
		}
		if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
		if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") || strings.Count(r.Expr, "{") != strings.Count(r.Expr, "}") {
			t.Errorf("%s: a bracket is open in %s", r.Alert, r.Expr)
		}
	}
	known, named := knownMetrics(t), 0
	text, err := os.ReadFile(filepath.Join(deployFolder, "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range alertName.FindAllString(string(text), -1) {
		if named++; !have[name] {
			t.Errorf("operations.md speaks of an alert %s, which there is not", name)
		}
	}
	for _, name := range metricName.FindAllString(string(text), -1) {
		if strings.Contains(string(text), "`"+name+"`") && !known[name] {
			t.Errorf("operations.md speaks of a metric %s, which there is not", name)
		}
	}
	if named < 10 {
		t.Errorf("operations.md names %d alerts", named)
	}
}

// Each alert is seen to call somebody by alerts.test.yaml, which promtool runs.
func TestAlertsAreTried(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployFolder, "prometheus", "alerts.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alertRules(t) {
		if !strings.Contains(string(text), `alertname="`+r.Alert+`"`) && !strings.Contains(string(text), "alertname: "+r.Alert+"\n") {
			t.Errorf("nothing tries %s", r.Alert)
		}
	}
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
	for _, r := range alertRules(t) {
		queries = append(queries, r.Expr)
		if !metricName.MatchString(r.Expr) && !strings.HasPrefix(r.Expr, "up{") {
			t.Errorf("%s asks for no metric of ours: %s", r.Alert, r.Expr)
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
