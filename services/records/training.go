package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ErrUntrained says that somebody may not decide, for want of a training that
// is recent enough (11 CCR 7100).
var ErrUntrained = errors.New("only people with current training may decide about requests (11 CCR 7100)")

// Gate lets through who was trained.
type Gate struct {
	Store store.Records
	// Months is how old a training may be; 0 is twelve.
	Months int
	// Untrained is what its errors wrap besides [ErrUntrained]; nil is nothing.
	Untrained error
}

// Trained reports whether somebody may approve, deny or extend at a time. The
// error wraps [ErrUntrained], and says when the training ran out if there was
// one, or is that of the store. Nobody, "", was never trained.
func (g Gate) Trained(ctx context.Context, who string, at time.Time) error {
	if who == "" {
		return g.refuse("nobody is named")
	}
	months := g.Months
	if months == 0 {
		months = 12
	}
	last, err := g.Store.LastTraining(ctx, who)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return g.refuse("no training is on record")
	case err != nil:
		return err
	}
	today := request.DateOf(at, time.UTC)
	until := request.DateOf(last.On.Start(time.UTC).AddDate(0, months, 0), time.UTC)
	switch {
	case last.On.After(today.AddDays(1)): // a day's grace for zones
		return g.refuse("the training on record is in the future")
	case today.After(until):
		return g.refuse("the training ran out on " + until.String())
	}
	return nil
}

func (g Gate) refuse(why string) error {
	if g.Untrained != nil {
		return fmt.Errorf("%s: %w: %w", why, ErrUntrained, g.Untrained)
	}
	return fmt.Errorf("%s: %w", why, ErrUntrained)
}
