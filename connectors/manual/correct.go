package manual

import (
	"context"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// correction is a field to put right, with how it was last seen.
type correction struct {
	Field string `json:"field"`
	Value string `json:"value,omitempty"`
	// Held counts the records that have the field, and Wrong those of them with
	// another value than the right one.
	Held  int64 `json:"held,omitempty"`
	Wrong int64 `json:"wrong,omitempty"`
}

// Correct implements [sdk.Corrector].
func (o corrector) Correct(ctx context.Context, p sdk.Person, corrections []sdk.Correction) error {
	return o.c.correct(ctx, p, corrections)
}

// Corrected implements [sdk.CorrectionReader]. Before the act it is what people saw
// first, after it what they saw then.
func (o corrector) Corrected(ctx context.Context, p sdk.Person, corrections []sdk.Correction) (held, wrong int64, err error) {
	return o.c.corrected(ctx, p, corrections)
}

func (c *Connector) correct(ctx context.Context, p sdk.Person, corrections []sdk.Correction) error {
	_, err := c.ask(ctx, p, stepCorrect, func(t *task) bool {
		_, wrong := t.disputed()
		switch {
		case !t.Done.IsZero():
			return true
		case t.Righted && (wrong == 0 || !t.Taken):
			t.Taken = true // what is still wrong is for the runtime to judge, once
			if wrong == 0 {
				t.finish(c.now().UTC())
			}
			return true
		case t.Righted:
			t.Righted, t.Taken = false, false
			t.ask(stepCorrect)
		case t.Seen && wrong == 0: // all of it is right already
			t.finish(c.now().UTC())
			return true
		case (t.Looked || t.Seen) && t.Step != stepCorrect:
			t.ask(stepCorrect)
		}
		return false
	}, corrections...)
	return err
}

func (c *Connector) corrected(ctx context.Context, p sdk.Person, corrections []sdk.Correction) (held, wrong int64, err error) {
	t, err := c.ask(ctx, p, stepFields, func(t *task) bool {
		switch {
		case !t.Done.IsZero():
			return true
		case t.Seen:
			if held, _ := t.disputed(); held == 0 { // there is nothing to put right
				t.finish(c.now().UTC())
			}
			return true
		case t.Looked && t.Step == stepLook:
			t.ask(stepFields)
		}
		return false
	}, corrections...)
	if err != nil {
		return 0, 0, err
	}
	held, wrong = t.disputed()
	return held, wrong, nil
}

// learn takes in what is to be put right, which a task doesn't know at first.
func (t *task) learn(corrections []sdk.Correction) {
	if len(t.Corrections) > 0 || !t.Done.IsZero() {
		return
	}
	for _, c := range corrections {
		t.Corrections = append(t.Corrections, correction{Field: c.Field, Value: c.Value.Reveal()})
	}
}

// isRight reports whether an identifier is a right value itself: the runtime
// looks for the person by it too once she is known by it, and people see it among
// the corrections.
func (t *task) isRight(id identifier) bool {
	for _, c := range t.Corrections {
		if c.Field == id.Kind && strings.EqualFold(c.Value, id.Value) {
			return true
		}
	}
	return false
}

// disputed counts over all disputed fields.
func (t *task) disputed() (held, wrong int64) {
	for _, c := range t.Corrections {
		held, wrong = held+c.Held, wrong+c.Wrong
	}
	return held, wrong
}

// see takes in how the disputed fields stand: each of them, for one that nobody
// looked at is no answer.
func (t *task) see(rows []*habeasv1.TaskField) error {
	if len(rows) != len(t.Corrections) {
		return invalid("fields: want %d rows, one for each field, and not %d; say how many records have it also when none has", len(t.Corrections), len(rows))
	}
	for i, r := range rows {
		switch {
		case r.GetField() != t.Corrections[i].Field:
			return invalid("fields: row %d is not about the field that the task has there", i+1)
		case r.GetHeldCount() < 0 || r.GetWrongCount() < 0 || r.GetWrongCount() > r.GetHeldCount():
			return invalid("fields: row %d: want 0 or more, and no more that are wrong than have the field", i+1)
		}
	}
	for i, r := range rows {
		t.Corrections[i].Held, t.Corrections[i].Wrong = r.GetHeldCount(), r.GetWrongCount()
	}
	return nil
}

// fieldMessages tell how the fields stand, without the right values.
func fieldMessages(corrections []correction) []*habeasv1.TaskField {
	var out []*habeasv1.TaskField
	for _, c := range corrections {
		out = append(out, &habeasv1.TaskField{Field: c.Field, HeldCount: c.Held, WrongCount: c.Wrong})
	}
	return out
}

func correctionMessages(corrections []correction) []*habeasv1.Correction {
	var out []*habeasv1.Correction
	for _, c := range corrections {
		out = append(out, &habeasv1.Correction{Field: c.Field, Value: c.Value})
	}
	return out
}
