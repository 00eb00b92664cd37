package drop_test

import (
	"errors"
	"testing"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/regimes"
)

func TestDR_1_SessionsKeepAMargin(t *testing.T) {
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	for last, want := range map[string][3]string{
		"2026-08-01": {"2026-08-31", "2026-09-10", "2026-09-15"}, // 45 days
		"2026-12-14": {"2027-01-03", "2027-01-10", "2027-01-13"}, // shortened on 1 January
		"2027-01-13": {"2027-02-02", "2027-02-09", "2027-02-12"}, // 30 days
	} {
		s, err := drop.NextSession(set, birth(t, last))
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]string{s.Aim.String(), s.Alarm.String(), s.By.String()}; got != want {
			t.Errorf("last %s: %v, want %v", last, got, want)
		}
	}
	if _, err := drop.NextSession(set, birth(t, "2026-07-31")); !errors.Is(err, regimes.ErrNotInForce) {
		t.Errorf("before the law: %v", err)
	}
}

func standardSet(t *testing.T) *regimes.Set {
	t.Helper()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	return set
}
