package restspec

import (
	"context"
	"testing"
	"time"
)

// What is used grows with each call, never beyond the limit, and a pause that
// the system asked for is told.
func TestQuotaTellsWhatIsUsed(t *testing.T) {
	limits := []Limit{{Requests: 10, Per: Duration(time.Hour), Burst: 10}, {Name: "erasures", Requests: 4, Per: Duration(24 * time.Hour), Burst: 4, Count: "people"}}
	m, err := openMeter("", limits)
	if err != nil {
		t.Fatal(err)
	}
	q := newQuota(limits, time.Minute, m)
	for calls := range 4 {
		used, err := q.used(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// A moment gives back a part of a call: rounding down may hide one.
		if all := used[0].Used; all > int64(calls) || all < int64(calls)-1 || used[0].Limit != 10 || used[0].Counts != "requests" {
			t.Errorf("after %d calls %+v", calls, used[0])
		}
		if people := used[1].Used; people > int64(2*calls) || people < min(int64(2*calls), 4)-1 || people > 4 || used[1].Counts != "people" || !used[1].PausedUntil.IsZero() {
			t.Errorf("after %d people %+v", 2*calls, used[1])
		}
		names := []string{"erasures"}
		if calls >= 2 {
			names = nil // the second is used up
		}
		if err := q.wait(t.Context(), names, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.hold(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	used, err := q.used(t.Context())
	if err != nil || used[0].PausedUntil.Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("a pause is told as %+v, %v", used[0], err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.used(over); err == nil {
		t.Error("a cancelled question is answered")
	}
}
