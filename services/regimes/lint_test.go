package regimes_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/habeas-data/habeas/services/regimes"
)

// What is shipped has no fault now, and says so in time when a calendar nears
// its end.
func TestLintOfWhatIsShipped_RG3(t *testing.T) {
	set := load(t)
	for _, on := range []string{"2026-11-22", "2027-01-02"} {
		for _, f := range set.Lint(date(t, on)) {
			t.Errorf("%s: %s", on, f)
		}
	}
	for on, want := range map[string]struct {
		error bool
		text  string
	}{
		"2034-01-02": {false, "us-ca-civil-strict: warning: its data ends with 2035"},
		"2036-01-02": {true, "us-ca-civil-strict: error: it has no data for 2036"},
		"2026-07-31": {true, "us-ca-delete-act: error: it has no rules for 2026-07-31"},
	} {
		found := false
		for _, f := range set.Lint(date(t, on)) {
			found = found || f.Error == want.error && strings.HasPrefix(f.String(), want.text)
		}
		if !found {
			t.Errorf("%s: %v lacks %q", on, set.Lint(date(t, on)), want.text)
		}
	}
}

// A right that nothing could be answered with is a fault.
func TestLintFindsWhatIsMissing(t *testing.T) {
	const text = `
regime: x
title: X
version: "1"
confirmed: true
zone: America/Los_Angeles
valid_from: 2023-01-01
clocks: {respond: {citation: c, rights: [know_specific, delete], unit: days, values: [{valid_from: 2023-01-01, value: 45}]}}
`
	set, err := regimes.Parse(fstest.MapFS{"x.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range set.Lint(date(t, "2026-11-22")) {
		all.WriteString(f.String() + "\n")
	}
	for _, want := range []string{"know_specific has no level", "delete has no level", "delete can be refused for no reason", "reaches is not said", "never disclosed is not said"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no fault says %q:\n%s", want, all.String())
		}
	}
}
