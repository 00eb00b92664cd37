package coordinator

import (
	"context"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// suppress puts the person of a request that is being closed on the suppression
// list, or takes them off it, in the transaction that closes it: who was erased
// stays erased, and who opted out stays out until they opt in again.
func (r *Room) suppress(ctx context.Context, peppers suppression.Peppers, st *step) error {
	req := &st.s.Request
	if req.Case.Origin.Ours() || req.Ending == nil || !req.Ending.Result.Answered() || len(req.WrappedKey) == 0 {
		return nil
	}
	switch req.Right() {
	case request.Delete, request.OptOutSaleShare, request.OptInSaleShare:
	default:
		return nil
	}
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return err
	}
	ids, err := key.OpenIdentifiers(req.ID, req.Sealed)
	if err != nil {
		return err
	}
	switch req.Right() {
	case request.Delete:
		st.s.Suppress = peppers.Entries(ids, store.WhyDeleted, st.w.now)
		st.s.Retained = st.retained(st.s.Suppress)
	case request.OptOutSaleShare:
		st.s.Suppress = peppers.Entries(ids, store.WhyOptedOut, st.w.now)
	case request.OptInSaleShare:
		st.s.Unsuppress = peppers.Every(ids, store.WhyOptedOut)
	}
	return nil
}

// retained is what each connector said in the end that it had to keep, for each of
// the entries.
func (st *step) retained(entries []store.Suppressed) []store.Retained {
	var out []store.Retained
	for i := range st.s.Jobs {
		j, o := &st.s.Jobs[i], &habeasv1.Outcome{}
		if j.Action != request.ActionErase || st.last(j.Connector, false) != i || len(j.Outcome) == 0 || protojson.Unmarshal(j.Outcome, o) != nil {
			continue
		}
		for _, s := range o.GetStores() {
			for _, k := range wire.Kept(s) {
				out = append(out, st.kept(j.Connector, s.GetStore(), k, entries)...)
			}
		}
	}
	return out
}

// kept is one row of what a store keeps, under the catalogue's code and under the
// connector's own name for it: whoever asks may use either.
func (st *step) kept(connector, storeName string, k *habeasv1.Kept, entries []store.Suppressed) []store.Retained {
	var out []store.Retained
	bases := []string{st.reason(connector, storeName, k), k.GetBasis()}
	for _, basis := range slices.Compact(bases) {
		if basis == "" {
			continue
		}
		for _, e := range entries {
			out = append(out, store.Retained{Digest: e.Digest, Pepper: e.Pepper, Connector: connector, Store: storeName, Basis: basis, Until: wire.KeptUntil(k)})
		}
	}
	return out
}
