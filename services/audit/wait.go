package audit

import (
	"context"
	"time"
)

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

const (
	firstWait = 100 * time.Millisecond
	longWait  = 5 * time.Second
)

// backoff spaces out attempts, from firstWait doubling to longWait.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: firstWait} }

func (b *backoff) reset() { b.next = firstWait }

// sleep waits for the next space and reports whether ctx is still alive.
func (b *backoff) sleep(ctx context.Context) bool {
	d := b.next
	b.next = min(2*b.next, longWait)
	return sleep(ctx, d)
}
