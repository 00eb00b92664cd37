package console

import (
	"slices"
	"strings"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// lane is one system in the picture of where a request went.
type lane struct {
	Job               request.ID
	Connector, Action string
	State             word
	Steps             []laneStep
	// Tries is how often it was sent, when that was more than once.
	Tries string
	// Counts are what was located, and what became of it.
	Counts []laneCount
	// Kept says on what basis something is kept.
	Kept string
}

// laneStep is one stage of a lane: done, now, bad or todo.
type laneStep struct{ Label, Mark, Said string }

type laneCount struct{ Label, N string }

var stepNames = []string{"Planned", "Sent", "Located", "Answered"}

// fanOf draws a request's jobs; those that were asked again are left out.
func fanOf(jobs []store.Job) []lane {
	var out []lane
	for i := range jobs {
		if !askedAgain(jobs, i) {
			out = append(out, laneOf(&jobs[i]))
		}
	}
	return out
}

func laneOf(j *store.Job) lane {
	l := lane{Job: j.ID, Connector: j.Connector, Action: label(actionLabels, j.Action), State: inWords(jobWords, j.State)}
	if j.Attempt > 1 {
		l.Tries = tries(j.Attempt)
	}
	reached := 0 // the stage that it is in
	switch {
	case j.State.Terminal():
		reached = 3
	case len(j.Located) > 0:
		reached = 2
	case j.State == request.JobSent || j.State == request.JobDeferred:
		reached = 1
	}
	looked := len(j.Located) > 0 || len(outcomeOf(j.Outcome).GetStores()) > 0 || j.State.Success()
	for i, name := range stepNames {
		s := laneStep{Label: name, Mark: "todo", Said: "to come"}
		switch {
		case name == "Located" && j.State.Terminal() && !looked:
			s.Said = "not reached"
		case i < reached || i == reached && j.State.Success():
			s.Mark, s.Said = "done", "done"
		case i == reached && j.State.Terminal():
			s.Mark, s.Said = "bad", "not well"
		case i == reached:
			s.Mark, s.Said = "now", "now"
		}
		l.Steps = append(l.Steps, s)
	}
	l.count(j)
	return l
}

// count adds up what was seen in the stores. Before the act nothing is said of
// what became of it.
func (l *lane) count(j *store.Job) {
	said, before := j.Outcome, false
	if len(said) == 0 {
		said, before = j.Located, true
	}
	o := outcomeOf(said)
	if o == nil || len(o.GetStores()) == 0 {
		return
	}
	var all habeasv1.StoreCount
	var reasons []string
	for _, s := range o.GetStores() {
		addUp(&all, s)
		if why := reasonOf(s); why != "" && !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	l.Counts = []laneCount{{"located", number(all.GetLocatedCount())}}
	if before {
		return
	}
	switch j.Action {
	case request.ActionErase:
		l.Counts = append(l.Counts, laneCount{"erased", number(max(wire.Removed(&all), 0))}, laneCount{"left", number(all.GetRemainingCount())})
	case request.ActionOptOut:
		if all.GetStandingCount()+all.GetAnewCount() == 0 {
			l.Counts = append(l.Counts, laneCount{"changed", number(max(wire.Removed(&all), 0))}, laneCount{"left", number(all.GetRemainingCount())})
		}
	case request.ActionExport:
		l.Counts = append(l.Counts, laneCount{"copied", number(all.GetExportedCount())})
	}
	l.Counts = append(l.Counts, treatments(&all)...)
	if kept := all.GetKeptCount(); kept > 0 {
		l.Counts = append(l.Counts, laneCount{"kept by law", number(kept)})
		l.Kept = strings.Join(reasons, "; ")
	}
}

// addUp adds the counts of a store to those of all.
func addUp(all, s *habeasv1.StoreCount) {
	all.LocatedCount += s.GetLocatedCount()
	all.RemainingCount += s.GetRemainingCount()
	all.KeptCount += s.GetKeptCount()
	all.ExportedCount += s.GetExportedCount()
	all.DeidentifiedCount += s.GetDeidentifiedCount()
	all.EmptiedCount += s.GetEmptiedCount()
	all.MaskedCount += s.GetMaskedCount()
	all.StandingCount += s.GetStandingCount()
	all.AnewCount += s.GetAnewCount()
}

func reasonOf(s *habeasv1.StoreCount) string {
	if s.GetKeptCount() == 0 {
		return ""
	}
	why := plain(s.GetBasis())
	if t := s.GetUntilTime(); t != nil {
		why += " until " + momentOf(t.AsTime()).Day
	}
	return why
}
