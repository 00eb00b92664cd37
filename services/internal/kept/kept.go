// Package kept holds what connectors declare that they keep against the law, before
// any of them is asked to erase. It tells its callers what would stop an erasure, and
// decides nothing.
package kept

import (
	"errors"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
)

// Unfounded returns what of a manifest would not hold for a deletion received on a
// day. Without bases nothing is known.
func Unfounded(b *tenant.Bases, m *habeasv1.Manifest, regime string, day request.Date) []*tenant.ClaimError {
	if b == nil {
		return nil
	}
	var out []*tenant.ClaimError
	for _, s := range m.GetStores() {
		if s.GetDeidentifies() {
			if no := b.Deidentifying(m.GetName(), s.GetName()); no != nil {
				out = append(out, no)
			}
		}
		for _, k := range s.GetRetentions() {
			_, _, err := b.Basis(regime, day, request.Delete, tenant.Claim{
				Connector: m.GetName(), Store: s.GetName(), Basis: k.GetBasis(), Ends: k.GetEnds(), Facts: k.GetFacts(),
			})
			if no, ok := errors.AsType[*tenant.ClaimError](err); ok {
				out = append(out, no)
			}
		}
	}
	return out
}
