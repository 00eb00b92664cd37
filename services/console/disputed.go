package console

import (
	"net/url"
	"strconv"
	"strings"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// disputedField is a field to put right, its right value while the task is open,
// and what the form says of it.
type disputedField struct {
	Name, Field string
	Right       string
	Before      string // how many had another value, for the second look
	Held, Wrong string
}

// disputedFields pairs the fields of a task with their right values, which a task
// that is done has forgotten.
func disputedFields(t *habeasv1.Task, corrections []*habeasv1.Correction, typed url.Values) []disputedField {
	var out []disputedField
	for i, f := range t.GetFields() {
		field := strconv.Itoa(i)
		d := disputedField{Name: f.GetField(), Field: field, Held: typed.Get("held-" + field), Wrong: typed.Get("wrong-" + field)}
		if i < len(corrections) && corrections[i].GetField() == f.GetField() {
			d.Right = corrections[i].GetValue()
		}
		if t.GetStep() == "correct" {
			d.Before = number(f.GetWrongCount()) + " of " + number(f.GetHeldCount())
		}
		out = append(out, d)
	}
	return out
}

// fieldsOf reads the form of an answer about disputed fields.
func fieldsOf(form url.Values) (result *habeasv1.TaskResult, problem string) {
	result = &habeasv1.TaskResult{}
	for i := range mostStores {
		field := strconv.Itoa(i)
		if !form.Has("field-" + field) {
			break
		}
		f := &habeasv1.TaskField{Field: form.Get("field-" + field)}
		var err error
		if f.HeldCount, err = strconv.ParseInt(strings.TrimSpace(form.Get("held-"+field)), 10, 64); err != nil {
			return nil, "Say how many records have " + f.GetField() + ", also when none has."
		}
		if f.WrongCount, err = strconv.ParseInt(strings.TrimSpace(form.Get("wrong-"+field)), 10, 64); err != nil {
			return nil, "Say in how many records " + f.GetField() + " has another value than the right one, also when in none."
		}
		result.Fields = append(result.Fields, f)
	}
	return result, ""
}
