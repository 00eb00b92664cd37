package delivery_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/habeas-data/habeas/services/delivery"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// practices are those of a company, by category and connector.
type practices map[string]delivery.Practice

func (p practices) At(category, connector, _ string) []delivery.Practice {
	for _, key := range []string{category + " " + connector, category} {
		if one, ok := p[key]; ok {
			return []delivery.Practice{one}
		}
	}
	return nil
}

var company = practices{
	"A":           {Sources: []string{"you"}, Purposes: []string{"to run your account"}},
	"A analytics": {Sources: []string{"your browser"}, Purposes: []string{"to find faults"}, SalePurposes: []string{"advertising"}},
	"D":           {Sources: []string{"you"}, Purposes: []string{"to bill you"}},
	"F":           {Sources: []string{"your browser"}, Purposes: []string{"to measure use"}, SalePurposes: []string{"advertising"}},
	"K":           {Sources: []string{"our analysis"}, Purposes: []string{"to measure use"}, SalePurposes: []string{"advertising"}},
	"E":           {Sources: []string{"a scanner"}, Purposes: []string{"to open doors"}},
}

// informed is a request for categories about somebody known to three systems,
// whose data went to two recipients.
func informed(t testing.TB) *fixture {
	f := newFixture(t)
	f.order.Right, f.order.CategoriesOnly = "know_categories", true
	f.order.Practices, f.order.Recorded = company, true
	f.order.Located = []delivery.Located{
		{Connector: "crm", Store: "contacts", Categories: []string{"A"}, Count: 2},
		{Connector: "analytics", Store: "events", Categories: []string{"F"}, Count: 40},
		{Connector: "analytics", Store: "events", Categories: []string{"A"}, Count: 1},
		{Connector: "analytics", Store: "segments", Categories: []string{"K"}, Count: 3},
		{Connector: "billing", Store: "invoices", Categories: []string{"D"}, Count: 7},
		{Connector: "billing", Store: "scans", Categories: []string{"E"}, Count: 0},
	}
	f.order.Finer = map[delivery.Place][]string{
		{Connector: "crm", Store: "contacts", Category: "A"}:       {"user.contact.email", "user.name"},
		{Connector: "analytics", Store: "segments", Category: "K"}: {"user.inference.by_somebody", "system.operations"},
		{Connector: "billing", Store: "scans", Category: "E"}:      {"user.biometric"},
	}
	f.order.Disclosures = []delivery.Disclosure{
		{Category: "D", To: "payment processors", Sense: delivery.ForBusiness, Purpose: "collecting payments"},
		{Category: "A", To: "payment processors", Sense: delivery.ForBusiness, Purpose: "collecting payments"},
		{Category: "A", To: "payment processors", Sense: delivery.ForBusiness, Purpose: "collecting payments"}, // once more
		{Category: "F", To: "advertising networks", ThirdParty: true, Sense: delivery.Shared, Purpose: "advertising across sites"},
		{Category: "K", To: "advertising networks", ThirdParty: true, Sense: delivery.Sold, Purpose: "advertising across sites"},
		{Category: "K", To: "data brokers", ThirdParty: true, Sense: delivery.Sold},
	}
	return f
}

// KN-1: the report has all its parts, and the matrices say exactly who got
// which category. What was not sold is not in part 5.
func TestReport_KN1(t *testing.T) {
	f := informed(t)
	p := f.build()
	checkHTML(t, p.files["report.html"])
	golden(t, "categories/report.html", p.files["report.html"])
	golden(t, "categories/data.json", p.files["data.json"])
	var d struct {
		Information struct {
			Third []string `json:"third_parties"`
			Sold  []struct {
				Letter string
				SoldTo []string `json:"sold_to"`
				Shared []string `json:"shared_with"`
			} `json:"sold_or_shared"`
			Disclosed []struct {
				Letter string
				To     []string
			} `json:"disclosed_for_business_purpose"`
		}
	}
	if err := json.Unmarshal([]byte(p.files["data.json"]), &d); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, s := range d.Information.Sold {
		rows = append(rows, s.Letter+" sold "+strings.Join(s.SoldTo, ",")+" shared "+strings.Join(s.Shared, ","))
	}
	for _, s := range d.Information.Disclosed {
		rows = append(rows, s.Letter+" disclosed "+strings.Join(s.To, ","))
	}
	want := []string{
		"F sold  shared advertising networks", "K sold advertising networks,data brokers shared ", "A disclosed payment processors", "D disclosed payment processors",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("matrices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"advertising networks", "data brokers"}, d.Information.Third); diff != "" {
		t.Errorf("third parties: %s", diff)
	}
	page := p.files["report.html"]
	if !strings.Contains(page, "It can include: e-mail address, name.") || !strings.Contains(page, "It can include: conclusions about you.") || strings.Contains(page, "biometric") {
		t.Error("what a category of the law means for her is not told")
	}
	for name := range p.files {
		if strings.HasPrefix(name, "csv/") {
			t.Errorf("a report of categories has %s", name)
		}
	}
}

// KN-1: that nothing was sold or disclosed is said, and only where it is known.
func TestNothingSoldIsSaid_KN1(t *testing.T) {
	const sold, disclosed, unknown = "We did not sell your personal information", "We did not disclose your personal information", "We have no record of whom"
	f := informed(t)
	f.order.Disclosures = nil
	page := f.build().files["report.html"]
	if !strings.Contains(page, sold) || !strings.Contains(page, disclosed) || !strings.Contains(page, "to no third party") || strings.Contains(page, unknown) {
		t.Error("with a ledger that is empty for her, the report does not say so")
	}
	if strings.Contains(page, "<td>advertising</td>") {
		t.Error("what others' data is sold for is said of hers")
	}
	f.order.Recorded, f.order.Practices = false, nil
	page = f.build().files["report.html"]
	if strings.Contains(page, sold) || strings.Contains(page, disclosed) || !strings.Contains(page, unknown) || !strings.Contains(page, "We have no record of this") {
		t.Error("without a ledger the report says what nobody knows")
	}
}

// KN-2: two people with data in different systems get different reports, and
// neither reads of what was found of the other.
func TestReportIsAboutThisPerson_KN2(t *testing.T) {
	one, other := informed(t), informed(t)
	one.order.Located, one.order.Disclosures = one.order.Located[:1], one.order.Disclosures[:2]
	other.order.Located, other.order.Disclosures = other.order.Located[1:4], other.order.Disclosures[3:]
	of := map[string]string{"one": one.build().files["report.html"], "other": other.build().files["report.html"]}
	for name, says := range map[string]struct{ yes, no []string }{
		"one":   {[]string{"Identifiers (A)", "crm: contacts", "to run your account", "payment processors"}, []string{"(F)", "(K)", "your browser", "advertising networks", "analytics"}},
		"other": {[]string{"Identifiers (A)", "your browser", "to find faults", "advertising networks", "Inferences (K)"}, []string{"crm", "to run your account", "payment processors", "(D)"}},
	} {
		for _, want := range says.yes {
			if !strings.Contains(of[name], want) {
				t.Errorf("the report of %s does not say %q", name, want)
			}
		}
		for _, bad := range append(says.no, "Biometric", "a scanner") {
			if strings.Contains(of[name], bad) {
				t.Errorf("the report of %s says %q", name, bad)
			}
		}
	}
}

// KN-9: segments and scores are in the answer, by place in a report of
// categories and with their values in a copy.
func TestInferences_KN9(t *testing.T) {
	page := informed(t).build().files["report.html"]
	if !strings.Contains(page, "What we concluded about you") || !strings.Contains(page, "<bdi>analytics</bdi>: <bdi>segments</bdi> (3 records)") {
		t.Error("the report of categories does not speak of inferences")
	}
	f := newFixture(t)
	f.rawPart("analytics", "segments", fields{"segment", "likely to move house"}.line(t, "K"), fields{"page", "/pricing"}.line(t, "F"))
	p := f.build()
	if page := p.files["report.html"]; !strings.Contains(page, "What we concluded about you") || !strings.Contains(page, "likely to move house") || !strings.Contains(page, "(1 record)") {
		t.Error("the copy does not show the segment as an inference")
	}
	if !strings.Contains(p.files["data.json"], `"likely to move house"`) || !strings.Contains(p.files["csv/analytics-segments.csv"], "likely to move house") {
		t.Error("the segment is not in the data")
	}
	if page := newFixture(t).build().files["report.html"]; strings.Contains(page, "What we concluded") {
		t.Error("a report without inferences speaks of them")
	}
}

// KN-4: what machines read keeps to its schema, with and without records.
func TestDataKeepsToItsSchema_KN4(t *testing.T) {
	copied := newFixture(t)
	copied.part("billing", "cards", fields{"email", "jane@example.com", "card", withheld("payment card number"), "n", 1, "nested", map[string]any{"ssn": "078-05-1120"}})
	copied.order.Statements = []delivery.Statement{{Field: "email", Text: secret("It is right now.")}}
	for name, f := range map[string]*fixture{"categories": informed(t), "copy": copied, "empty": newFixture(t)} {
		p := f.build()
		schema, err := jsonschema.UnmarshalJSON(strings.NewReader(p.files["data.schema.json"]))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("data.schema.json", schema); err != nil {
			t.Fatal(err)
		}
		compiled, err := c.Compile("data.schema.json")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(p.files["data.json"]))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := compiled.Validate(map[string]any{"schema_version": "1"}); err == nil {
			t.Error("the schema takes anything")
		}
	}
}
