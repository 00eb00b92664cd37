package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// inForce returns the last version record of each form, rule and notice from
// before a request was received. Below is the size of the head that they are to
// be proven under. What an erased intake record saw can't be told.
func inForce(ctx context.Context, l *ledger.Log, leaves []ledger.Leaf, below int64) ([]ledger.Leaf, error) {
	at := slices.IndexFunc(leaves, func(leaf ledger.Leaf) bool { return leaf.Type == string(wire.RecordIntake) })
	if at < 0 || leaves[at].Envelope == nil {
		return nil, nil
	}
	rec, err := wire.ParseRecord(leaves[at].Envelope)
	if err != nil {
		return nil, fmt.Errorf("intake record at leaf %d: %w: %w", leaves[at].Number, ledger.ErrCorrupt, err)
	}
	intake, ok := rec.Predicate.(*habeasv1.IntakeRecord)
	if !ok {
		return nil, nil
	}
	// A release has some fifty texts, so all versions there ever were are few.
	type text struct{ kind, name string }
	type version struct {
		leaf ledger.Leaf
		from time.Time
	}
	last := map[text]version{}
	err = l.Leaves(ctx, ledger.Query{Type: string(wire.RecordVersion), Below: below}, func(leaf ledger.Leaf) error {
		if leaf.Envelope == nil {
			return nil
		}
		rec, err := wire.ParseRecord(leaf.Envelope)
		if err != nil {
			return fmt.Errorf("version record at leaf %d: %w: %w", leaf.Number, ledger.ErrCorrupt, err)
		}
		v, ok := rec.Predicate.(*habeasv1.VersionRecord)
		if !ok {
			return nil
		}
		of, from := text{v.GetKind(), v.GetName()}, v.GetEffectTime().AsTime()
		if !from.After(intake.GetReceiveTime().AsTime()) && !from.Before(last[of].from) {
			last[of] = version{leaf, from}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []ledger.Leaf
	for _, v := range last {
		out = append(out, v.leaf)
	}
	slices.SortFunc(out, func(a, b ledger.Leaf) int { return cmp.Compare(a.Number, b.Number) })
	return out, nil
}
