package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

func doneOutcome(stores []*habeasv1.StoreCount) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: stores}
}

func noMatchOutcome(stores []*habeasv1.StoreCount) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}, Stores: stores}
}

// locate looks once, with repetitions, and keeps what it saw in the task.
func (w *worker) locate(ctx context.Context, t *task) (census, error) {
	ctx, end := w.telemetry.span(ctx, "locate")
	defer end()
	var found []Found
	err := w.try(ctx, func(ctx context.Context) (err error) {
		if t.cohort != nil {
			found, err = t.cohort.locate(ctx, t.person)
			return err
		}
		return w.call(ctx, func(ctx context.Context) (err error) {
			found, err = w.Connector.Locate(ctx, t.person)
			return err
		})
	})
	if err != nil {
		return census{}, err
	}
	return newCensus(w.Manifest, found, t.job.GetExcluded())
}

func (w *worker) doLocate(ctx context.Context, t *task) (*habeasv1.Outcome, error) {
	seen, err := w.locate(ctx, t)
	if err != nil {
		return nil, err
	}
	if seen.all == 0 {
		return noMatchOutcome(seen.counts(nil)), nil
	}
	return doneOutcome(seen.counts(nil)), nil
}

// doErase locates, erases and locates again. What was located first is durable
// here and on the bus before the first erasure, so that no crash between the
// act and the report can turn "erased" into "never held".
func (w *worker) doErase(ctx context.Context, t *task, e Eraser) (*habeasv1.Outcome, error) {
	if err := w.recall(ctx, t); err != nil {
		return nil, err
	}
	before, err := w.locate(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.prior == nil && before.all == 0 {
		return t.nothingThere(before.counts(nil)), nil
	}
	t.seen = before.counts(t.prior)
	if o := w.overLimit(t, before.all); o != nil {
		return o, nil
	}
	if o := w.takenBack(t); o != nil {
		return o, nil
	}
	if t.prior == nil {
		if err := w.remember(ctx, t, before); err != nil {
			return nil, err
		}
	}
	if err := w.erase(ctx, t, e); err != nil {
		return nil, err
	}
	return w.verify(ctx, t)
}

// overLimit answers when more is found than one person may plausibly have. Nothing
// is done to it.
func (w *worker) overLimit(t *task, matched int64) *habeasv1.Outcome {
	limit := w.Cap
	if override := t.job.GetCapOverride(); override > 0 {
		limit = override
	}
	if limit <= 0 || matched <= limit {
		return nil
	}
	return &habeasv1.Outcome{
		Result: &habeasv1.Outcome_OverLimit{OverLimit: &habeasv1.OverLimit{MatchedCount: matched, Cap: limit}}, Stores: t.seen,
	}
}

// nothingThere answers when nothing is found and nothing is known to have been
// done. Where somebody located records earlier, in a way that can't be checked any
// more, "never held" could be untrue, and so could "erased".
func (t *task) nothingThere(counts []*habeasv1.StoreCount) *habeasv1.Outcome {
	if !t.unproven {
		return noMatchOutcome(counts)
	}
	return &habeasv1.Outcome{
		Result: &habeasv1.Outcome_Partial{Partial: &habeasv1.Partial{Reason: "nothing is found now; an earlier attempt located records, and what became of them can't be told since the connector's evidence key was replaced"}},
		Stores: counts,
	}
}

func (w *worker) erase(ctx context.Context, t *task, e Eraser) error {
	ctx, end := w.telemetry.span(ctx, "act")
	defer end()
	return w.try(ctx, func(ctx context.Context) error {
		if t.cohort != nil && t.cohort.erases() {
			return t.cohort.erase(ctx, t.person)
		}
		return w.call(ctx, func(ctx context.Context) error { return e.Erase(ctx, t.person) })
	})
}

// longestSettle is how long a job is kept in hand for the system to settle;
// longer waits are outcomes: deferred.
const longestSettle = 30 * time.Second

// verify looks until nothing is left that may go, or the settling time is
// over.
func (w *worker) verify(ctx context.Context, t *task) (*habeasv1.Outcome, error) {
	ctx, end := w.telemetry.span(ctx, "verify")
	defer end()
	settled := time.Now().Add(w.Manifest.Settle)
	if w.Manifest.Settle > longestSettle {
		settled = time.Now() // look once, and leave the waiting to the coordinator
	}
	pause := newPause()
	for {
		after, err := w.locate(ctx, t)
		if err != nil {
			return nil, err
		}
		t.seen = after.counts(t.prior)
		if after.remaining() == 0 {
			treated(w.Manifest, t.seen, t.person.removed)
			w.telemetry.erased(ctx, t.seen)
			return erasedOutcome(t.seen), nil
		}
		left := time.Until(settled)
		if left <= 0 {
			return w.unsettled(t)
		}
		if !sleep(ctx, min(pause.NextBackOff(), left)) {
			return nil, ctx.Err()
		}
	}
}

// unsettled answers for a system that still shows what was erased: ask again
// when it has had its time, or, when it has, a failure.
func (w *worker) unsettled(t *task) (*habeasv1.Outcome, error) {
	if w.Manifest.Settle > longestSettle {
		acted, err := w.journal.acted(t.job.GetJobId())
		if err != nil {
			return nil, WithCode(Internal, err)
		}
		if settled := acted.Add(w.Manifest.Settle); time.Now().Before(settled) {
			return w.deferredOutcome(t, settled, "settling"), nil
		}
	}
	o := failedOutcome(string(StillThere), false, "the erasure succeeded and the records are still found")
	o.Stores = t.seen
	return o, nil
}

// erasedOutcome is done, or retained with the basis that lasts longest.
func erasedOutcome(stores []*habeasv1.StoreCount) *habeasv1.Outcome {
	var last *habeasv1.StoreCount
	for _, s := range stores {
		if s.GetKeptCount() > 0 && (last == nil || s.GetUntilTime().AsTime().After(last.GetUntilTime().AsTime())) {
			last = s
		}
	}
	if last == nil {
		return doneOutcome(stores)
	}
	return &habeasv1.Outcome{
		Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: last.GetBasis(), UntilTime: last.GetUntilTime()}},
		Stores: stores,
	}
}

// recall finds what an earlier attempt located: in our journal, or in the job.
// A record from the journal is published again, because the bus may never have
// had it, or may have lost it; the same bytes are the same record.
func (w *worker) recall(ctx context.Context, t *task) error {
	envelope, err := w.journal.located(t.job.GetJobId(), t.again)
	if err != nil {
		return WithCode(Internal, err)
	}
	journaled := envelope != nil
	if !journaled {
		envelope = t.job.GetPriorLocated()
	}
	if len(envelope) == 0 {
		return nil
	}
	r, err := wire.ParseRecord(envelope)
	if err == nil && !journaled {
		// Our own disk is believed, whatever key we had then: it holds our keys too.
		err = r.Verify(w.signerKey())
	}
	if err != nil {
		// A record we can't check proves nothing that we could repeat, and yet
		// somebody may have acted.
		t.unproven = true
		w.Logger.Warn("an earlier located record can't be checked", "job", t.job.GetJobId(), "error", err)
		return nil
	}
	located, ok := r.Predicate.(*habeasv1.LocatedRecord)
	if !ok || located.GetJobId() != t.job.GetJobId() || r.Issuer() != w.Manifest.Name {
		w.Logger.Warn("ignoring a record that is no located record of this job", "job", t.job.GetJobId())
		return nil
	}
	t.prior = located
	if journaled {
		return w.publish(ctx, wire.RecordMessage(r))
	}
	return nil
}

// remember makes what was located durable, in the journal and on the bus.
func (w *worker) remember(ctx context.Context, t *task, before census) error {
	j := t.job
	located := &habeasv1.LocatedRecord{
		RequestId: j.GetRequestId(), JobId: j.GetJobId(), Action: j.GetAction(), Attempt: j.GetAttempt(),
		Stores: before.located(), SubjectCommitment: j.GetSubjectCommitment(), PlanDigest: j.GetPlanDigest(),
	}
	r, err := w.sign(t, located)
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- w.journal.write(entryLocated, j.GetJobId(), r.Envelope) }()
	err = w.publish(ctx, wire.RecordMessage(r))
	if failed := <-written; failed != nil {
		err = errors.Join(err, WithCode(Internal, failed))
	}
	t.prior = located
	return err
}

func (w *worker) doOptIn(ctx context.Context, t *task, r Resumer) (*habeasv1.Outcome, error) {
	return w.choose(ctx, t, r.OptIn, w.lifted(r.OptedOut), "the opt-in succeeded and the opt-out is still in force")
}

func (w *worker) doLiftLimit(ctx context.Context, t *task, l LimitLifter) (*habeasv1.Outcome, error) {
	return w.choose(ctx, t, l.LiftLimit, w.lifted(l.LimitedSPI), "the limit was taken back and is still in force")
}

// lifted asks whether a choice was taken back: it is in force when it is for every
// identifier, and lifted when it is for none.
func (w *worker) lifted(inForce func(context.Context, Person) (bool, error)) func(context.Context, Person) (bool, error) {
	return func(ctx context.Context, p Person) (bool, error) {
		for _, id := range p.Only(w.Manifest.Accepts...).Identifiers() {
			if in, err := inForce(ctx, NewPerson(id)); err != nil || in {
				return false, err
			}
		}
		return true, nil
	}
}

func (w *worker) doLimit(ctx context.Context, t *task, l Limiter) (*habeasv1.Outcome, error) {
	return w.choose(ctx, t, l.LimitSPI, l.LimitedSPI, "the limit succeeded and is not in force")
}

// choose puts a person's choice in force and looks until it is.
func (w *worker) choose(ctx context.Context, t *task, set func(context.Context, Person) error, inForce func(context.Context, Person) (bool, error), otherwise string) (*habeasv1.Outcome, error) {
	err := func() error {
		ctx, end := w.telemetry.span(ctx, "act")
		defer end()
		return w.try(ctx, func(ctx context.Context) error {
			return w.call(ctx, func(ctx context.Context) error { return set(ctx, t.person) })
		})
	}()
	if err != nil {
		return nil, err
	}
	ctx, end := w.telemetry.span(ctx, "verify")
	defer end()
	settled := time.Now().Add(min(w.Manifest.Settle, longestSettle))
	pause := newPause()
	for {
		var out bool
		err := w.try(ctx, func(ctx context.Context) error {
			return w.call(ctx, func(ctx context.Context) (err error) {
				out, err = inForce(ctx, t.person)
				return err
			})
		})
		if err != nil {
			return nil, err
		}
		if out {
			return doneOutcome(nil), nil
		}
		left := time.Until(settled)
		if left <= 0 {
			return failedOutcome(string(StillThere), false, otherwise), nil
		}
		if !sleep(ctx, min(pause.NextBackOff(), left)) {
			return nil, ctx.Err()
		}
	}
}

// doResolve publishes what was resolved, sealed to whoever sealed the job,
// before it says so.
func (w *worker) doResolve(ctx context.Context, t *task, r Resolver) (*habeasv1.Outcome, error) {
	ctx, end := w.telemetry.span(ctx, "act")
	defer end()
	var ids []Identifier
	err := w.try(ctx, func(ctx context.Context) error {
		return w.call(ctx, func(ctx context.Context) (err error) {
			ids, err = r.Resolve(ctx, t.person)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return noMatchOutcome(nil), nil
	}
	subject := &habeasv1.Subject{JobId: t.job.GetJobId()}
	for _, id := range NewPerson(ids...).Only(w.Manifest.Yields...).Identifiers() {
		subject.Identifiers = append(subject.Identifiers, &habeasv1.Identifier{Kind: string(id.Kind), Value: id.Value.Reveal()})
	}
	sealed, err := w.Keys.Seal.SealSubject(subject, t.job.GetSealerKey())
	if err != nil {
		return nil, WithCode(Internal, Permanent(err))
	}
	msg, err := wire.DiscoveredMessage(&habeasv1.Discovered{
		JobId: t.job.GetJobId(), RequestId: t.job.GetRequestId(), Connector: w.Manifest.Name,
		SealedSubject: sealed, SealerKey: w.Keys.Seal.Public(),
	})
	if err != nil {
		return nil, WithCode(Internal, Permanent(fmt.Errorf("telling what was resolved: %w", err)))
	}
	if err := w.publish(ctx, msg); err != nil {
		return nil, err
	}
	return doneOutcome(nil), nil
}
