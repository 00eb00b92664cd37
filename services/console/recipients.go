package console

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// recipientFigures tell how many of those who got data have not confirmed a
// deletion or an opt-out in time, or could not be told; nothing while there are
// none.
func (r *Room) recipientFigures(ctx context.Context, now time.Time) ([]figure, error) {
	told, ok := r.config.Store.(store.Onwards)
	if !ok {
		return nil, nil
	}
	s, err := told.OnwardStanding(ctx, now)
	if err != nil {
		return nil, err
	}
	var out []figure
	if s.Overdue > 0 {
		out = append(out, figure{Label: "Recipients overdue", Count: number(s.Overdue), Tone: bad})
	}
	if s.Unsent > 0 {
		out = append(out, figure{Label: "Recipients not reached", Count: number(s.Unsent), Tone: warn})
	}
	return out, nil
}
