package sdk_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// links is a book that counts how far an opt-out is in force: one record when the
// choice is, and those that were linked since when it is not for them.
type links struct {
	*book
	since  atomic.Int64 // records linked since
	lost   atomic.Bool  // the next opt-out works, and its answer is lost
	silent atomic.Bool  // it can't be asked before
}

func (l *links) OptOut(ctx context.Context, p sdk.Person) error {
	if err := l.book.OptOut(ctx, p); err != nil {
		return err
	}
	l.since.Store(0)
	if l.lost.CompareAndSwap(true, false) {
		return sdk.NotYet(time.Millisecond, nil)
	}
	return nil
}

func (l *links) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	if l.silent.CompareAndSwap(true, false) {
		return false, errors.New("asked too soon")
	}
	out, err := l.book.OptedOut(ctx, p)
	return out && l.since.Load() == 0, err
}

func (l *links) OptOutStanding(ctx context.Context, p sdk.Person) ([]sdk.Standing, error) {
	out, err := l.book.OptedOut(ctx, p)
	if err != nil || !out {
		return []sdk.Standing{{Store: "contacts", Open: 1 + l.since.Load()}}, err
	}
	return []sdk.Standing{{Store: "contacts", InForce: 1, Open: l.since.Load()}}, nil
}

// The outcome of an opt-out says whether the choice was in force before it was made
// again, and in how many records; a job that is done twice says what the first
// attempt saw; and where it can't be told, the choice is made all the same.
func TestOptOutSaysWhetherItStood_OO5(t *testing.T) {
	b := &links{book: newBook().put(ann, "contacts", 1)}
	r := newRig(t, b.book)
	r.cfg.Connector = b
	r.start()
	ask := func(id string, attempt int32) *habeasv1.Outcome {
		j := r.job(id, habeasv1.Action_ACTION_OPT_OUT, sdk.ID(sdk.Email, ann))
		j.Attempt = attempt
		return r.do(j)
	}
	check := func(what string, o *habeasv1.Outcome, standing habeasv1.Standing, stood, anew int64) {
		t.Helper()
		s := counts(o, "contacts")
		if o.GetDone() == nil || o.GetStanding() != standing || s.GetStandingCount() != stood || s.GetAnewCount() != anew || s.GetLocatedCount() != stood+anew {
			t.Errorf("%s: %v", what, o)
		}
	}
	b.lost.Store(true)
	check("the first, done twice", ask("first", 1), habeasv1.Standing_STANDING_ANEW, 0, 1)
	check("the same again", ask("second", 1), habeasv1.Standing_STANDING_ALREADY, 1, 0)
	b.since.Store(2)
	check("with two records linked since", ask("third", 1), habeasv1.Standing_STANDING_ANEW, 1, 2)
	b.since.Store(1)
	check("after an attempt elsewhere", ask("fourth", 2), habeasv1.Standing_STANDING_UNSPECIFIED, 0, 0)
	b.since.Store(1)
	b.silent.Store(true)
	check("when it can't be asked", ask("fifth", 1), habeasv1.Standing_STANDING_UNSPECIFIED, 0, 0)
	if b.since.Load() != 0 {
		t.Error("the opt-out was not made where it can't be told whether it stood")
	}
	r.wantNoTrace(ann)
}
