package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// keptOf is how many records must stay.
func keptOf(counts []*habeasv1.StoreCount) (n int64) {
	for _, c := range counts {
		n += c.GetKeptCount()
	}
	return n
}

// checkLocateAgain shows that looking is only looking, store by store.
func (e *examiner) checkLocateAgain(ctx context.Context) error {
	o, err := e.locate(ctx, e.people.Person)
	if err != nil {
		return err
	}
	return e.wantSameCounts(o)
}

func (e *examiner) wantSameCounts(o *habeasv1.OutcomeRecord) error {
	have := o.GetOutcome().GetStores()
	if len(have) != len(e.located) {
		return fmt.Errorf("%d stores have records, and %d had at first", len(have), len(e.located))
	}
	for i, c := range e.located {
		if !proto.Equal(c, have[i]) {
			return fmt.Errorf("store %s: the counts are not those of the first time", c.GetStore())
		}
	}
	return nil
}

// together is how many jobs are sent at once.
const together = 4

// atOnce runs f several times at the same time.
func atOnce(f func() error) error {
	errs := make([]error, together)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = f() })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (e *examiner) checkLocateTogether(ctx context.Context) error {
	return atOnce(func() error {
		o, err := e.locate(ctx, e.people.Person)
		if err != nil {
			return err
		}
		return e.wantSameCounts(o)
	})
}

// checkEraseTogether erases again what is erased, several times at once. What
// was kept is kept still.
func (e *examiner) checkEraseTogether(ctx context.Context) error {
	if err := e.mayErase(); err != nil {
		return err
	}
	if !e.erased {
		return skip("the erasure before did not come to its end")
	}
	return atOnce(func() error {
		o, err := e.ask(ctx, habeasv1.Action_ACTION_ERASE, e.people.Person)
		if err != nil {
			return err
		}
		return wantOutcome(o, "no_match", "retained")
	})
}

// checkOptOut opts out twice: the second time finds the choice made.
func (e *examiner) checkOptOut(ctx context.Context) error {
	switch {
	case !e.can(habeasv1.Action_ACTION_OPT_OUT):
		return skip("the connector can't opt out")
	case !e.optOut:
		return skip("give --opt-out to have the person opted out")
	}
	for _, time := range []string{"first", "second"} {
		o, err := e.ask(ctx, habeasv1.Action_ACTION_OPT_OUT, e.people.Person)
		if err != nil {
			return fmt.Errorf("the %s time: %w", time, err)
		}
		if err := wantOutcome(o, "done"); err != nil {
			return fmt.Errorf("the %s time: %w", time, err)
		}
	}
	return nil
}

// crashOnceLocated kills the connector as soon as it has said what it located,
// and starts it again: whether it had erased by then or not, the answer must be
// the same. Without a process of ours nothing happens.
func (e *examiner) crashOnceLocated(ctx context.Context, j *habeasv1.Job) error {
	if e.crash == nil {
		return nil
	}
	for end := time.Now().Add(e.patience); ; {
		records, err := e.records(ctx, j.GetJobId())
		if err != nil {
			return err
		}
		if slices.ContainsFunc(records, func(r *wire.Record) bool { return r.Type == wire.RecordLocated }) {
			return e.crash(ctx)
		}
		if len(records) > 0 || time.Now().After(end) {
			return nil // the outcome came first, or nothing did: what follows says so
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}
