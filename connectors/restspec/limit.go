package restspec

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// quota keeps all instances of the connector together inside the system's
// limits, and inside a pause that the system asked for.
//
// Each limit is a bucket of burst tokens that refills so slowly that no window
// of its length sees more than its number (a GCRA with interval
// per/(requests-burst+1)). Its state is one time, kept in the [meter].
type quota struct {
	buckets  []bucket
	limits   []Limit
	meter    *meter
	patience time.Duration
}

// bucket is one limit.
type bucket struct {
	name     string
	people   bool          // counts people rather than requests
	interval time.Duration // to the next token
	slack    time.Duration // how far ahead of time a token may be taken
}

// pauseSlot is where the meter keeps the end of a pause; limit i has slot i+1.
const pauseSlot = 0

func newQuota(limits []Limit, patience time.Duration, m *meter) *quota {
	q := &quota{limits: limits, meter: m, patience: patience}
	for _, l := range limits {
		burst := min(l.burst(), l.Requests)
		refills := time.Duration(l.Requests - burst + 1)
		interval := (time.Duration(l.Per) + refills - 1) / refills
		q.buckets = append(q.buckets, bucket{
			name: l.Name, people: l.Count == "people", interval: interval, slack: interval * time.Duration(burst-1),
		})
	}
	return q
}

// burst is how many tokens may be taken at once: as written, or one for limits
// of up to a minute and half of all for longer ones, where spreading evenly
// would make the first person wait for hours.
func (l Limit) burst() int {
	switch {
	case l.Burst > 0:
		return l.Burst
	case time.Duration(l.Per) <= time.Minute:
		return 1
	}
	return max(1, l.Requests/2)
}

// wait takes a token from every bucket without a name and from the named ones;
// from those that count people, one for each. A wait longer than patience takes
// nothing and returns an [sdk.NotYet] with the time after which there is room.
func (q *quota) wait(ctx context.Context, names []string, people int) error {
	longest := time.Duration(0)
	err := q.meter.update(ctx, func(now time.Time, slots []int64) bool {
		longest = max(0, time.Unix(0, slots[pauseSlot]).Sub(now))
		next := make([]int64, len(slots))
		copy(next, slots)
		for i, b := range q.buckets {
			if !b.applies(names) {
				continue
			}
			cost := time.Duration(1)
			if b.people {
				cost = time.Duration(max(people, 1))
			}
			due := max(slots[i+1], now.UnixNano()) // when the bucket is level
			// More people than the bucket ever holds go when it is full.
			ahead := min(b.interval*(cost-1), b.slack)
			longest = max(longest, time.Unix(0, due).Add(ahead-b.slack).Sub(now))
			next[i+1] = due + int64(b.interval*cost)
		}
		if longest > q.patience {
			return false
		}
		copy(slots, next)
		return true
	})
	switch {
	case err != nil:
		return err
	case longest > q.patience:
		return overQuota(longest)
	}
	return sleep(ctx, longest)
}

func (b bucket) applies(names []string) bool {
	return b.name == "" || slices.Contains(names, b.name)
}

// hold lets no instance start a request for d.
func (q *quota) hold(ctx context.Context, d time.Duration) error {
	return q.meter.update(ctx, func(now time.Time, slots []int64) bool {
		until := now.Add(d).UnixNano()
		if until <= slots[pauseSlot] {
			return false
		}
		slots[pauseSlot] = until
		return true
	})
}

// used tells how much of each limit is used: how far its bucket is emptied, on
// the scale of the limit, and until when the system asked for a pause.
func (q *quota) used(ctx context.Context) ([]sdk.Quota, error) {
	var out []sdk.Quota
	err := q.meter.update(ctx, func(now time.Time, slots []int64) bool {
		for i, b := range q.buckets {
			l := q.limits[i]
			full := b.slack + b.interval
			level := min(max(time.Unix(0, slots[i+1]).Sub(now), 0), full)
			one := sdk.Quota{
				Name: l.Name, Counts: "requests", Limit: int64(l.Requests), Per: time.Duration(l.Per),
				Used: int64(float64(l.Requests) * float64(level) / float64(full)),
			}
			if b.people {
				one.Counts = "people"
			}
			if until := time.Unix(0, slots[pauseSlot]); until.After(now) {
				one.PausedUntil = until.UTC()
			}
			out = append(out, one)
		}
		return false
	})
	return out, err
}

func overQuota(after time.Duration) error {
	return sdk.WithCode(sdk.RateLimited, sdk.NotYet(after,
		fmt.Errorf("the system's quota is used up for %s", after.Round(time.Second))))
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

var errNoRetryAfter = errors.New("no usable Retry-After")

// retryAfter reads the Retry-After header: seconds or an HTTP date (RFC 9110
// 10.2.3), never less than nothing and never more than 30 days.
func retryAfter(h http.Header, now time.Time) (time.Duration, error) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, errNoRetryAfter
	}
	var d time.Duration
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if !(s >= 0) {
			return 0, errNoRetryAfter
		}
		d = time.Duration(min(s, 30*24*3600) * float64(time.Second))
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	} else {
		return 0, errNoRetryAfter
	}
	return min(max(d, 0), 30*24*time.Hour), nil
}
