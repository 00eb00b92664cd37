package pack

import (
	"testing"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// What was deidentified is counted as that, and not as erased.
func TestDeidentifiedIsNotErased_DE14(t *testing.T) {
	got := stores(&habeasv1.OutcomeRecord{Action: habeasv1.Action_ACTION_ERASE, Outcome: &habeasv1.Outcome{
		Stores: []*habeasv1.StoreCount{{Store: "stays", LocatedCount: 9, KeptCount: 2, RemainingCount: 1, DeidentifiedCount: 4, Basis: "D8"}},
	}})
	if len(got) != 1 || got[0].Erased != 2 || got[0].Deidentified != 4 {
		t.Fatalf("counted %+v", got)
	}
	if why := keptBecause(got[0]); why != "4 deidentified, not erased; D8" {
		t.Errorf("the certificate says %q", why)
	}
	got = stores(&habeasv1.OutcomeRecord{Action: habeasv1.Action_ACTION_ERASE, Outcome: &habeasv1.Outcome{
		Stores: []*habeasv1.StoreCount{{Store: "stays", LocatedCount: 9, EmptiedCount: 3, MaskedCount: 2}},
	}})
	if got[0].Erased != 4 || got[0].Emptied != 3 || got[0].Masked != 2 {
		t.Errorf("counted %+v", got)
	}
	if why := keptBecause(got[0]); why != "3 emptied, not removed; 2 masked, not removed" {
		t.Errorf("the certificate says %q", why)
	}
}
