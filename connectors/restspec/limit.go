package restspec

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// quota keeps the connector inside the system's limits: token buckets that the
// specification names, and a pause that the system asked for.
type quota struct {
	buckets  map[string][]*rate.Limiter
	patience time.Duration

	mu    sync.Mutex
	pause time.Time
}

func newQuota(limits []Limit, patience time.Duration) *quota {
	q := &quota{buckets: map[string][]*rate.Limiter{}, patience: patience}
	for _, l := range limits {
		burst := l.Burst
		if burst <= 0 {
			burst = 1
		}
		every := rate.Every(time.Duration(l.Per) / time.Duration(l.Requests))
		q.buckets[l.Name] = append(q.buckets[l.Name], rate.NewLimiter(every, burst))
	}
	return q
}

// wait takes one token from every bucket without a name and from the named
// ones. A wait longer than patience takes nothing and returns an
// [sdk.NotYet] with the time after which there is room.
func (q *quota) wait(ctx context.Context, names []string) error {
	now := time.Now()
	var taken []*rate.Reservation
	longest := q.paused(now)
	for _, name := range append([]string{""}, names...) {
		for _, b := range q.buckets[name] {
			r := b.ReserveN(now, 1)
			taken = append(taken, r)
			longest = max(longest, r.DelayFrom(now))
		}
	}
	giveBack := func() {
		for _, r := range taken {
			r.CancelAt(now)
		}
	}
	if longest > q.patience {
		giveBack()
		return overQuota(longest)
	}
	if err := sleep(ctx, longest); err != nil {
		giveBack()
		return err
	}
	return nil
}

// hold lets no request start for d.
func (q *quota) hold(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until := time.Now().Add(d); until.After(q.pause) {
		q.pause = until
	}
}

func (q *quota) paused(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(0, q.pause.Sub(now))
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
