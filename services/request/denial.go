package request

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// DenialCode is why a request is refused. A regime's file says which rights
// each code can refuse on which day, in which words and what it needs; these are
// the codes every file may use.
type DenialCode string

// The denial codes.
const (
	DenyUnverified      DenialCode = "unverified"               // 11 CCR 7021(b), 7022(a), 7023(a), 7024(a)-(b)
	DenyUnconfirmed     DenialCode = "unconfirmed"              // the second step never came (11 CCR 7020(d), 7028)
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
	DenyEffort          DenialCode = "disproportionate_effort"  // 11 CCR 7023(f)
	DenyNotResident     DenialCode = "not_resident"             // Civ. Code 1798.140(i)
	DenyPermittedOnly   DenialCode = "permitted_purposes_only"  // 11 CCR 7027(m)
	DenyUpheld          DenialCode = "denial_upheld"            // an appeal without success
	DenyOtherRight      DenialCode = "withdrawn_by_other_right" // made void by another request of the same person
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
}

// DenialCodes returns all denial codes.
func DenialCodes() []DenialCode {
	return []DenialCode{
		DenyUnverified, DenyUnconfirmed, DenyNoParent, DenyNoPermission, DenyHousehold, DenyKnowLimit, DenyUnfounded,
		DenyExcessive, DenyFraud, DenyExempt, DenyServiceProvider, DenyAccurate, DenyRepeated, DenyEffort, DenyNotResident,
		DenyPermittedOnly, DenyUpheld, DenyOtherRight,
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
	// Evidence is what the code needs beyond the reason, by name; it names
	// nobody.
	Evidence map[string]string `json:"evidence,omitempty"`
	By       string            `json:"by,omitempty"`
	At       time.Time         `json:"at"`
}

// Errors of denying.
var (
	// ErrCode says that the code is none that can refuse this right.
	ErrCode = errors.New("denial code is not one that can refuse this right")
	// ErrEvidence says that a refusal lacks what it needs.
	ErrEvidence = errors.New("a bare assertion is no basis")
	// ErrNotYet says that the condition of a code does not hold.
	ErrNotYet = errors.New("the condition for this denial does not hold")
)

// CheckEvidence reports whether everything that a refusal needs is there, and
// nothing else. The error is [ErrEvidence] and names what is missing.
func CheckEvidence(needs []string, evidence map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(evidence)) {
		if !slices.Contains(needs, name) {
			return fmt.Errorf("%w: evidence.%.40s: nothing of this name is asked for; use %s", ErrEvidence, name, strings.Join(needs, ", "))
		}
		if text := evidence[name]; text == "" || len(text) > 2000 || !plainText(text) {
			return fmt.Errorf("%w: evidence.%s: is empty, too long or not plain text", ErrEvidence, name)
		}
	}
	for _, name := range needs {
		if evidence[name] == "" {
			return fmt.Errorf("%w: evidence.%s is missing", ErrEvidence, name)
		}
	}
	return nil
}

// effortFacts are the facts that can show disproportionate effort; the first
// must be given, and three in all.
var effortFacts = []string{"explanation", "systems", "records", "hours", "cost", "benefit_to_consumer"}

const leastEffortFacts = 3

// checkFacts reports whether facts have the first of names and at least n of
// them, and nothing else.
func checkFacts(facts map[string]string, names []string, n int) error {
	given := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return facts[name] == "" })
	if facts[names[0]] == "" || len(given) < n {
		return fmt.Errorf("%w: give %s and at least %d in all of %s", ErrEvidence, names[0], n, strings.Join(names, ", "))
	}
	return CheckEvidence(given, facts)
}
