package coordinator

import (
	"context"

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
	case request.OptOutSaleShare:
		st.s.Suppress = peppers.Entries(ids, store.WhyOptedOut, st.w.now)
	case request.OptInSaleShare:
		st.s.Unsuppress = peppers.Every(ids, store.WhyOptedOut)
	}
	return nil
}
