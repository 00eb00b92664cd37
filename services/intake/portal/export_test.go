package portal

import "github.com/habeas-data/habeas/services/request"

// FieldForTest is a field as a test plants it.
type FieldForTest struct{ Name, Label, Necessity string }

// FormForTest is a form as a test plants it.
type FormForTest struct {
	Right          request.Right
	Fields, Points []FieldForTest
}

// CheckForTest checks a planted form.
func CheckForTest(f FormForTest) error {
	fields := func(list []FieldForTest) (out []field) {
		for _, x := range list {
			out = append(out, field{Name: x.Name, Label: x.Label, Necessity: x.Necessity})
		}
		return out
	}
	return form{Right: f.Right, Fields: fields(f.Fields), Points: fields(f.Points)}.Check()
}
