package tenant_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
)

var update = flag.Bool("update", false, "write the golden files")

const folder = "../../../deploy/config/tenants"

var load = sync.OnceValues(regimes.Load)

func set(t *testing.T) *regimes.Set {
	t.Helper()
	s, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lint(t *testing.T, name, text, on string) []tenant.Finding {
	t.Helper()
	f, err := tenant.Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	day, err := request.ParseDate(on)
	if err != nil {
		t.Fatal(err)
	}
	found, err := f.Lint(set(t), day)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The reference company's policy departs from the law exactly here, before and
// after the changes of 2027.
func TestReferencePolicy_VE14_DE6_OO7(t *testing.T) {
	text := read(t, "clientary-as-written.yaml")
	for _, on := range []string{"2026-11-22", "2027-01-02"} {
		t.Run(on, func(t *testing.T) {
			var got strings.Builder
			for _, f := range lint(t, "clientary-as-written.yaml", text, on) {
				got.WriteString(f.String() + "\n")
			}
			golden := filepath.Join("testdata", "as-written-"+on+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// What the company should run has no finding on either side of the changes.
func TestCorrectedPolicyPasses(t *testing.T) {
	text := read(t, "clientary.yaml")
	for _, on := range []string{"2026-11-22", "2027-01-02"} {
		for _, f := range lint(t, "clientary.yaml", text, on) {
			t.Errorf("%s: %s", on, f)
		}
	}
}

// Each departure is found, and nothing besides: the corrected file with one
// thing changed has one finding.
func TestEachDepartureIsFound(t *testing.T) {
	base := read(t, "clientary.yaml")
	for name, c := range map[string]struct{ old, new, on, row, path, problem string }{
		"IN-1 web form alone from 2027":           {"channels: [web, email]", "channels: [web]", "2027-01-02", "IN-1", "channels", `"email"`},
		"IN-1 e-mail alone from 2027":             {"channels: [web, email]", "channels: [email]", "2027-01-02", "IN-1", "channels", `"web"`},
		"IN-1 no telephone for a shop":            {"online_only: true", "online_only: false", "2026-11-22", "IN-1", "channels", `"phone"`},
		"IN-3 an account to ask":                  {"  - right: delete\n", "  - right: delete\n    account: true\n", "2026-11-22", "IN-3", "forms[1].account", "account"},
		"IN-4 opt-out asks for the date of birth": {"{name: email, necessity: carries the", "{name: birth_date, necessity: carries the", "2026-11-22", "IN-4", "forms[2].fields[0]", "birth_date"},
		"IN-4 a field without a reason":           {"necessity: tells people apart who share an address", "necessity: ''", "2026-11-22", "IN-4", "forms[0].fields[1]", "name"},
		"IN-6 parts before everything":            {"all_first: true", "all_first: false", "2026-11-22", "IN-6", "deletion.portions", "first"},
		"IN-7 more steps to refuse":               {"opposite: 2", "opposite: 1\n    # one more\n", "2026-11-22", "", "", ""},
		"IN-7 three steps against one":            {"steps: 1\n    opposite: 2", "steps: 3\n    opposite: 1", "2026-11-22", "IN-7", "forms[2].steps", "3 steps"},
		"IN-8 twelve months alone":                {"everything: true", "everything: false", "2026-11-22", "IN-8", "look_back.everything", "twelve months"},
		"CO-1 no right to correct":                {"  - {right: correct}\n", "", "2026-11-22", "CO-1", "rights", "correct"},
		"DE-6 an exemption that ended":            {"use: route, to: accounts", "use: refuse", "2026-11-22", "DE-6", "exclusions[0]", "E-b2b has expired"},
		"DE-6 nobody to route to":                 {"use: route, to: accounts", "use: route", "2026-11-22", "DE-6", "exclusions[0]", "nobody"},
		"DE-6 an exemption that never was":        {"code: E-b2b", "code: E-busy", "2026-11-22", "DE-6", "exclusions[0]", "E-busy"},
		"DE-6 a whole request for one basis":      {"code: E-b2b, use: route", "code: D8, use: refuse", "2026-11-22", "DE-6", "exclusions[0]", "whole request"},
		"CO-1 a source without a beginning":       {"\ncategories:\n", "\n  - {name: enricher, id: enricher, role: third_party, tell: {email: a@enricher.example, identifiers: [email]}, gives: [{to: crm, categories: [A]}]}\ncategories:\n", "2026-11-22", "CO-1", "vendors[3].gives[0]", "since when"},
		"CO-1 a source nobody can tell":           {"\ncategories:\n", "\n  - {name: enricher, id: enricher, role: third_party, gives: [{to: crm, categories: [A], since: 2024-01-01}]}\ncategories:\n", "2026-11-22", "CO-1", "vendors[3].gives[0]", "name alone"},
		"CO-1 a source that knows nobody":         {"\ncategories:\n", "\n  - {name: enricher, id: enricher, role: third_party, tell: {email: a@enricher.example}, gives: [{to: crm, categories: [A], since: 2024-01-01}]}\ncategories:\n", "2026-11-22", "CO-1", "vendors[3].gives[0]", "by what"},
		"DE-6 a name for nothing":                 {"  - name: shared-record\n", "  - name: shared-record\n    is: D99\n", "2026-11-22", "DE-6", "bases[0]", "D99"},
		"DE-6 a name for what ended":              {"  - name: shared-record\n", "  - name: shared-record\n    is: E-hr\n", "2026-11-22", "DE-6", "bases[0]", "has expired"},
		"DE-6 a name without its facts":           {"facts: {assessment:", "facts: {reference:", "2026-11-22", "DE-6", "bases[0]", "assessment"},
		"DE-6 a fact that is none":                {"facts: {assessment:", "facts: {until: 2033, assessment:", "2026-11-22", "DE-6", "bases[0]", "until"},
		"DE-13 customers' data turned away":       {"use: record", "use: refuse", "2026-11-22", "DE-13", "exclusions[2]", "customers"},
		"DE-14 deidentified without commitment":   {"all_first: true", "all_first: true\n  deidentifies: true\n  measures: no keys\n  recipients_bound: DPA annex 3", "2026-11-22", "DE-14", "deletion.deidentifies", "commitment"},
		"DE-14 deidentified without measures":     {"all_first: true", "all_first: true\n  deidentifies: true\n  commitment_url: https://example.com/d\n  recipients_bound: DPA annex 3", "2026-11-22", "DE-14", "deletion.deidentifies", "tied to people"},
		"DE-14 recipients not bound":              {"all_first: true", "all_first: true\n  deidentifies: true\n  commitment_url: https://example.com/d\n  measures: no keys", "2026-11-22", "DE-14", "deletion.deidentifies", "not bound"},
		"DE-16 collected from, in 2027":           {"scope: about_any", "scope: collected_from", "2027-01-02", "DE-16", "deletion.scope", "has to reach"},
		"DE-16 collected from, in 2026":           {"scope: about_any", "scope: collected_from", "2026-11-22", "DE-16", "deletion.scope", "from 1 January 2027"},
		"VE-1 opt-outs verified":                  {"  delete_after_days: 1", "  delete_after_days: 1\n  opt_out: true", "2026-11-22", "VE-1", "verification.opt_out", "verified"},
		"VE-2 sessions of any age":                {"  reauthenticate_minutes: 15\n", "", "2026-11-22", "VE-2", "verification.methods[0]", "session"},
		"VE-4 no way to verify":                   {"    - {method: account_login}\n    - {method: data_points}\n    - {method: declaration}\n", "    - {method: notary, reimbursed: true}\n", "2026-11-22", "VE-4", "verification.methods", "nobody"},
		"VE-11 verification data without end":     {"  delete_after_days: 1\n", "", "2026-11-22", "VE-11", "verification.delete_after_days", "no end"},
		"VE-12 notary unpaid":                     {"{method: declaration}", "{method: notary}", "2026-11-22", "VE-12", "verification.methods[2]", "not paid"},
		"VE-13 document without reason":           {"{method: declaration}", "{method: identity_document, approver: counsel}", "2026-11-22", "VE-13", "verification.methods[2]", "without a reason"},
		"VE-13 document without approver":         {"{method: declaration}", "{method: identity_document, reason: family photographs}", "2026-11-22", "VE-13", "verification.methods[2]", "approved"},
		"VE-14 both of the two":                   {"consumer: [confirms]", "consumer: [confirms, verifies]", "2026-11-22", "VE-14", "agents.otherwise.consumer", "both"},
		"VE-14 nothing signed":                    {"  otherwise:\n    signed: true", "  otherwise:\n    signed: false", "2026-11-22", "VE-14", "agents.otherwise.signed", "signed"},
		"VE-15 power of attorney demanded":        {"accepted: \"4121-4130\"", "required: true", "2026-11-22", "VE-15", "agents.power_of_attorney", "has to have"},
		"VE-15 more than the paper":               {"accepted: \"4121-4130\"", "besides: [consumer_confirms]", "2026-11-22", "VE-15", "agents.power_of_attorney.besides[0]", "consumer_confirms"},
		"VE-16 opt-out confirmed by the person":   {"  opt_out:\n    signed: true", "  opt_out:\n    signed: true\n    consumer: [confirms]", "2026-11-22", "VE-16", "agents.opt_out.consumer", "something too"},
		"VE-18 residency on paper":                {"  delete_after_days: 1", "  delete_after_days: 1\n  residency_document: true", "2026-11-22", "VE-18", "verification.residency_document", "document"},
		"OO-1 no signal":                          {"methods: [gpc, web_link]", "methods: [web_link, email]", "2026-11-22", "OO-1", "opt_out.methods", "Global Privacy Control"},
		"OO-2 nothing to see":                     {"show_status: true", "show_status: false", "2026-11-22", "OO-2", "opt_out.show_status", "see"},
		"OO-6 asked again too soon":               {"reask_months: 12", "reask_months: 11", "2026-11-22", "OO-6", "opt_out.reask_months", "twelve"},
		"OO-7 one way":                            {"methods: [gpc, web_link]", "methods: [gpc]", "2026-11-22", "OO-7", "opt_out.methods", "two"},
		"CL-5 sale without sharing":               {"covers: [sale, sharing]", "covers: [sale]", "2026-11-22", "CL-5", "opt_out.covers", "sharing"},
		"VN-1 third party without contract":       {"role: third_party, contract: TPA-2026-003", "role: third_party", "2026-11-22", "VN-1", "vendors[2]", "no contract"},
		"VN-1 in the ledger without an id":        {"     id: adnet, kind", "     kind", "2026-11-22", "VN-1", "vendors[2]", "no id"},
		"VN-1 two of one id":                      {"id: adnet", "id: analytics", "2026-11-22", "VN-1", "vendors[2].id", "another's"},
		"VN-2 sold to a service provider":         {"improving the service, as: business_purpose", "improving the service, as: sold", "2026-11-22", "VN-2", "vendors[1].gets[0]", "nothing may be sold"},
		"KN-1 a flow without a purpose":           {"purpose: taking payments, ", "", "2026-11-22", "KN-1", "vendors[0].gets[0]", "missing"},
		"KN-1 a flow in no sense":                 {"taking payments, as: business_purpose", "taking payments, as: lent", "2026-11-22", "KN-1", "vendors[0].gets[0]", "lent"},
		"KN-1 a flow of no category":              {"[A, B, D]", "[A, B, Q]", "2026-11-22", "KN-1", "vendors[0].gets[0]", `"Q"`},
		"KN-1 a flow that ends first":             {"taking payments, as: business_purpose, since: 2023-01-01", "taking payments, as: business_purpose, since: 2023-01-01, until: 2022-01-01", "2026-11-22", "KN-1", "vendors[0].gets[0]", "before it begins"},
		"DE-3 nobody tells a service provider":    {"email: privacy@payments.example, ", "", "2026-11-22", "DE-3", "vendors[0].tell", "nobody can tell"},
		"DE-3 a service provider is told always":  {"identifiers: [email]}", "cannot: {why: disproportionate, explanation: it is a lot of work}}", "2026-11-22", "DE-3", "vendors[0].tell.cannot", "told always"},
		"DE-3 known by nothing":                   {"privacy@analytics.example, identifiers: [email, user_id]", "privacy@analytics.example", "2026-11-22", "DE-3", "vendors[1].tell", "knows people"},
		"DE-4 an explanation that explains not":   {"tell: {connector: adtech, email: privacy@adnet.example, identifiers: [cookie_id]}", "tell: {cannot: {why: impossible, explanation: it is impossible}}", "2026-11-22", "DE-4", "vendors[2].tell.cannot", "explains nothing"},
		"DE-4 no reason the law knows":            {"tell: {connector: adtech, email: privacy@adnet.example, identifiers: [cookie_id]}", "tell: {cannot: {why: tedious, explanation: nobody has found the time to write to them yet and nobody will}}", "2026-11-22", "DE-4", "vendors[2].tell.cannot", "tedious"},
		"DE-4 identifiers in clear":               {"{connector: adtech, email: privacy@adnet.example", "{webhook: \"http://adnet.example/privacy\"", "2026-11-22", "DE-4", "vendors[2].tell.webhook", "in clear"},
		"VN-1 no such role":                       {"role: third_party", "role: friend", "2026-11-22", "VN-1", "vendors[2]", "friend"},
		"VN-2 service provider by name alone":     {"role: service_provider, contract: DPA-2025-014", "role: service_provider", "2026-11-22", "VN-2", "vendors[0]", "counts as a third party"},
		"KN-1 a category nobody explains":         {"  - category: G\n    sources: [your browser or device]\n    purposes: [to see how our service is used and to improve it]\n", "", "2026-11-22", "KN-1", "practices", "for: G"},
		"KN-1 no purposes":                        {"    purposes: [to bill you and to keep the books the law asks for]\n", "", "2026-11-22", "KN-1", "practices[2]", "no purposes"},
		"KN-1 a category the policy lacks":        {"  - {letter: H}\n", "", "2026-11-22", "KN-1", "practices[6]", `"H"`},
		"KN-6 a basis that never was":             {"translations:", withheld("E-busy", ""), "2026-11-22", "KN-6", "withhold[0]", "E-busy"},
		"KN-6 a basis of deletions":               {"translations:", withheld("D8", ""), "2026-11-22", "KN-6", "withhold[0]", "D8"},
		"KN-6 a basis without its facts":          {"translations:", withheld("E-priv", ""), "2026-11-22", "KN-6", "withhold[0]", "assessment"},
		"KN-10 fields of no store":                {"translations:", "names_others:\n  - {store: desk, fields: [agent]}\n\ntranslations:", "2026-11-22", "KN-10", "names_others[0]", "where the fields are"},
		"KN-6 nothing said of what it is":         {"translations:", strings.Replace(withheld("E-priv", "assessment: weighed on 2026-11-02"), "what: advice of our lawyers", "what: ''", 1), "2026-11-22", "KN-6", "withhold[0]", "what it is"},
		"RE-1 a year of records":                  {"keep_months: 24", "keep_months: 12", "2026-11-22", "RE-1", "records.keep_months", "24"},
		"RE-2 the log for marketing":              {"uses: [compliance]", "uses: [compliance, marketing]", "2026-11-22", "RE-2", "records.uses[1]", "marketing"},
		"RE-5 no training":                        {"training_months: 12", "", "2026-11-22", "RE-5", "training_months", "training"},
		"RG-3 a law nobody confirmed":             {"regimes: [us-ca-ccpa]", "regimes: [us-ca-ccpa, us-va]", "2026-11-22", "RG-3", "regimes[1]", "unconfirmed"},
		"RG-3 a law nobody described":             {"regimes: [us-ca-ccpa]", "regimes: [us-ca-ccpa, us-zz]", "2026-11-22", "RG-3", "regimes[1]", "us-zz"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(base, c.old, c.new, 1)
			if text == base {
				t.Fatalf("the file has no %q", c.old)
			}
			found := lint(t, "x.yaml", text, c.on)
			if c.row == "" {
				if len(found) > 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("%d findings, want 1: %v", len(found), found)
			}
			f := found[0]
			if f.Row != c.row || f.Path != c.path || !strings.Contains(f.Problem, c.problem) || f.Citation == "" || f.Fix == "" {
				t.Errorf("found %s, want %s at %s that says %q", f, c.row, c.path, c.problem)
			}
		})
	}
}

// withheld is a field that copies leave out, before the translations.
func withheld(code, facts string) string {
	return "withhold:\n  - {store: billing/notes, field: body, what: advice of our lawyers, code: " + code + ", facts: {" + facts + "}}\n\ntranslations:"
}

// What is told of a category depends on where it was found of the person.
func TestPracticesOfAPlace_KN2(t *testing.T) {
	f, err := tenant.Parse("clientary.yaml", []byte(read(t, "clientary.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ category, connector, want string }{
		{"A", "crm", "you"}, {"A", "adtech", "your browser or device"}, {"F", "adtech", "your browser or device"}, {"J", "crm", ""},
	} {
		got := ""
		if p := f.PracticesAt(c.category, c.connector, "any"); len(p) > 0 {
			got = p[0].Sources[0]
		}
		if got != c.want {
			t.Errorf("the source of %s in %s is %q, want %q", c.category, c.connector, got, c.want)
		}
	}
	if got := f.Say("es", "you"); got != "usted" {
		t.Errorf("in Spanish: %q", got)
	}
	if got := f.Say("fr", "you"); got != "you" {
		t.Errorf("in French: %q", got)
	}
}

// A text people read and that has no Spanish is pointed at; a sound exception
// is not.
func TestTellingInBothLanguages_KN4(t *testing.T) {
	base := read(t, "clientary.yaml")
	found := lint(t, "x.yaml", strings.Replace(base, "    you: usted\n", "", 1), "2026-11-22")
	if len(found) == 0 || found[0].Row != "KN-4" || found[0].Severity != tenant.Warning || !strings.Contains(found[0].Problem, `"you"`) {
		t.Errorf("found %v", found)
	}
	sound := strings.Replace(base, "translations:", withheld("E-priv", "assessment: weighed on 2026-11-02"), 1)
	if found := lint(t, "x.yaml", sound, "2026-11-22"); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// A banner, an industry's page, a telephone number: each alone, and all three.
func TestOO_7_BannerAlone(t *testing.T) {
	base := read(t, "clientary.yaml")
	for _, methods := range []string{"banner", "industry_page", "phone", "banner, industry_page, phone"} {
		found := lint(t, "x.yaml", strings.Replace(base, "methods: [gpc, web_link]", "methods: ["+methods+"]", 1), "2026-11-22")
		if !slices.ContainsFunc(found, func(f tenant.Finding) bool {
			return f.Row == "OO-7" && f.Severity == tenant.Error && strings.Contains(f.Problem, methods)
		}) {
			t.Errorf("%s: %v", methods, found)
		}
	}
}

// Who has no contract is a third party, and that is a sale or sharing.
func TestVN_2_WithoutContractAThirdParty(t *testing.T) {
	for _, c := range []struct {
		vendor tenant.Vendor
		want   tenant.VendorRole
	}{
		{tenant.Vendor{Role: tenant.ServiceProvider, Contract: "DPA-1"}, tenant.ServiceProvider},
		{tenant.Vendor{Role: tenant.Contractor, Contract: "DPA-1"}, tenant.Contractor},
		{tenant.Vendor{Role: tenant.ServiceProvider}, tenant.ThirdParty},
		{tenant.Vendor{Contract: "DPA-1"}, tenant.ThirdParty},
		{tenant.Vendor{}, tenant.ThirdParty},
	} {
		if got := c.vendor.Counts(); got != c.want {
			t.Errorf("%+v counts as %s, want %s", c.vendor, got, c.want)
		}
	}
	text := strings.Replace(read(t, "clientary.yaml"), "sells_or_shares: true", "sells_or_shares: false", 1)
	found := lint(t, "x.yaml", text, "2026-11-22")
	if len(found) != 1 || found[0].Row != "VN-2" || found[0].Path != "vendors[2]" {
		t.Errorf("a third party of a company that neither sells nor shares: %v", found)
	}
}

// A confirmation has a name and a day; then the law is in use.
func TestConfirmation(t *testing.T) {
	base := strings.Replace(read(t, "clientary.yaml"), "regimes: [us-ca-ccpa]", "regimes: [us-ca-ccpa, us-va]\nCONFIRM", 1)
	for confirm, want := range map[string]int{
		"confirmations: [{regime: us-va, by: counsel, on: 2026-10-01}]": 0,
		"confirmations: [{regime: us-va, by: counsel}]":                 1,
		"confirmations: [{regime: us-co, by: counsel, on: 2026-10-01}]": 1,
	} {
		if found := lint(t, "x.yaml", strings.Replace(base, "CONFIRM", confirm, 1), "2026-11-22"); len(found) != want {
			t.Errorf("%s: %v", confirm, found)
		}
	}
}

func TestUnclaimedCategories(t *testing.T) {
	f, err := tenant.Open(filepath.Join(folder, "clientary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := f.Unclaimed([]string{"A", " k", "J", "", "E"})
	if len(found) != 2 || !strings.Contains(found[0].Problem, "J") || !strings.Contains(found[1].Problem, "E") || found[0].Line < 2 {
		t.Errorf("found %v", found)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"unknown field": "tenant: x\ncolour: red\n",
		"no yaml":       "tenant: [\n",
		"bad date":      "policy: {from: 2026-02-30}\n",
	} {
		if _, err := tenant.Parse("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tenant.Open("nowhere.yaml"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// Without rules for the day nothing can be said.
func TestNoRules_RG3(t *testing.T) {
	f, err := tenant.Open(filepath.Join(folder, "clientary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lint(set(t), request.Date{Year: 2022, Month: 12, Day: 31}); err == nil {
		t.Error("linted for a day before the rules begin")
	}
}
