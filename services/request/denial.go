package request

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// DenialCode is why a request is refused. A regime's file lists its codes, the
// rights each can refuse and what each needs; those with a rule in the program
// are here.
type DenialCode string

// The denial codes with rules of their own.
const (
	DenyUnconfirmed DenialCode = "unconfirmed"         // the second step never came (11 CCR 7020(d), 7028)
	DenyUpheld      DenialCode = "denial_upheld"       // an appeal without success
	DenyNoParent    DenialCode = "not_parent"          // 11 CCR 7070
	DenyHousehold   DenialCode = "household"           // Civ. Code 1798.145(p)
	DenyKnowLimit   DenialCode = "too_many"            // Civ. Code 1798.130(b)
	DenyAccurate    DenialCode = "accurate"            // 11 CCR 7023(b): more likely than not accurate
	DenyRepeated    DenialCode = "repeated_correction" // 11 CCR 7023(g)
	DenyNotResident DenialCode = "not_resident"        // Civ. Code 1798.140(i)
	DenyUnverified  DenialCode = "unverified"          // what the codes of [UnverifiedCode] begin with
)

// UnverifiedCode is the code for a right whose requester could not be verified
// (11 CCR 7021(b), 7022(a), 7023(a), 7024(a)-(b)).
func UnverifiedCode(r Right) DenialCode {
	what := map[Right]string{KnowCategories: "categories", KnowSpecific: "specific", Delete: "delete", Correct: "correct"}[r]
	return DenyUnverified + "_" + DenialCode(what)
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

// Refusal is a denial as it is asked for.
type Refusal struct {
	Code     string
	Reason   string            // told to the consumer; names nobody
	Evidence map[string]string // what the code needs, by name
}

// RefusalCode is a way in which a request can be refused.
type RefusalCode struct {
	Code string
	// Citation is the law's, and Text what it comes to, in plain words.
	Citation, Text string
	// Needs are the names of the evidence that must be given.
	Needs []string
	// TwoPeople says that a second person must agree.
	TwoPeople bool
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
