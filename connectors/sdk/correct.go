package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// doCorrect locates, corrects and reads back. What was located is durable
// before the act: the person may be known by the very field that is corrected,
// and not be found by the old value any more.
func (w *worker) doCorrect(ctx context.Context, t *task, c Corrector) (*habeasv1.Outcome, error) {
	if len(t.corrections) == 0 {
		return failedOutcome(codeMalformed, true, "job: the sealed subject has no corrections"), nil
	}
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
	t.seen = found(before.counts(t.prior))
	if o := w.overLimit(t, before.all); o != nil {
		return o, nil
	}
	if o := w.takenBack(t); o != nil {
		return o, nil
	}
	if t.prior == nil {
		held, _, err := w.look(ctx, t, c)
		if err != nil {
			return nil, err
		}
		if held == 0 { // nothing of these fields is held: there is nothing to put right
			return w.nothingHeld(ctx, t, t.person)
		}
		if err := w.remember(ctx, t, before); err != nil {
			return nil, err
		}
	}
	if err := w.correct(ctx, t, c); err != nil {
		return nil, err
	}
	return w.readBack(ctx, t, c)
}

func (w *worker) correct(ctx context.Context, t *task, c Corrector) error {
	ctx, end := w.telemetry.span(ctx, "act")
	defer end()
	return w.try(ctx, func(ctx context.Context) error {
		return w.call(ctx, func(ctx context.Context) error { return c.Correct(ctx, t.person, t.corrections) })
	})
}

// found is the counts of an outcome that erased nothing: only what was located.
func found(counts []*habeasv1.StoreCount) []*habeasv1.StoreCount {
	for _, c := range counts {
		c.RemainingCount, c.KeptCount, c.Basis, c.UntilTime = 0, 0, "", nil
	}
	return counts
}

// readBack looks until every field that is held has its right value, or the
// settling time is over. A system that holds none of the fields had nothing to
// correct, which is no_match and not done.
func (w *worker) readBack(ctx context.Context, t *task, c Corrector) (*habeasv1.Outcome, error) {
	ctx, end := w.telemetry.span(ctx, "verify")
	defer end()
	settled := time.Now().Add(min(w.Manifest.Settle, longestSettle))
	pause := newPause()
	for {
		held, wrong, err := w.look(ctx, t, c)
		switch {
		case err != nil:
			return nil, err
		case wrong == 0 && held > 0:
			return doneOutcome(t.seen), nil
		case wrong == 0:
			return w.nothingHeld(ctx, t, t.asCorrected(w.Manifest))
		}
		left := time.Until(settled)
		if left <= 0 {
			o := failedOutcome(string(StillThere), false, "the correction succeeded and "+strconv.FormatInt(wrong, 10)+" fields still have another value")
			o.Stores = t.seen
			return o, nil
		}
		if !sleep(ctx, min(pause.NextBackOff(), left)) {
			return nil, ctx.Err()
		}
	}
}

// look counts the fields in dispute that the system holds, and those that are
// not right.
func (w *worker) look(ctx context.Context, t *task, c Corrector) (held, wrong int64, err error) {
	person := t.asCorrected(w.Manifest)
	err = w.try(ctx, func(ctx context.Context) error {
		return w.call(ctx, func(ctx context.Context) (err error) {
			held, wrong, err = correctedIn(ctx, c, person, t.corrections)
			return err
		})
	})
	return held, wrong, err
}

// nothingHeld answers when none of the fields is held: there was nothing to
// correct, if the records that were located are still there to be read. If they
// are not, nothing is known.
func (w *worker) nothingHeld(ctx context.Context, t *task, person Person) (*habeasv1.Outcome, error) {
	look := *t
	look.person = person
	after, err := w.locate(ctx, &look)
	if err != nil {
		return nil, err
	}
	if after.all == 0 {
		o := failedOutcome(string(StillThere), false, "the records that were to be corrected are not found any more, so that the correction can't be read back")
		o.Stores = t.seen
		return o, nil
	}
	for _, s := range t.seen {
		s.LocatedCount = 0 // of these fields nothing is held
	}
	return noMatchOutcome(t.seen), nil
}

// asCorrected is the person with the right values as identifiers too, where a
// disputed field is one the system finds people by.
func (t *task) asCorrected(m Manifest) Person {
	p := t.person
	for _, c := range t.corrections {
		if slices.Contains(m.Accepts, Kind(c.Field)) {
			value := c.Value.Reveal()
			p = p.With(ID(Kind(c.Field), value), ID(Kind(c.Field), strings.ToLower(value)))
		}
	}
	return p
}

// correctedIn counts the corrected fields that a system holds and those with
// another value, by the connector's own look or by an export.
func correctedIn(ctx context.Context, c Corrector, p Person, corrections []Correction) (held, wrong int64, err error) {
	if r, ok := c.(CorrectionReader); ok {
		return r.Corrected(ctx, p, corrections)
	}
	e, ok := c.(Exporter)
	if !ok {
		return 0, 0, WithCode(Internal, Permanent(errors.New("what was corrected can't be read back")))
	}
	reader := &correctionReader{corrections: corrections}
	if err := e.Export(ctx, p, reader); err != nil {
		return 0, 0, fmt.Errorf("reading corrections back: %w", err)
	}
	return reader.held, reader.wrong, nil
}

// correctionReader takes the records of an export and keeps nothing of them but
// how many corrected fields there were and how many are wrong.
type correctionReader struct {
	corrections []Correction
	held, wrong int64
}

// Write implements [RecordWriter].
func (r *correctionReader) Write(_ context.Context, rec Record) error {
	for _, f := range rec.Fields {
		for _, c := range r.corrections {
			if c.Field != f.Name && c.Field != rec.Store+"."+f.Name {
				continue
			}
			r.held++
			if !sameValue(f.Value, c.Value.Reveal()) {
				r.wrong++
			}
		}
	}
	return nil
}

// sameValue compares an exported value with the text of a right one. What is
// withheld from an export can't be seen to be right, and is not.
func sameValue(have any, want string) bool {
	switch v := have.(type) {
	case nil:
		return want == ""
	case string:
		return v == want
	case time.Time:
		return v.Format(time.RFC3339) == want || v.Format(time.RFC3339Nano) == want || v.Format(time.DateOnly) == want
	case Withheld, Document:
		return false
	case json.RawMessage:
		var text string
		return string(v) == want || json.Unmarshal(v, &text) == nil && text == want
	default:
		return fmt.Sprint(v) == want
	}
}
