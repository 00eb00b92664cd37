package tenant

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// Named is a name under which the company's connectors keep records, with the
// exception of the law it stands for and the facts that one needs. It gives a
// name a meaning, and a connector that says no facts the ones that hold.
type Named struct {
	// Name is what connectors report, such as "tax" or "ccpa-1798.105(d)(8)".
	Name string `yaml:"name"`
	// Is is the code of one of the regime's exceptions, such as D8. Empty means
	// that the catalogue knows the name.
	Is string `yaml:"is"`
	// Stores are where it is so, as connector/store or connector; none is
	// everywhere.
	Stores []string `yaml:"stores"`
	// Facts are what the exception needs, where connectors don't say it: the
	// statute, the reference, the assessment.
	Facts map[regimes.Need]string `yaml:"facts"`
}

// covers reports whether it is about a store.
func (n Named) covers(connector, store string) bool {
	return len(n.Stores) == 0 || slices.Contains(n.Stores, connector) || slices.Contains(n.Stores, connector+"/"+store)
}

// Claim is what a connector says of records that it keeps, or would keep.
type Claim struct {
	Connector, Store, Basis string
	// Ends says that an end is given.
	Ends  bool
	Facts map[string]string
}

// Why a claim does not hold; codes for people who have to look.
const (
	BasisUnknown   = "basis_unknown"   // the catalogue has no such basis for the right
	BasisEnded     = "basis_ended"     // it had one, and not on the day of receipt
	BasisAmbiguous = "basis_ambiguous" // the name stands for several
	BasisFacts     = "basis_facts"     // it lacks what the basis needs
	// BasisDeidentify is for records that would be deidentified by a company that
	// does not say it meets the law's test.
	BasisDeidentify = "basis_deidentify"
)

// ClaimError says that records may not be kept on what a connector claims. It
// names the connector, the store and the basis, and nobody.
type ClaimError struct {
	Claim
	// Code is one of [BasisUnknown], [BasisEnded], [BasisAmbiguous] and
	// [BasisFacts].
	Code string
	Err  error
}

func (e *ClaimError) Error() string {
	fix := map[string]string{
		BasisUnknown:    "use a code of the regime's exceptions, or give the name one in bases of the company's file",
		BasisEnded:      "erase these records: the exception has ended",
		BasisAmbiguous:  "say in bases of the company's file which one is meant",
		BasisDeidentify: "say them under deletion in the company's file if they are so, or have the records deleted",
		BasisFacts:      "add them to the connector's map, or to bases of the company's file",
	}[e.Code]
	return fmt.Sprintf("connector %s, store %s, basis %q: %v; %s", e.Connector, e.Store, e.Basis, e.Err, fix)
}

// Unwrap gives the cause.
func (e *ClaimError) Unwrap() error { return e.Err }

// Bases holds what connectors keep against the law, by the company's own names.
type Bases struct {
	Regimes *regimes.Set
	// Named are the names of the company's file; none is allowed.
	Named []Named
	// Deletion says whether the company deidentifies, and meets the law's test.
	Deletion Deletion
}

// Deidentifying reports, as a [ClaimError], that a store may not be deidentified.
func (b *Bases) Deidentifying(connector, store string) *ClaimError {
	if err := b.Deletion.Deidentified(); err != nil {
		return &ClaimError{Claim: Claim{Connector: connector, Store: store, Basis: "deidentify"}, Code: BasisDeidentify, Err: err}
	}
	return nil
}

// Basis is the exception that a claim rests on. outside says that it is none: the
// right does not reach the record at all. A regime without a catalogue, or without
// rules for the day, gives a zero exception and no error: there is nothing to hold
// the claim against. Any other error is a [ClaimError].
func (b *Bases) Basis(regime string, day request.Date, right request.Right, c Claim) (e regimes.Exception, outside bool, err error) {
	rules, err := b.Regimes.At(regime, day)
	if err != nil || !rules.Catalogued() {
		return regimes.Exception{}, false, nil //nolint:nilerr // a request without rules is for people from the start
	}
	return b.On(rules, right, c)
}

// On is [Bases.Basis] under known rules.
func (b *Bases) On(rules regimes.Rules, right request.Right, c Claim) (e regimes.Exception, outside bool, err error) {
	name, given := b.meant(c)
	e, outside, err = rules.Basis(right, name)
	code := BasisUnknown
	switch {
	case err == nil:
		if err = e.Check(given); err == nil {
			return e, outside, nil
		}
		code = BasisFacts
	case errors.Is(err, regimes.ErrNotInForce):
		code = BasisEnded
	case errors.Is(err, regimes.ErrAmbiguous):
		code = BasisAmbiguous
	}
	return regimes.Exception{}, false, &ClaimError{Claim: c, Code: code, Err: err}
}

// Means returns what a claim's name stands for, whether or not all its facts are
// there; false when that is not known.
func (b *Bases) Means(rules regimes.Rules, right request.Right, c Claim) (regimes.Exception, bool) {
	name, _ := b.meant(c)
	e, _, err := rules.Basis(right, name)
	return e, err == nil
}

// Fact returns a fact that stands behind a claim, or "".
func (b *Bases) Fact(c Claim, need regimes.Need) string {
	_, given := b.meant(c)
	return given[need]
}

// meant is the name of the catalogue for what a connector claims, with the facts
// of the company's file and its own, which count first.
func (b *Bases) meant(c Claim) (name string, given map[regimes.Need]string) {
	name, given = c.Basis, make(map[regimes.Need]string, len(c.Facts)+1)
	for i := range b.Named {
		n := &b.Named[i]
		if n.Name != c.Basis || !n.covers(c.Connector, c.Store) {
			continue
		}
		if n.Is != "" {
			name = n.Is
		}
		maps.Copy(given, n.Facts)
		break
	}
	for need, fact := range c.Facts {
		if strings.TrimSpace(fact) != "" {
			given[regimes.Need(need)] = fact
		}
	}
	delete(given, regimes.NeedsUntil) // an end is a day, and not a text
	if c.Ends {
		given[regimes.NeedsUntil] = "given"
	}
	return name, given
}

// bases looks whether the company's names for keeping stand for something that
// the law has today, with all it needs but the end, which outcomes tell.
func (l *linter) bases() {
	seen := make(map[string]bool)
	for i, n := range l.Bases {
		at := place{path: item("bases", i)}
		key := n.Name + " " + strings.Join(n.Stores, " ")
		if n.Name == "" || seen[key] {
			l.error(at, "DE-6", "Civ. Code 1798.105(d)", fmt.Sprintf("the name %q is empty or there twice for the same stores", n.Name), "Give each name once")
		}
		seen[key] = true
		b := Bases{Regimes: l.set, Named: []Named{{Name: n.Name, Is: n.Is, Facts: n.Facts}}}
		_, _, err := b.On(l.rules, request.Delete, Claim{Basis: n.Name, Ends: true})
		var no *ClaimError
		switch {
		case !errors.As(err, &no):
		case no.Code == BasisFacts:
			// A connector may say the facts: with a name of its own it is enough
			// that the catalogue has it.
			if len(n.Facts) > 0 {
				l.error(at, "DE-6", "Civ. Code 1798.105(d), 1798.145", no.Err.Error(), "Add them to facts")
			}
		case no.Code == BasisEnded:
			l.error(at, "DE-6", citationOf(no.Err), fmt.Sprintf("%q is kept on an exception that has expired", n.Name), "Erase what is kept on it")
		default:
			l.error(at, "DE-6", "Civ. Code 1798.105(d), 1798.145", no.Err.Error(), "Use a code of the regime's exceptions in is")
		}
		for need := range n.Facts {
			if !regimes.IsFact(need) {
				l.error(at, "DE-6", "Civ. Code 1798.105(d)", fmt.Sprintf("facts: %q is none that a basis needs", need), "Use legal_ref, reference, assessment or facts")
			}
		}
	}
}
