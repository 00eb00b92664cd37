package regimes

import (
	"fmt"
	"maps"
	"slices"

	"github.com/habeas-data/habeas/services/request"
)

// Fault is something a regime or calendar lacks, or soon will.
type Fault struct {
	Of      string // the regime or calendar
	Error   bool   // requests received that day have no rules; else a warning
	Problem string
	Fix     string
}

// String is the fault in one line.
func (f Fault) String() string {
	severity := "warning"
	if f.Error {
		severity = "error"
	}
	return fmt.Sprintf("%s: %s: %s. %s.", f.Of, severity, f.Problem, f.Fix)
}

// notice is how long before a calendar runs out somebody is told.
const notice = 2 // years

// Lint reports what the regimes in use lack for requests received on a day, in
// the order of their names.
func (s *Set) Lint(on request.Date) []Fault {
	var faults []Fault
	for _, id := range s.Regimes() {
		r := s.regimes[id]
		if !r.Confirmed {
			continue
		}
		rules, err := s.At(id, on)
		if err != nil {
			faults = append(faults, Fault{id, true, "it has no rules for " + on.String(), "Install a release that has them"})
			continue
		}
		faults = append(faults, rules.lint()...)
	}
	used := make(map[string]*Calendar)
	for _, r := range s.regimes {
		for _, c := range []*Calendar{r.due, r.alarm, r.roll} {
			if r.Confirmed && c != nil {
				used[c.ref.ID] = c
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		c := used[id]
		switch {
		case !c.covers(on):
			faults = append(faults, Fault{id, true, fmt.Sprintf("it has no data for %d", on.Year), "Install a release that has it"})
		case c.last < on.Year+notice:
			faults = append(faults, Fault{id, false, fmt.Sprintf("its data ends with %d", c.last), "Add the years after"})
		}
	}
	return faults
}

// lint reports which rights a regime gives without all that answering them
// takes.
func (r Rules) lint() []Fault {
	var faults []Fault
	fault := func(problem, fix string) {
		faults = append(faults, Fault{r.regime.ID, true, problem, fix})
	}
	for _, right := range r.Rights() {
		if _, err := r.Level(right); err != nil {
			fault(fmt.Sprintf("%s has no level", right), "Add it to levels")
		}
		if len(r.Denials(right)) == 0 {
			fault(fmt.Sprintf("%s can be refused for no reason that has words", right), "Add denials")
		}
		if right == request.Delete && r.regime.DeleteScope == nil {
			fault("what a deletion reaches is not said", "Add delete_scope")
		}
		if right == request.KnowSpecific && r.NeverDisclose() == nil {
			fault("what is never disclosed is not said", "Add never_disclose")
		}
	}
	return faults
}
