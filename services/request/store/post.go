package store

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Post is what telling people needs remembered: how far each notice has come.
// The stores that keep requests keep it too.
type Post interface {
	// DueNotices returns notices that nobody was told of yet and whose time to
	// be tried has come, oldest first, at most limit.
	DueNotices(ctx context.Context, now time.Time, limit int) ([]Posted, error)
	// PutOffNotice counts a try that failed: why, as a code, and when the next
	// one is. A notice that was told of in the meantime stays told.
	PutOffNotice(ctx context.Context, n Notice, again time.Time, code string) error
	// NoticesOf returns all notices of a request, oldest first.
	NoticesOf(ctx context.Context, id request.ID) ([]Posted, error)
	// Untold counts the notices that nobody was told of, by the code of the
	// last try; "" for those that were not tried.
	Untold(ctx context.Context) (map[string]int64, error)
}

// Posted is a notice and how far it has come.
type Posted struct {
	Notice
	Told bool
	// Tries failed so far, the last one with the code Failed; the next is not
	// before NextAt.
	Tries  int
	Failed string
	NextAt time.Time
}
