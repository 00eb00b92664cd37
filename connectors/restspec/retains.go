package restspec

import (
	"maps"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// retains lists the bases on which records of a store may be kept, in the order
// of the operations that find them.
func (p *Program) retains(store string) []sdk.Retention {
	var list []sdk.Retention
	for _, op := range slices.Sorted(maps.Keys(p.ops)) {
		for _, s := range p.ops[op] {
			if s.store != store || s.keep == nil || s.keep.Basis == "" {
				continue
			}
			if k := (sdk.Retention{Basis: s.keep.Basis, Ends: true, Facts: s.keep.Facts}); !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
	}
	return list
}
