package records

import (
	"context"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// least is how many months records are kept at least (11 CCR 7101(a)), counted
// from the response, which is never earlier than the request. margin is added
// to whatever is asked for.
const (
	least  = 24
	margin = 30 * 24 * time.Hour
	batch  = 1000
)

// Purge deletes records whose requests were closed at least so many months ago,
// and a margin. Those that are open, or have something to come, stay. It returns
// how many went. The error is [store.ErrTooSoon] for less than 24 months, and
// then nothing was deleted.
func Purge(ctx context.Context, s store.Records, now time.Time, months int) (n int64, err error) {
	if months < least {
		return 0, fmt.Errorf("deleting records after %d months: %w", months, store.ErrTooSoon)
	}
	before := now.AddDate(0, -months, 0).Add(-margin)
	for {
		gone, err := s.Forget(ctx, before, batch)
		n += gone
		if err != nil || gone < batch {
			return n, err
		}
	}
}
