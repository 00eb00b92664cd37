package restspec

import (
	"fmt"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// personGuard tells the records of other people who share an identifier.
type personGuard struct {
	same  *SamePerson
	known []string
	first string
}

func newPersonGuard(same *SamePerson, p sdk.Person) *personGuard {
	g := &personGuard{same: same}
	if same != nil {
		g.known = p.Values(same.Kind)
	}
	return g
}

func (g *personGuard) undecided() bool { return g.same != nil && len(g.known) == 0 }

func (g *personGuard) judge(v any) (bool, error) {
	if g.same == nil {
		return true, nil
	}
	owner, _ := scalarText(at(v, g.same.Field))
	if owner == "" {
		return true, nil
	}
	if len(g.known) > 0 {
		return slices.ContainsFunc(g.known, func(k string) bool { return sameIdentifier(g.same.Kind, k, owner) }), nil
	}
	if g.first == "" {
		g.first = owner
	}
	if !sameIdentifier(g.same.Kind, g.first, owner) {
		return false, sdk.Permanent(sdk.WithCode(sdk.Ambiguous,
			fmt.Errorf("the identifier reaches records with different %s: ask the consumer for another identifier", g.same.Field)))
	}
	return true, nil
}
