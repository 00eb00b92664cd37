package request

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// DenialCode is why a request is refused, in whole. Codes with a rule of their
// own are here; a regime may add others.
type DenialCode string

// The denial codes.
const (
	DenyUnverified      DenialCode = "unverified"               // 11 CCR 7021(b), 7022(a), 7023(a), 7024(a)-(b)
	DenyUnconfirmed     DenialCode = "unconfirmed"              // the second step never came (11 CCR 7020(d))
	DenyNoParent        DenialCode = "parent_not_shown"         // 11 CCR 7070
	DenyNoPermission    DenialCode = "permission_not_shown"     // an agent's (11 CCR 7063, 7026(j))
	DenyHousehold       DenialCode = "household"                // Civ. Code 1798.145(p)
	DenyKnowLimit       DenialCode = "know_limit"               // Civ. Code 1798.130(b)
	DenyUnfounded       DenialCode = "manifestly_unfounded"     // Civ. Code 1798.145(h)(3)
	DenyExcessive       DenialCode = "excessive"                // Civ. Code 1798.145(h)(3)
	DenyFraud           DenialCode = "fraud"                    // 11 CCR 7026(e), 7060(f)
	DenyExempt          DenialCode = "exempt"                   // all of it is under an exception (Civ. Code 1798.145)
	DenyServiceProvider DenialCode = "service_provider"         // held for others (11 CCR 7050)
	DenyAccurate        DenialCode = "accurate"                 // 11 CCR 7023(b): more likely than not accurate
	DenyRepeated        DenialCode = "repeated_correction"      // 11 CCR 7023(g)
	DenyEffort          DenialCode = "disproportionate_effort"  // 11 CCR 7023(f), 7024(h)
	DenyNotResident     DenialCode = "not_resident"             // Civ. Code 1798.140(i)
	DenyPermittedOnly   DenialCode = "permitted_purposes_only"  // 11 CCR 7027(m)
	DenyUpheld          DenialCode = "denial_upheld"            // an appeal without success
	DenyTooSoon         DenialCode = "withdrawn_by_other_right" // made void by another request of the same person
)

// denialRights says which rights a code can refuse. A code that is not here
// can refuse those that are verified.
var denialRights = map[DenialCode][]Right{
	DenyKnowLimit:     {KnowCategories, KnowSpecific},
	DenyAccurate:      {Correct},
	DenyRepeated:      {Correct},
	DenyEffort:        {Correct},
	DenyUnconfirmed:   {Delete, OptInSaleShare},
	DenyPermittedOnly: {LimitSPI},
	DenyUpheld:        {Appeal},
	DenyFraud:         {KnowCategories, KnowSpecific, Delete, Correct, OptOutSaleShare, LimitSPI, OptInSaleShare, Appeal},
	DenyNoParent:      {KnowCategories, KnowSpecific, Delete, Correct, OptInSaleShare},
	DenyNoPermission:  {KnowCategories, KnowSpecific, Delete, Correct, OptOutSaleShare, LimitSPI},
	DenyHousehold:     {KnowCategories, KnowSpecific, Delete, Correct},
}

// DenialCodes returns the codes with rules of their own.
func DenialCodes() []DenialCode {
	return []DenialCode{
		DenyUnverified, DenyUnconfirmed, DenyNoParent, DenyNoPermission, DenyHousehold, DenyKnowLimit, DenyUnfounded,
		DenyExcessive, DenyFraud, DenyExempt, DenyServiceProvider, DenyAccurate, DenyRepeated, DenyEffort, DenyNotResident,
		DenyPermittedOnly, DenyUpheld, DenyTooSoon,
	}
}

// Suits reports whether a code can refuse a right.
func (c DenialCode) Suits(r Right) bool {
	if rights, ok := denialRights[c]; ok {
		return slices.Contains(rights, r)
	}
	return r.Verifiable()
}

// Decision is a denial with what stands behind it.
type Decision struct {
	Code DenialCode `json:"code"`
	// Facts are what the code demands beyond the reason, by name; they name
	// nobody.
	Facts map[string]string `json:"facts,omitempty"`
	By    string            `json:"by,omitempty"`
	At    time.Time         `json:"at"`
}

// Errors of denying.
var (
	// ErrCode says that the code is none of the regime's, or can't refuse this
	// right.
	ErrCode = errors.New("denial code is not one that can refuse this right")
	// ErrFacts says that a refusal needs facts and has too few.
	ErrFacts = errors.New("a bare assertion is no basis: facts are missing")
	// ErrNotYet says that the condition of a code does not hold.
	ErrNotYet = errors.New("the condition for this denial does not hold")
)

// The facts a refusal needs. The first must be there.
var (
	effortFacts  = []string{"explanation", "systems", "records", "hours", "cost", "benefit_to_consumer"}
	burdenFacts  = []string{"explanation", "pattern", "requests", "earlier_answers"}
	fraudFacts   = []string{"explanation", "document"}
	exemptFacts  = []string{"law", "explanation"}
	factsByCode  = map[DenialCode][]string{DenyUnfounded: burdenFacts, DenyExcessive: burdenFacts, DenyFraud: fraudFacts, DenyEffort: effortFacts, DenyExempt: exemptFacts, DenyAccurate: {"explanation"}}
	leastByCode  = map[DenialCode]int{DenyUnfounded: 2, DenyExcessive: 2, DenyFraud: 2, DenyEffort: leastEffortFacts, DenyExempt: 1, DenyAccurate: 1}
	twoPersonFor = []DenialCode{DenyUnfounded, DenyExcessive, DenyFraud}
)

const leastEffortFacts = 3

// checkFacts reports whether facts have the first of names and at least n of
// them, and nothing else.
func checkFacts(facts map[string]string, names []string, n int) error {
	have := 0
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%w: there is no fact of this name: use %s", ErrFacts, strings.Join(names, ", "))
		}
		if text := facts[name]; text == "" || len(text) > 2000 || !plainText(text) {
			return fmt.Errorf("%w: %s is empty or not plain text", ErrFacts, name)
		}
		have++
	}
	if facts[names[0]] == "" || have < n {
		return fmt.Errorf("%w: give %s and at least %d in all of %s", ErrFacts, names[0], n, strings.Join(names, ", "))
	}
	return nil
}

// TakesTwo reports whether a code needs two people to agree.
func (c DenialCode) TakesTwo() bool { return slices.Contains(twoPersonFor, c) }

// CheckDenial reports whether the request can be refused with a code: it is one
// that can refuse the right, its facts are there and its condition holds.
// past are the other requests of the person, limit the regime's number of free
// requests to know. more are codes a regime adds. Errors are [ErrCode],
// [ErrFacts] and [ErrNotYet].
func (r *Request) CheckDenial(code DenialCode, facts map[string]string, past []Past, limit int, more []string) error {
	if !slices.Contains(DenialCodes(), code) {
		if slices.Contains(more, string(code)) {
			return nil
		}
		return fmt.Errorf("%w: use one of %s", ErrCode, strings.Join(codesFor(r.right, more), ", "))
	}
	if !code.Suits(r.right) {
		return fmt.Errorf("%w: for %s use one of %s", ErrCode, r.right, strings.Join(codesFor(r.right, more), ", "))
	}
	if names := factsByCode[code]; names != nil {
		if err := checkFacts(facts, names, leastByCode[code]); err != nil {
			return err
		}
	} else if len(facts) > 0 {
		return fmt.Errorf("%w: %s takes no facts", ErrFacts, code)
	}
	switch code {
	case DenyKnowLimit:
		if limit <= 0 || r.AnsweredKnow(past) < limit {
			return fmt.Errorf("%w: fewer than %d requests to know were answered in the twelve months before (Civ. Code 1798.130(b))", ErrNotYet, limit)
		}
	case DenyRepeated:
		if !r.Repeats(past) {
			return fmt.Errorf("%w: the same field was not refused in the six months before, or new papers came (11 CCR 7023(g))", ErrNotYet)
		}
	}
	return nil
}

func codesFor(r Right, more []string) []string {
	var out []string
	for _, c := range DenialCodes() {
		if c.Suits(r) {
			out = append(out, string(c))
		}
	}
	return append(out, more...)
}
