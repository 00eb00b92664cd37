package restspec

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": 0, "7": 7 * time.Second, "1.5": 1500 * time.Millisecond,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"99999999999":                   30 * 24 * time.Hour,
		"":                              -1, "soon": -1, "-3": -1, "NaN": -1,
	} {
		got, err := retryAfter(http.Header{"Retry-After": {value}}, now)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %v, %v; want %v", value, got, err, want)
		}
	}
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota([]Limit{
			{Requests: 10, Per: Duration(time.Second), Burst: 2},
			{Name: "search", Requests: 1, Per: Duration(time.Second)},
			{Name: "daily", Requests: 2, Per: Duration(24 * time.Hour), Burst: 1},
		}, 5*time.Second)
		start := time.Now()
		for range 12 {
			if err := q.wait(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("12 requests at 10 a second with a burst of 2 took %s", took)
		}
		start = time.Now()
		for range 3 {
			if err := q.wait(t.Context(), []string{"search"}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("3 searches at one a second took %s", took)
		}
		if err := q.wait(t.Context(), []string{"daily"}); err != nil {
			t.Fatal(err)
		}
		err := q.wait(t.Context(), []string{"daily"})
		after, notYet := sdk.AsNotYet(err)
		if !notYet || sdk.CodeOf(err) != sdk.RateLimited || after < 11*time.Hour || after > 12*time.Hour {
			t.Errorf("over the daily quota: %v after %s", err, after)
		}
		// What could not be waited for was given back.
		if err := q.wait(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPause: one 429 holds every request back.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(nil, 5*time.Second)
		q.hold(3 * time.Second)
		q.hold(time.Second)
		start := time.Now()
		if err := q.wait(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("waited %s, was asked for 3s", took)
		}
		q.hold(time.Hour)
		if after, notYet := sdk.AsNotYet(q.wait(t.Context(), nil)); !notYet || after != time.Hour {
			t.Errorf("a long pause: %s, %t", after, notYet)
		}
	})
}
