package restspec

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

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

// mustQuota is a quota in memory or, with a folder, in its file.
func mustQuota(t *testing.T, dir string, limits []Limit, patience time.Duration) *quota {
	t.Helper()
	m, err := openMeter(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	return newQuota(limits, patience, m)
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := mustQuota(t, "", []Limit{
			{Requests: 10, Per: Duration(time.Second), Burst: 2},
			{Name: "search", Requests: 1, Per: Duration(time.Second)},
			{Name: "daily", Requests: 2, Per: Duration(24 * time.Hour), Burst: 1},
		}, 5*time.Second)
		start := time.Now()
		for range 3 {
			if err := q.wait(t.Context(), []string{"search"}, 1); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("3 searches at one a second took %s", took)
		}
		if err := q.wait(t.Context(), []string{"daily"}, 1); err != nil {
			t.Fatal(err)
		}
		err := q.wait(t.Context(), []string{"daily"}, 1)
		after, notYet := sdk.AsNotYet(err)
		if !notYet || sdk.CodeOf(err) != sdk.RateLimited || after < 11*time.Hour || after > 12*time.Hour {
			t.Errorf("over the daily quota: %v after %s", err, after)
		}
		// What could not be waited for was given back.
		if err := q.wait(t.Context(), nil, 1); err != nil {
			t.Fatal(err)
		}
	})
}

// TestQuotaNeverExceeded: no window, wherever it begins, sees more than the
// limit, with however many instances and whatever their batches.
func TestQuotaNeverExceeded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := Limit{
			Requests: rapid.IntRange(1, 20).Draw(rt, "requests"), Burst: rapid.IntRange(0, 25).Draw(rt, "burst"),
			Per: Duration(rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 30 * 24 * time.Hour}).Draw(rt, "per")), Count: "people",
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 8), 10, 60).Draw(rt, "people")
		synctest.Test(t, func(t *testing.T) {
			q := mustQuota(t, "", []Limit{limit}, 1000*24*time.Hour)
			type taken struct {
				at     time.Time
				people int
			}
			var all []taken
			for _, n := range sizes {
				n = min(n, limit.Requests, max(1, limit.burst()))
				if err := q.wait(t.Context(), nil, n); err != nil {
					t.Fatal(err)
				}
				all = append(all, taken{time.Now(), n})
			}
			for i, first := range all {
				sum := 0
				for _, x := range all[i:] {
					if x.at.Sub(first.at) < time.Duration(limit.Per) {
						sum += x.people
					}
				}
				if sum > limit.Requests {
					t.Fatalf("%d of %d in one window", sum, limit.Requests)
				}
			}
		})
	})
}

// TestQuotaIsShared: two instances and a restarted one have one monthly quota
// and one pause between them.
func TestQuotaIsShared(t *testing.T) {
	dir := t.TempDir()
	limits := []Limit{{Requests: 6, Per: Duration(30 * 24 * time.Hour), Burst: 6}}
	a, b := mustQuota(t, dir, limits, 0), mustQuota(t, dir, limits, 0)
	var wg sync.WaitGroup
	var granted atomic.Int32
	for _, q := range []*quota{a, b} {
		for range 10 {
			wg.Go(func() {
				if q.wait(t.Context(), nil, 1) == nil {
					granted.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if n := granted.Load(); n != 6 {
		t.Errorf("%d of a quota of 6 were granted", n)
	}
	c := mustQuota(t, dir, limits, 0)
	if after, notYet := sdk.AsNotYet(c.wait(t.Context(), nil, 1)); !notYet || after < 29*24*time.Hour {
		t.Errorf("after a restart there is room in %s, %t", after, notYet)
	}
	other := mustQuota(t, t.TempDir(), nil, 0)
	if err := other.hold(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := a.hold(t.Context(), 40*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if after, _ := sdk.AsNotYet(b.wait(t.Context(), nil, 1)); after < 39*24*time.Hour {
		t.Errorf("the other instance pauses for %s", after)
	}
}

func hold(t *testing.T, q *quota, d time.Duration) {
	t.Helper()
	if err := q.hold(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// TestPause: one 429 holds every request back.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := mustQuota(t, "", nil, 5*time.Second)
		hold(t, q, 3*time.Second)
		hold(t, q, time.Second)
		start := time.Now()
		if err := q.wait(t.Context(), nil, 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("waited %s, was asked for 3s", took)
		}
		hold(t, q, time.Hour)
		if after, notYet := sdk.AsNotYet(q.wait(t.Context(), nil, 1)); !notYet || after != time.Hour {
			t.Errorf("a long pause: %s, %t", after, notYet)
		}
	})
}
