package coordinator

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Retention is a basis on which a store says that it may keep records.
type Retention struct {
	Basis string
	Ends  bool
	Facts map[string]string
}

// basis holds one claim to keep records against the catalogue in force on the
// day the request was received, and returns nil when it holds.
func (st *step) basis(claim tenant.Claim) *tenant.ClaimError {
	r := &st.s.Request
	if st.w.bases == nil {
		return nil
	}
	e, outside, err := st.w.bases.Basis(r.Regime, r.Terms.Due.Received, r.Right(), claim)
	if no, ok := errors.AsType[*tenant.ClaimError](err); ok {
		return no
	}
	// What the right does not reach follows from the request, and not from what a
	// connector says.
	reached := slices.Contains(e.Aliases, notFromConsumer) && r.Terms.DeleteScope != request.CollectedFrom ||
		slices.Contains(e.Aliases, notAsked) && len(r.Case.Portions) == 0
	if outside && reached {
		return &tenant.ClaimError{Claim: claim, Code: tenant.BasisUnknown, Err: errors.New("this request reaches the records")}
	}
	return nil
}

// declared returns the first basis of a connector's manifest that does not hold
// for this erasure, before anything is erased.
func (st *step) declared(c Connector) *tenant.ClaimError {
	if st.s.Request.Right() != request.Delete {
		return nil
	}
	for _, s := range c.About {
		if s.Deidentifies && st.w.bases != nil {
			if no := st.w.bases.Deidentifying(c.Name, s.Name); no != nil {
				return no
			}
		}
		for _, k := range s.Retains {
			if no := st.basis(tenant.Claim{Connector: c.Name, Store: s.Name, Basis: k.Basis, Ends: k.Ends, Facts: k.Facts}); no != nil {
				return no
			}
		}
	}
	return nil
}

// unfounded returns the first basis of an answer that does not hold. Facts that
// the answer leaves out are those of the manifest.
func (st *step) unfounded(j *store.Job, o *habeasv1.Outcome) *tenant.ClaimError {
	if j.Action != request.ActionErase || st.s.Request.Right() != request.Delete {
		return nil
	}
	switch o.GetResult().(type) {
	case *habeasv1.Outcome_Done, *habeasv1.Outcome_Retained, *habeasv1.Outcome_Partial:
	default:
		return nil
	}
	c, _ := st.w.connector(j.Connector)
	kept := false
	for _, s := range o.GetStores() {
		if s.GetDeidentifiedCount() > 0 && st.w.bases != nil {
			if no := st.w.bases.Deidentifying(j.Connector, s.GetStore()); no != nil {
				return no
			}
		}
		for _, k := range wire.Kept(s) {
			kept = true
			facts := map[string]string{}
			for _, info := range c.About {
				for _, d := range info.Retains {
					if info.Name == s.GetStore() && d.Basis == k.GetBasis() {
						maps.Copy(facts, d.Facts)
					}
				}
			}
			maps.Copy(facts, k.GetFacts())
			claim := tenant.Claim{Connector: j.Connector, Store: s.GetStore(), Basis: k.GetBasis(), Ends: !wire.KeptUntil(k).IsZero(), Facts: facts}
			if no := st.basis(claim); no != nil {
				return no
			}
		}
	}
	if r := o.GetRetained(); r != nil && !kept {
		return st.basis(tenant.Claim{Connector: j.Connector, Basis: r.GetBasis(), Ends: r.GetUntilTime().IsValid()})
	}
	return nil
}

// refused puts on record that something may not be kept as a connector claims.
func (st *step) refused(no *tenant.ClaimError) {
	st.decided(decision{kind: "basis_refused", code: no.Code, reason: no.Error(), facts: map[string]string{
		"connector": no.Connector, "store": no.Store, "basis": no.Basis,
	}})
}

// stop keeps a job back whose connector would keep records on a basis that does
// not hold. A person has to see to it; what other connectors hold is erased.
func (st *step) stop(i int, no *tenant.ClaimError) {
	j := &st.s.Jobs[i]
	j.State, j.Code, j.Message, j.UpdatedAt = request.JobFailed, no.Code, no.Error(), st.w.now
	st.s.Touch(i)
	st.refused(no)
}

// basisCode reports whether a job ended for a basis that does not hold.
func basisCode(j *store.Job) bool {
	return j.State == request.JobFailed && strings.HasPrefix(j.Code, "basis_")
}

// groundless reports whether a person has to look at a basis.
func (st *step) groundless() bool {
	for i := range st.s.Jobs {
		if basisCode(&st.s.Jobs[i]) && !st.superseded(i) {
			return true
		}
	}
	return false
}

// reassess lets jobs go on that ended for a basis, where it holds now: the
// connector's map or the company's file was put right. What was answered counts;
// what was never sent is.
func (st *step) reassess() {
	for i := range st.s.Jobs {
		j := &st.s.Jobs[i]
		if !basisCode(j) || st.superseded(i) {
			continue
		}
		o := &habeasv1.Outcome{}
		if len(j.Outcome) > 0 && protojson.Unmarshal(j.Outcome, o) == nil {
			state, code, message := stateOf(j, st.s.Request.Right(), o)
			if state == request.JobDone || state == request.JobRetained || state == request.JobPartial {
				if st.unfounded(j, o) == nil {
					j.Code, j.Message, j.UpdatedAt = code, message, st.w.now
					st.s.Touch(i)
					st.settle(i, state, o)
				}
				continue
			}
		}
		if c, known := st.w.connector(j.Connector); known && st.declared(c) == nil {
			j.State, j.Code, j.Message, j.NextAt, j.UpdatedAt = request.JobPlanned, "", "", st.w.now, st.w.now
			st.s.Touch(i)
		}
	}
}

// reason is the code of the catalogue for a basis as a connector names it; the
// name itself where there is none.
func (st *step) reason(connector, storeName string, k *habeasv1.Kept) string {
	if st.w.bases == nil {
		return k.GetBasis()
	}
	r := &st.s.Request
	rules, err := st.w.bases.Regimes.At(r.Regime, r.Terms.Due.Received)
	if err != nil {
		return k.GetBasis()
	}
	e, ok := st.w.bases.Means(rules, r.Right(), tenant.Claim{Connector: connector, Store: storeName, Basis: k.GetBasis()})
	if !ok {
		return k.GetBasis()
	}
	return e.Code
}
