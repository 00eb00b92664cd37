package console

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// jobView is one connector's part of a request.
type jobView struct {
	ID                 request.ID
	Connector, Version string
	Action             string
	State              word
	Attempt            int
	Kinds              string
	Code, Message      string
	// Waits says what the job waits for, and Next when it is looked at again.
	Waits  string
	Next   moment
	Sent   moment
	Stores []storeView
	// Before says that the counts are from before the act: what is left is not
	// known yet.
	Before bool
	// Copied and Left say which columns mean something for the action.
	Copied, Left bool
	Retry        bool
}

// storeView is what was seen in one store.
type storeView struct {
	Store, Category, Located, Copied, Remaining, Kept, Basis string
	Withheld                                                 string
}

func jobViewOf(r *store.Request, j *store.Job, now time.Time) jobView {
	v := jobView{
		ID: j.ID, Connector: j.Connector, Version: j.ConnectorVersion, Action: label(actionLabels, j.Action), State: inWords(jobWords, j.State),
		Attempt: j.Attempt, Kinds: strings.Join(j.Kinds, ", "), Code: j.Code, Message: j.Message,
		Sent: momentOf(j.SentAt), Retry: retriable(r.Request, j),
		Copied: j.Action == request.ActionExport, Left: j.Action == request.ActionErase || j.Action == request.ActionOptOut,
	}
	v.Waits = waits(j, now)
	if j.Code == store.CodePaused {
		v.Code, v.Message = "", "" // the line above says it
	}
	if j.State == request.JobRetained || j.Code == string(j.State) {
		v.Code = "" // the state and the stores say it
	}
	if j.State == request.JobPlanned || j.State == request.JobDeferred {
		v.Next = momentOf(j.NextAt)
	}
	said := j.Outcome
	if len(said) == 0 {
		said, v.Before = j.Located, true
	}
	o := outcomeOf(said)
	if o == nil {
		return v
	}
	if extra := explain(o); extra != "" && v.Message == "" {
		v.Message = extra
	}
	withheld := make(map[string]string)
	for _, p := range o.GetParts() {
		withheld[p.GetStore()] = strings.Join(p.GetWithheld(), ", ")
	}
	for _, s := range o.GetStores() {
		v.Stores = append(v.Stores, storeViewOf(s, &v, withheld[s.GetStore()]))
	}
	return v
}

// storeViewOf leaves out what a count does not tell: before the act, what is
// left; without a copy, what was copied.
func storeViewOf(s *habeasv1.StoreCount, v *jobView, withheld string) storeView {
	const unknown = "–"
	out := storeView{
		Store: s.GetStore(), Category: s.GetCategory(), Located: number(s.GetLocatedCount()), Copied: unknown, Remaining: unknown,
		Kept: number(s.GetKeptCount()), Basis: s.GetBasis(), Withheld: withheld,
	}
	if !v.Before {
		out.Copied = number(s.GetExportedCount())
		out.Remaining = number(s.GetRemainingCount())
	}
	if t := s.GetUntilTime(); t != nil {
		out.Basis += ", until " + t.AsTime().Format(time.DateOnly)
	}
	for _, c := range treatments(s) {
		if out.Basis != "" {
			out.Basis += "; "
		}
		out.Basis += c.N + " " + c.Label
	}
	return out
}

// treatments are what became of records that were not removed, and whether a
// person's choice was in force before.
func treatments(s *habeasv1.StoreCount) []laneCount {
	var out []laneCount
	for _, c := range []struct {
		n    int64
		what string
	}{
		{s.GetDeidentifiedCount(), "deidentified, not erased"}, {s.GetEmptiedCount(), "emptied, not removed"}, {s.GetMaskedCount(), "masked, not removed"},
		{s.GetStandingCount(), "in force already"}, {s.GetAnewCount(), "put in force anew"},
	} {
		if c.n > 0 {
			out = append(out, laneCount{c.what, number(c.n)})
		}
	}
	return out
}

func waits(j *store.Job, now time.Time) string {
	if j.Code == store.CodePaused && !j.State.Terminal() {
		return "Waits because the connector " + j.Connector + " is paused"
	}
	switch j.State {
	case request.JobPlanned:
		if j.NextAt.After(now) {
			return "Waits for another system first; looked at again"
		}
		return "About to be sent"
	case request.JobSent:
		if len(j.Outcome) > 0 {
			return "Waits for the identifiers that were found"
		}
		if len(j.Located) > 0 {
			return "Has looked and is acting"
		}
		return "Waits for " + j.Connector
	case request.JobDeferred:
		return "Next try"
	default:
		return ""
	}
}

// outcomeOf reads what a connector said; nil when it said nothing that can be
// read.
func outcomeOf(text []byte) *habeasv1.Outcome {
	o := &habeasv1.Outcome{}
	read := protojson.UnmarshalOptions{DiscardUnknown: true} // a newer room may have written it
	if len(text) == 0 || read.Unmarshal(text, o) != nil {
		return nil
	}
	return o
}

// explain puts the parts of an outcome that the job does not repeat in words.
func explain(o *habeasv1.Outcome) string {
	switch r := o.GetResult().(type) {
	case *habeasv1.Outcome_NeedsIdentifier:
		if kinds := r.NeedsIdentifier.GetKinds(); len(kinds) > 0 {
			return "Any of these would help: " + strings.Join(kinds, ", ")
		}
	case *habeasv1.Outcome_OverLimit:
		return number(r.OverLimit.GetMatchedCount()) + " records located, " + number(r.OverLimit.GetCap()) + " allowed for one person; nothing was done"
	case *habeasv1.Outcome_PlanChanged:
		return "The connector is not the one the plan was made for; nothing was done"
	}
	return ""
}

// overLimitOf returns how many records an over_limit job located and how many
// it may act on.
func overLimitOf(j *store.Job) (matched, limit int64) {
	o := outcomeOf(j.Outcome).GetOverLimit()
	return o.GetMatchedCount(), o.GetCap()
}

// AttemptText says which attempt this is; "" before the first.
func (v jobView) AttemptText() string {
	if v.Attempt == 0 {
		return ""
	}
	return "attempt " + strconv.Itoa(v.Attempt)
}
