package regimes_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

func date(t testing.TB, text string) request.Date {
	t.Helper()
	d, err := request.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLoad(t *testing.T) {
	set := load(t)
	var used []string
	for _, id := range set.Regimes() {
		why, err := set.Unconfirmed(id)
		if err != nil {
			t.Fatal(err)
		}
		if why == "" {
			used = append(used, id)
		}
	}
	if got := strings.Join(used, " "); got != "us-ca-ccpa us-ca-delete-act" {
		t.Errorf("regimes in use without anybody's confirmation: %s", got)
	}
}

// A file that changes without a new version would change due dates that name
// the old one. Adding a line to versions.txt is how a new version is declared;
// lines are never changed.
func TestFilesKeepTheirVersion_CL6(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("testdata", "versions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sums := make(map[string]string)
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			t.Fatalf("versions.txt: %q: want file, version and SHA-256", line)
		}
		if key := fields[0] + " " + fields[1]; sums[key] != "" {
			t.Errorf("versions.txt has %s twice", key)
		} else {
			sums[key] = fields[2]
		}
	}
	for _, pattern := range []string{"*.yaml", "calendars/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("listing %s: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "\nversion: \"")
			version, _, _ := strings.Cut(rest, `"`)
			sum := sha256.Sum256(text)
			if got := hex.EncodeToString(sum[:]); sums[name+" "+version] != got {
				t.Errorf("%s is not what its version says: raise it and add to testdata/versions.txt:\n%s %s %s", name, name, version, got)
			}
		}
	}
}

func TestDueIsFrozenWithVersions_CL6(t *testing.T) {
	due := clocks(t, load(t), date(t, "2026-11-22"), request.Delete)
	got := []string{due.Regime, due.RuleVersion, due.Calendar.String(), due.AlarmCalendar.String(), due.RollCalendar.String(), due.Zone}
	want := "us-ca-ccpa 2026.5 us-ca-conservative@2026.2 us-ca-civil-strict@2026.2 us-ca-judicial@2026.2 America/Los_Angeles"
	if strings.Join(got, " ") != want {
		t.Errorf("frozen with %v, want %s", got, want)
	}
}

func TestRightsHaveTheirClocks_VE1(t *testing.T) {
	set := load(t)
	for _, right := range request.Rights() {
		terms, err := set.Terms(ccpa, noonOn(date(t, "2026-11-22")), right, request.Range{})
		if err != nil {
			t.Fatal(err)
		}
		d := terms.Due
		if verified := terms.Level.Valid(); verified != right.Verifiable() {
			t.Errorf("%s: level %q", right, terms.Level)
		}
		answers := !d.Acknowledge.IsZero() && !d.Respond.IsZero() && !d.Extended.IsZero() && d.Stop.IsZero() && d.NoReask.IsZero()
		stops := d.Acknowledge.IsZero() && d.Respond.IsZero() && d.Extended.IsZero() && !d.Stop.IsZero() && !d.NoReask.IsZero()
		if right.Verifiable() && !answers || !right.Verifiable() && !stops {
			t.Errorf("%s: wrong set of clocks: %v", right, d.Dates())
		}
		if d.KeepUntil.IsZero() || d.Answer().IsZero() || !d.Alarm().Before(d.Answer()) {
			t.Errorf("%s: answer %s, alarm %s, keep %s", right, d.Answer(), d.Alarm(), d.KeepUntil)
		}
	}
}

func TestRulesSwitchByReceiptDate_CL10_DE16(t *testing.T) {
	set := load(t)
	for text, want := range map[string]request.DeleteScope{
		"2026-12-31T23:30:00-08:00": request.CollectedFrom,
		"2027-01-01T05:00:00Z":      request.CollectedFrom, // still 31 December in California
		"2027-01-01T08:00:00Z":      request.AboutAny,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		terms, err := set.Terms(ccpa, at, request.Delete, request.Range{})
		if err != nil {
			t.Fatal(err)
		}
		if terms.DeleteScope != want {
			t.Errorf("%s: scope %s, want %s", text, terms.DeleteScope, want)
		}
	}
}

func TestRange_IN8(t *testing.T) {
	set := load(t)
	for name, c := range map[string]struct {
		right   request.Right
		want    request.Range
		since   string
		clipped bool
	}{
		"default":          {request.KnowSpecific, request.Range{}, "2025-11-22", false},
		"all":              {request.KnowSpecific, request.Range{Kind: request.RangeAll}, "2022-01-01", false},
		"from":             {request.KnowCategories, request.Range{Kind: request.RangeFrom, From: date(t, "2024-02-29")}, "2024-02-29", false},
		"from before 2022": {request.KnowSpecific, request.Range{Kind: request.RangeFrom, From: date(t, "2021-06-01")}, "2022-01-01", true},
		"deletion":         {request.Delete, request.Range{}, "", false},
		"opt-out":          {request.OptOutSaleShare, request.Range{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			terms, err := set.Terms(ccpa, noonOn(date(t, "2026-11-22")), c.right, c.want)
			if err != nil {
				t.Fatal(err)
			}
			if terms.Since.String() != c.since || terms.Clipped != c.clipped {
				t.Errorf("since %s, clipped %v; want %s, %v", terms.Since, terms.Clipped, c.since, c.clipped)
			}
		})
	}
}

func TestUnknownOrExpiredFailsSafe_RG3(t *testing.T) {
	set := load(t)
	term := func(regime, on string, right request.Right) error {
		_, err := set.Terms(regime, noonOn(date(t, on)), right, request.Range{})
		return err
	}
	_, noCalendar := set.Calendar("us-tx")
	_, noCycle := set.NextAccess(ccpa, date(t, "2026-08-01"))
	rules, err := set.At(ccpa, date(t, "2026-11-22"))
	if err != nil {
		t.Fatal(err)
	}
	_, otherDay := rules.Clocks(noonOn(date(t, "2026-11-23")), request.Delete)
	for name, c := range map[string]struct{ got, want error }{
		"unknown regime":           {term("us-zz", "2026-11-22", request.Delete), regimes.ErrUnknown},
		"unknown right":            {term(ccpa, "2026-11-22", "forget"), regimes.ErrUnknown},
		"right without a rule":     {term("us-ca-delete-act", "2026-11-22", request.Delete), regimes.ErrUnknown},
		"nobody confirmed it":      {term("us-va", "2026-11-22", request.Delete), regimes.ErrUnconfirmed},
		"before the law":           {term(ccpa, "2022-12-31", request.Delete), regimes.ErrNotInForce},
		"before the calendar":      {term(ccpa, "2025-06-02", request.Delete), regimes.ErrNoData},
		"after the calendar":       {term(ccpa, "2036-01-02", request.Delete), regimes.ErrNoData},
		"over the calendar's edge": {term(ccpa, "2035-12-24", request.OptOutSaleShare), regimes.ErrNoData},
		"unknown calendar":         {noCalendar, regimes.ErrUnknown},
		"no cycle":                 {noCycle, regimes.ErrUnknown},
		"rules of another day":     {otherDay, regimes.ErrNotInForce},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

// days draws a day of receipt that all calendars cover with its clocks.
func days(t *rapid.T) request.Date {
	return request.Date{Year: 2026, Month: 1, Day: 1}.AddDays(rapid.IntRange(0, 9*365+300).Draw(t, "day"))
}

func TestConservativeIsNeverLater(t *testing.T) {
	set := load(t)
	add := func(rt *rapid.T, id string, d request.Date, n int) request.Date {
		c, err := set.Calendar(id)
		if err != nil {
			rt.Fatal(err)
		}
		end, err := c.Add(d, n)
		if err != nil {
			rt.Fatal(err)
		}
		return end
	}
	rapid.Check(t, func(rt *rapid.T) {
		d, n := days(rt), rapid.SampledFrom([]int{1, 5, 10, 15}).Draw(rt, "n")
		due := add(rt, "us-ca-conservative", d, n)
		for _, id := range []string{"us-ca-state-offices", "us-ca-gov6700"} {
			if other := add(rt, id, d, n); due.After(other) {
				rt.Fatalf("%d business days from %s: conservative %s is after %s %s", n, d, due, id, other)
			}
		}
	})
}

func TestDueDatesNeverRunBackwards(t *testing.T) {
	set := load(t)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := days(rt), days(rt)
		if b.Before(a) {
			a, b = b, a
		}
		for _, right := range request.Rights() {
			one, two := clocks(t, set, a, right), clocks(t, set, b, right)
			for name, pair := range map[string][2]request.Date{
				"acknowledge": {one.Acknowledge, two.Acknowledge}, "acknowledge alarm": {one.AcknowledgeAlarm, two.AcknowledgeAlarm},
				"stop": {one.Stop, two.Stop}, "stop alarm": {one.StopAlarm, two.StopAlarm},
				"respond": {one.Respond, two.Respond}, "rolled": {one.RespondRolled, two.RespondRolled},
				"extended": {one.Extended, two.Extended}, "look back": {one.LookBackFrom, two.LookBackFrom},
				"no re-ask": {one.NoReask, two.NoReask}, "keep": {one.KeepUntil, two.KeepUntil},
			} {
				if pair[1].Before(pair[0]) {
					rt.Fatalf("%s: %s received %s is %s, received %s is %s", right, name, a, pair[0], b, pair[1])
				}
			}
			if one.RespondRolled.Before(one.Respond) || one.Extended.Before(one.Respond) {
				rt.Fatalf("%s received %s: respond %s, rolled %s, extended %s", right, a, one.Respond, one.RespondRolled, one.Extended)
			}
		}
	})
}

// The machine's own zone has no say.
func TestZoneOfTheMachineDoesNotMatter(t *testing.T) {
	loc, err := time.LoadLocation("Asia/Beirut")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	set := load(t)
	one, err := set.Terms(ccpa, at, request.Delete, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := set.Terms(ccpa, at.In(loc), request.Delete, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	if one.Due != two.Due || !one.Received.Equal(two.Received) {
		t.Errorf("dates differ: %v and %v", one.Due, two.Due)
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "regime: x\ntitle: X\nversion: \"1\"\nconfirmed: true\nzone: America/Los_Angeles\nvalid_from: 2023-01-01\n"
	const entry = "code: X1, citation: c, valid_from: 2023-01-01, rights: [delete], text: {en: x, es: x}"
	const calendar = "calendar: c\nversion: \"1\"\nfirst_year: 2026\nlast_year: 2027\nclosed_weekdays: [sunday]\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"unknown field":      {"x.yaml", head + "colour: red\n", `x.yaml`},
		"no version":         {"x.yaml", strings.Replace(head, "version: \"1\"\n", "", 1), "version"},
		"machine's zone":     {"x.yaml", strings.Replace(head, "America/Los_Angeles", "Local", 1), "zone"},
		"unknown calendar":   {"x.yaml", head + "calendars: {due: nowhere}\n", "nowhere"},
		"unknown right":      {"x.yaml", head + "clocks: {stop: {citation: c, rights: [fly], unit: days, values: [{valid_from: 2023-01-01, value: 1}]}}\n", "fly"},
		"unknown unit":       {"x.yaml", head + "clocks: {stop: {citation: c, rights: [delete], unit: hours, values: [{valid_from: 2023-01-01, value: 1}]}}\n", "hours"},
		"no calendar":        {"x.yaml", head + "clocks: {stop: {citation: c, rights: [delete], unit: business_days, values: [{valid_from: 2023-01-01, value: 1}]}}\n", "calendars.due"},
		"zero length":        {"x.yaml", head + "cycle: {citation: c, values: [{valid_from: 2023-01-01, value: 0}]}\n", "values[0]"},
		"no citation":        {"x.yaml", head + "cycle: {values: [{valid_from: 2023-01-01, value: 1}]}\n", "citation"},
		"gap":                {"x.yaml", head + "cycle: {citation: c, values: [{valid_from: 2023-01-01, valid_to: 2023-12-31, value: 1}, {valid_from: 2024-01-02, value: 1}]}\n", "gap"},
		"late start":         {"x.yaml", head + "cycle: {citation: c, values: [{valid_from: 2024-01-01, value: 1}]}\n", "valid_from"},
		"early end":          {"x.yaml", head + "cycle: {citation: c, values: [{valid_from: 2023-01-01, valid_to: 2024-01-01, value: 1}]}\n", "last value"},
		"verified opt-out":   {"x.yaml", head + "levels: {opt_out_sale_share: {citation: c, values: [{valid_from: 2023-01-01, value: reasonable}]}}\n", "not a right that is verified"},
		"months only":        {"x.yaml", head + "clocks: {keep_record: {citation: c, rights: [delete], unit: days, values: [{valid_from: 2023-01-01, value: 1}]}}\n", "months"},
		"nobody's word":      {"x.yaml", strings.Replace(head, "confirmed: true\n", "", 1), "unconfirmed"},
		"exception twice":    {"x.yaml", head + "exceptions: [{" + entry + "}, {" + entry + "}]\n", "twice"},
		"no Spanish":         {"x.yaml", head + "denials: [{" + strings.Replace(entry, ", es: x", "", 1) + "}]\n", "text.es"},
		"unknown need":       {"x.yaml", head + "denials: [{needs: [luck], " + entry + "}]\n", "luck"},
		"unknown offer":      {"x.yaml", head + "denials: [{offers: [money], " + entry + "}]\n", "money"},
		"no span":            {"x.yaml", head + "exceptions: [{" + strings.Replace(entry, "valid_from: 2023-01-01, ", "", 1) + "}]\n", "valid_from"},
		"unknown level":      {"x.yaml", head + "tiers: {certain: {citation: c, values: [{valid_from: 2023-01-01, value: {points: 1}}]}}\n", "certain"},
		"no points":          {"x.yaml", head + "tiers: {reasonable: {citation: c, values: [{valid_from: 2023-01-01, value: {declaration: true}}]}}\n", "values[0]"},
		"no time to decide":  {"x.yaml", head + "appeal: {citation: c, values: [{valid_from: 2023-01-01, value: {extend: 1}}]}\n", "appeal"},
		"empty list":         {"x.yaml", head + "never_disclose: {citation: c, values: [{valid_from: 2023-01-01, value: []}]}\n", "never_disclose"},
		"bad date":           {"x.yaml", strings.Replace(head, "2023-01-01", "2023-02-30", 1), "x.yaml"},
		"year without data":  {"calendars/c.yaml", calendar + "holidays: [{name: Moon, dates: [2026-02-17]}]\n", "2027"},
		"date outside":       {"calendars/c.yaml", calendar + "holidays: [{name: Moon, dates: [2026-02-17, 2027-02-06, 2029-01-01]}]\n", "2029-01-01"},
		"no such day":        {"calendars/c.yaml", calendar + "holidays: [{name: Leap, month: 2, day: 29}]\n", "Leap"},
		"two rules in one":   {"calendars/c.yaml", calendar + "holidays: [{name: Both, month: 2, day: 1, weekday: monday, nth: 1}]\n", "Both"},
		"fifth monday":       {"calendars/c.yaml", calendar + "holidays: [{name: Fifth, month: 2, weekday: monday, nth: 5}]\n", "Fifth"},
		"unknown weekday":    {"calendars/c.yaml", calendar + "holidays: [{name: W, month: 2, weekday: lundi, nth: 1}]\n", "lundi"},
		"always closed":      {"calendars/c.yaml", strings.Replace(calendar, "[sunday]", "[monday, tuesday, wednesday, thursday, friday, saturday, sunday]", 1), "business day"},
		"years out of order": {"calendars/c.yaml", strings.Replace(calendar, "2027", "2025", 1), "last_year"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := regimes.Parse(fstest.MapFS{c.file: {Data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("error %v, want one that names %s and %q", err, c.file, c.want)
			}
		})
	}
}

// What one caller confirms, no other has confirmed.
func TestSetsAreTheirOwners(t *testing.T) {
	one, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	var id string
	for _, known := range one.Regimes() {
		if why, err := one.Unconfirmed(known); err == nil && why != "" {
			id = known
		}
	}
	if err := one.Confirm(id); err != nil {
		t.Fatalf("confirming %q: %v", id, err)
	}
	other, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	if why, err := other.Unconfirmed(id); err != nil || why == "" {
		t.Errorf("regime %s is confirmed in a set in which nobody did: %v", id, err)
	}
	if why, err := one.Unconfirmed(id); err != nil || why != "" {
		t.Errorf("regime %s is to be confirmed still: %q, %v", id, why, err)
	}
}
