package restspec

import (
	"context"
	"fmt"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// team is the runs of one operation for one person or for a batch of them.
// They go through the steps side by side, so that a step which takes many
// people is one request for all. What fails for one does not stop the others.
type team struct {
	e    *engine
	runs []*run
	errs []error // by run; nil while it goes on
}

// newTeam makes the runs for people. In a batch each has its own job.
func (e *engine) newTeam(ctx context.Context, people []sdk.Person) *team {
	info := sdk.JobInfoFrom(ctx)
	tm := &team{e: e, errs: make([]error, len(people))}
	for i, p := range people {
		own := info
		if i < len(info.Members) {
			own = info.Members[i]
		}
		tm.runs = append(tm.runs, e.newRun(p, own))
	}
	return tm
}

// live are the numbers of the runs that go on.
func (tm *team) live() []int {
	var live []int
	for i, err := range tm.errs {
		if err == nil {
			live = append(live, i)
		}
	}
	return live
}

// fail ends run i with the graver of two errors: what has to be looked at by a
// person, before what may pass, before what is not finished yet.
func (tm *team) fail(i int, err error) {
	if err != nil && (tm.errs[i] == nil || grave(err) > grave(tm.errs[i])) {
		tm.errs[i] = err
	}
}

func grave(err error) int {
	_, notYet := sdk.AsNotYet(err)
	switch {
	case sdk.IsPermanent(err):
		return 2
	case notYet:
		return 0
	}
	return 1
}

// act runs the steps of an operation that changes something. A step begins
// when the one before it is finished for every record, because the later ones
// often take away what the earlier ones are found by.
func (tm *team) act(ctx context.Context, op string) {
	for _, r := range tm.runs {
		r.acting = true
	}
	for _, s := range tm.e.prog.ops[op] {
		switch {
		case s.reads():
			tm.read(ctx, s)
		case s.batch != nil:
			tm.actBatch(ctx, op, s)
		default:
			for _, i := range tm.live() {
				if err := tm.runs[i].actStep(ctx, op, s); err != nil {
					tm.fail(i, fmt.Errorf("step %s: %w", s.name, err))
				}
			}
		}
	}
}

// read runs one reading step for all.
func (tm *team) read(ctx context.Context, s *step) {
	if s.batch != nil {
		tm.readBatch(ctx, s)
		return
	}
	for _, i := range tm.live() {
		tm.fail(i, tm.runs[i].readStep(ctx, s))
	}
}

// settle remembers that op is done for the identifiers which assumed steps run
// over: the system itself will not say so.
func (tm *team) settle(op string, steps []*step) {
	for _, i := range tm.live() {
		r := tm.runs[i]
		for _, s := range steps {
			if s.assumed == "" {
				continue
			}
			for _, t := range r.targets(s) {
				if done, err := r.settled(op, t); err != nil || done {
					tm.fail(i, err)
					continue
				}
				if err := tm.e.ledger.mark(op, sdk.ID(t.kind, t.value), r.began); err != nil {
					tm.fail(i, sdk.WithCode(sdk.Internal, err))
				}
			}
		}
	}
}
