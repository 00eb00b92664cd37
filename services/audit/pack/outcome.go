package pack

import (
	"strings"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// actionName is an action in the words of the design: "erase", "export".
func actionName(a habeasv1.Action) string {
	return strings.ToLower(strings.TrimPrefix(a.String(), "ACTION_"))
}

// outcomeName is an outcome in the words of the contract, and what more it
// says; "" for one that is not set.
func outcomeName(o *habeasv1.Outcome) (name, detail string) {
	switch r := o.GetResult().(type) {
	case *habeasv1.Outcome_Done:
		return "done", ""
	case *habeasv1.Outcome_NoMatch:
		return "no_match", ""
	case *habeasv1.Outcome_Retained:
		return "retained", ""
	case *habeasv1.Outcome_Deferred:
		return "deferred", r.Deferred.GetReason()
	case *habeasv1.Outcome_NeedsIdentifier:
		return "needs_identifier", strings.Join(r.NeedsIdentifier.GetKinds(), ", ")
	case *habeasv1.Outcome_Partial:
		return "partial", r.Partial.GetReason()
	case *habeasv1.Outcome_OverLimit:
		return "over_limit", ""
	case *habeasv1.Outcome_PlanChanged:
		return "plan_changed", ""
	case *habeasv1.Outcome_NotSupported:
		return "not_supported", ""
	case *habeasv1.Outcome_Failed:
		return "failed", strings.TrimSpace(r.Failed.GetCode() + " " + r.Failed.GetMessage())
	}
	return "", ""
}

// stores are the counts of an outcome. What was erased is what was located
// less what is kept, what remains and what was only deidentified, emptied or
// masked; nothing else claims it.
func stores(p *habeasv1.OutcomeRecord) []Store {
	out := make([]Store, 0, len(p.GetOutcome().GetStores()))
	for _, c := range p.GetOutcome().GetStores() {
		s := Store{Name: c.GetStore(), Category: c.GetCategory(), Located: c.GetLocatedCount(), Kept: c.GetKeptCount(),
			Remaining: c.GetRemainingCount(), Exported: c.GetExportedCount(), Basis: c.GetBasis(), Deidentified: c.GetDeidentifiedCount(),
			Emptied: c.GetEmptiedCount(), Masked: c.GetMaskedCount(), Standing: c.GetStandingCount(), Anew: c.GetAnewCount()}
		if c.GetUntilTime().IsValid() {
			s.Until = c.GetUntilTime().AsTime()
		}
		if p.GetAction() == habeasv1.Action_ACTION_ERASE {
			s.Erased = wire.Removed(c)
		}
		out = append(out, s)
	}
	return out
}
