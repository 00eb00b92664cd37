package regimes_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

func rulesOn(t *testing.T, set *regimes.Set, regime, on string) regimes.Rules {
	t.Helper()
	rules, err := set.At(regime, date(t, on))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// The exemptions for dealings between businesses and for staff ended with 2022.
func TestExceptionsThatEndedCannotBeChosen_DE6(t *testing.T) {
	rules := rulesOn(t, load(t), ccpa, "2026-11-22")
	for _, code := range []string{"E-b2b", "E-hr"} {
		if _, err := rules.Exception(request.Delete, code); !errors.Is(err, regimes.ErrNotInForce) {
			t.Errorf("%s: %v, want %v", code, err, regimes.ErrNotInForce)
		}
		if slices.ContainsFunc(rules.Exceptions(request.Delete), func(e regimes.Exception) bool { return e.Code == code }) {
			t.Errorf("%s is offered", code)
		}
	}
	if _, err := rules.Exception(request.Delete, "E-because"); !errors.Is(err, regimes.ErrUnknown) {
		t.Errorf("E-because: %v, want %v", err, regimes.ErrUnknown)
	}
	if _, err := rules.Exception(request.KnowSpecific, "D8"); !errors.Is(err, regimes.ErrUnknown) {
		t.Errorf("D8 for a copy: %v, want %v", err, regimes.ErrUnknown)
	}
}

// Every name by which a connector may keep records stands for one basis of the
// law; a name that stands for several is told so, and one that never was too.
func TestNamesStandForBases_DE6(t *testing.T) {
	rules := rulesOn(t, load(t), ccpa, "2026-11-22")
	for _, e := range rules.Exceptions(request.Delete) {
		if got, _, err := rules.Basis(request.Delete, e.Code); err != nil || got.Code != e.Code {
			t.Errorf("%s: %s, %v", e.Code, got.Code, err)
		}
	}
	for name, want := range map[string]error{
		"ccpa-1798.145(a)": regimes.ErrAmbiguous, "E-b2b": regimes.ErrNotInForce, "because": regimes.ErrUnknown, "": regimes.ErrUnknown,
	} {
		if _, _, err := rules.Basis(request.Delete, name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	for name, day := range map[string]string{"role-service-provider": "2027-01-01", "not-asked": "2027-01-01", "not-collected-from-consumer": "2026-12-31"} {
		e, outside, err := rulesOn(t, load(t), ccpa, day).Basis(request.Delete, name)
		if err != nil || !outside || e.Text.In("es") == "" {
			t.Errorf("%s: outside %v, %v", name, outside, err)
		}
		if _, err := rules.Exception(request.Delete, e.Code); !errors.Is(err, regimes.ErrUnknown) {
			t.Errorf("%s can be chosen: %v", e.Code, err)
		}
	}
	if _, _, err := rulesOn(t, load(t), ccpa, "2027-01-01").Basis(request.Delete, "not-collected-from-consumer"); !errors.Is(err, regimes.ErrNotInForce) {
		t.Errorf("from 2027: %v", err)
	}
}

func TestExceptionNeedsItsFacts_DE6(t *testing.T) {
	d8, err := rulesOn(t, load(t), ccpa, "2026-11-22").Exception(request.Delete, "D8")
	if err != nil {
		t.Fatal(err)
	}
	err = d8.Check(map[regimes.Need]string{regimes.NeedsUntil: "2033-01-31", regimes.NeedsLegalRef: " "})
	if !errors.Is(err, regimes.ErrNeeds) || !strings.Contains(err.Error(), "legal_ref") {
		t.Errorf("D8 without its statute: %v", err)
	}
	if err := d8.Check(map[regimes.Need]string{regimes.NeedsUntil: "2033-01-31", regimes.NeedsLegalRef: "Rev. & Tax. Code 19141"}); err != nil {
		t.Errorf("D8 with its statute: %v", err)
	}
}

// Every right has reasons to refuse it, each with words in both languages, and
// no reason of another right.
func TestEveryDenialHasWords_RE9(t *testing.T) {
	set := load(t)
	rules := rulesOn(t, set, ccpa, "2026-11-22")
	for _, right := range rules.Rights() {
		list := rules.Denials(right)
		if len(list) == 0 {
			t.Errorf("%s: no reason to refuse it", right)
		}
		for _, d := range list {
			if d.Text.In("en") == d.Text.In("es") || d.Text.In("en") == "" || d.Text.In("fr") != d.Text.In("en") {
				t.Errorf("%s %s: texts %v", right, d.Code, d.Text)
			}
			if !right.Verifiable() && strings.Contains(d.Code, "verif") {
				t.Errorf("%s can be refused for want of verification: %s", right, d.Code)
			}
			if got, err := rules.Denial(right, d.Code); err != nil || got.Code != d.Code {
				t.Errorf("%s %s: %v", right, d.Code, err)
			}
		}
	}
	// And the domain's own codes are among them.
	for code, rights := range map[request.DenialCode][]request.Right{
		request.DenyUnconfirmed: {request.Delete}, request.DenyKnowLimit: {request.KnowCategories, request.KnowSpecific},
		request.DenyNoParent:  {request.KnowCategories, request.KnowSpecific, request.Delete, request.Correct},
		request.DenyHousehold: {request.KnowCategories, request.KnowSpecific, request.Delete, request.Correct},
		request.DenyAccurate:  {request.Correct}, request.DenyRepeated: {request.Correct},
	} {
		for _, right := range rights {
			if _, err := rules.Denial(right, string(code)); err != nil {
				t.Errorf("%s %s: %v", right, code, err)
			}
		}
	}
	for _, right := range []request.Right{request.KnowCategories, request.KnowSpecific, request.Delete, request.Correct} {
		if _, err := rules.Denial(right, string(request.UnverifiedCode(right))); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
	fraud, err := rules.Denial(request.OptOutSaleShare, "fraud")
	if err != nil {
		t.Fatal(err)
	}
	if err := fraud.Check(map[regimes.Need]string{regimes.NeedsApprover: "second"}); !errors.Is(err, regimes.ErrNeeds) {
		t.Errorf("fraud without a document: %v", err)
	}
}

// What a failed verification leads to is data.
func TestUnverifiedFallbacks_VE8_VE9_VE10(t *testing.T) {
	rules := rulesOn(t, load(t), ccpa, "2026-11-22")
	for right, want := range map[request.Right]struct {
		code  string
		offer regimes.Offer
	}{
		request.KnowSpecific:   {"unverified_specific", regimes.OfferCategories},
		request.KnowCategories: {"unverified_categories", regimes.OfferPolicy},
		request.Delete:         {"unverified_delete", regimes.OfferOptOut},
	} {
		d, err := rules.Denial(right, want.code)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.Offers, []regimes.Offer{want.offer}) {
			t.Errorf("%s offers %v, want %s", want.code, d.Offers, want.offer)
		}
	}
}

func TestNeverDisclosed_KN5(t *testing.T) {
	var kinds []string
	for _, w := range rulesOn(t, load(t), ccpa, "2026-11-22").NeverDisclose() {
		kinds = append(kinds, w.Kind)
	}
	want := []string{"ssn", "drivers_license", "government_id", "financial_account", "health_insurance_id", "medical_id", "password", "security_answer", "biometric"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestTiers_VE4_VE5_VE6(t *testing.T) {
	rules := rulesOn(t, load(t), ccpa, "2026-11-22")
	for level, want := range map[request.Level]regimes.Tier{
		request.Reasonable:     {Points: 2},
		request.ReasonablyHigh: {Points: 3, Declaration: true},
	} {
		if got, err := rules.Tier(level); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", level, got, err, want)
		}
	}
	if got := strings.Join(rules.SensitiveCategories(), ""); got != "CEHL" {
		t.Errorf("sensitive categories %s", got)
	}
	if _, err := rulesOn(t, load(t), "us-ca-delete-act", "2026-11-22").Tier(request.Reasonable); !errors.Is(err, regimes.ErrUnknown) {
		t.Errorf("tier of a regime without one: %v", err)
	}
}

func TestCorrectionIsBarredForSixMonths_CO3(t *testing.T) {
	set := load(t)
	denied := date(t, "2026-02-28")
	for on, want := range map[string]bool{"2026-02-27": false, "2026-02-28": true, "2026-07-28": true, "2026-08-27": true, "2026-08-28": false} {
		if got := rulesOn(t, set, ccpa, on).CorrectionBarred(denied); got != want {
			t.Errorf("denied %s, asked %s: barred %v, want %v", denied, on, got, want)
		}
	}
}

func TestOtherLimits_CO2_DE12_IN1(t *testing.T) {
	set := load(t)
	now, next := rulesOn(t, set, ccpa, "2026-11-22"), rulesOn(t, set, ccpa, "2027-01-02")
	if got := now.StatementWords(); got != 250 {
		t.Errorf("statement of %d words", got)
	}
	if got := now.PoliceHold(); got != 90 {
		t.Errorf("police hold of %d days", got)
	}
	if got := now.Channels(true); !slices.Equal(got, []string{"email"}) {
		t.Errorf("online only, 2026: %v", got)
	}
	if got := next.Channels(true); !slices.Equal(got, []string{"email", "web"}) {
		t.Errorf("online only, 2027: %v", got)
	}
	if got := now.Channels(false); !slices.Equal(got, []string{"phone", "web"}) {
		t.Errorf("others: %v", got)
	}
}

// Each law's numbers, as the reference has them: answer, extension in all,
// opt-out, appeal with extension, free requests; and what a deletion reaches.
func TestEveryRegime_RG1_RG2(t *testing.T) {
	set := load(t)
	type numbers struct {
		respond, extended, stop int
		appeal                  regimes.Appeal
		scope                   request.DeleteScope
		signal                  bool
		free                    int
	}
	whole, provided := request.AboutAny, request.Provided
	sixty := regimes.Appeal{Decide: 60}
	for id, want := range map[string]numbers{
		"us-ca-ccpa": {45, 90, 0, regimes.Appeal{}, whole, true, 2},
		"us-va":      {45, 90, 45, sixty, whole, false, 2},
		"us-co":      {45, 90, 45, regimes.Appeal{Decide: 45, Extend: 60}, whole, true, 1},
		"us-ct":      {45, 90, 45, sixty, whole, true, 1},
		"us-tx":      {45, 90, 45, sixty, whole, true, 2},
		"us-ut":      {45, 90, 45, regimes.Appeal{}, provided, false, 1},
		"us-or":      {45, 90, 45, regimes.Appeal{Decide: 45}, whole, true, 1},
		"us-mt":      {45, 90, 45, sixty, whole, true, 1},
		"us-fl":      {45, 60, 45, sixty, whole, false, 2},
		"us-ia":      {90, 135, 90, sixty, provided, false, 2},
		"us-ne":      {45, 90, 45, sixty, whole, true, 2},
		"us-nh":      {45, 90, 45, sixty, whole, true, 1},
		"us-nj":      {45, 90, 45, regimes.Appeal{Decide: 45}, whole, true, 1},
		"us-tn":      {45, 90, 45, sixty, whole, false, 2},
		"us-mn":      {45, 90, 45, regimes.Appeal{Decide: 45, Extend: 60}, whole, true, 2},
		"us-md":      {45, 90, 45, sixty, whole, true, 1},
		"us-in":      {45, 90, 45, sixty, whole, false, 1},
		"us-ky":      {45, 90, 45, sixty, whole, false, 2},
		"us-ri":      {45, 90, 45, sixty, whole, false, 1},
		"eu-gdpr":    {31, 92, 0, regimes.Appeal{}, whole, false, 0}, // one month and three from 15 March
		"uk-gdpr":    {31, 92, 0, regimes.Appeal{}, whole, false, 0},
		"br-lgpd":    {15, 0, 0, regimes.Appeal{}, whole, false, 0},
	} {
		t.Run(id, func(t *testing.T) {
			if err := set.Confirm(id); err != nil {
				t.Fatal(err)
			}
			on := date(t, "2027-03-15")
			rules := rulesOn(t, set, id, "2027-03-15")
			due, err := rules.Clocks(noonOn(on), request.Delete)
			if err != nil {
				t.Fatal(err)
			}
			got := numbers{respond: span(on, due.Respond), extended: span(on, due.Extended), signal: rules.Duties().Signal}
			got.appeal, _ = rules.Appeal()
			for n := 1; n <= 3 && got.free == 0; n++ {
				if rules.MayDeclineKnow(slices.Repeat([]request.Date{on}, n)) {
					got.free = n
				}
			}
			if got.scope, err = rules.DeleteScope(); err != nil {
				t.Fatal(err)
			}
			if id != ccpa && slices.Contains(rules.Rights(), request.OptOutSaleShare) {
				stop, err := rules.Clocks(noonOn(on), request.OptOutSaleShare)
				if err != nil {
					t.Fatal(err)
				}
				got.stop = span(on, stop.Stop)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(numbers{})); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

func span(from, to request.Date) int {
	if to.IsZero() {
		return 0
	}
	n := 0
	for ; from.Before(to); n++ {
		from = from.AddDays(1)
	}
	return n
}

// An opt-out is never verified, so a law that has it verified stays unused.
func TestALawThatVerifiesOptOutsIsNotConfirmed_VE1(t *testing.T) {
	set := load(t)
	if err := set.Confirm("us-nv-603a"); err == nil {
		t.Error("us-nv-603a was confirmed")
	}
	if err := set.Confirm("us-zz"); !errors.Is(err, regimes.ErrUnknown) {
		t.Errorf("confirming an unknown regime: %v", err)
	}
	why, err := set.Unconfirmed("us-nv-603a")
	if err != nil || !strings.Contains(why, "verified") {
		t.Errorf("unconfirmed because %q, %v", why, err)
	}
}

// A law that is not described wholly gives nothing in place of what is missing.
func TestMissingScopeFailsSafe_RG3(t *testing.T) {
	set := load(t)
	if err := set.Confirm("us-ok"); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Terms("us-ok", noonOn(date(t, "2027-02-01")), request.Delete, request.Range{}); !errors.Is(err, regimes.ErrUnknown) {
		t.Errorf("deletion whose reach is not described: %v", err)
	}
	if _, err := set.Terms("us-ok", noonOn(date(t, "2026-12-31")), request.Correct, request.Range{}); !errors.Is(err, regimes.ErrNotInForce) {
		t.Errorf("before the law: %v", err)
	}
}

// A holiday that is added later moves the dates of later requests alone.
func TestChangingACalendarMovesNoDate_CL6(t *testing.T) {
	on := date(t, "2026-11-12")
	frozen, err := load(t).Terms(ccpa, noonOn(on), request.Delete, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(frozen.Due)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := regimes.Parse(withHoliday(t, "2026-11-20"))
	if err != nil {
		t.Fatal(err)
	}
	later, err := changed.Terms(ccpa, noonOn(on), request.Delete, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	var due request.Due
	if err := json.Unmarshal(stored, &due); err != nil {
		t.Fatal(err)
	}
	if due.Acknowledge.String() != "2026-11-27" || due.Calendar.String() != "us-ca-conservative@2026.2" {
		t.Errorf("stored: %s on %s", due.Acknowledge, due.Calendar)
	}
	if later.Due.Acknowledge.String() != "2026-11-30" || later.Due.Calendar.String() != "us-ca-conservative@proclaimed" {
		t.Errorf("new: %s on %s", later.Due.Acknowledge, later.Due.Calendar)
	}
}

// withHoliday returns the product's files with one more day in the default
// calendar.
func withHoliday(t *testing.T, day string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".yaml") || strings.HasPrefix(name, "testdata") {
			return err
		}
		text, err := os.ReadFile(name)
		if name == "calendars/us-ca-conservative.yaml" {
			changed := strings.Replace(string(text), `version: "2026.2"`, "version: proclaimed", 1)
			changed = strings.Replace(changed, "last_year: 2040", "last_year: 2026", 1)
			text = []byte(changed + "  - {name: Proclaimed, dates: [" + day + "]}\n")
		}
		files[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
