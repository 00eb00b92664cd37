package intake

import (
	"context"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Identifiers returns whom a request is about, for the doors.
func (r *Room) Identifiers(ctx context.Context, req *store.Request) ([]request.Identifier, error) {
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return nil, err
	}
	return key.OpenIdentifiers(req.ID, req.Sealed)
}

// Lookup returns a request without its jobs, for the doors.
func (r *Room) Lookup(ctx context.Context, id request.ID) (store.Request, error) {
	req, _, err := r.Store.Get(ctx, id)
	return req, err
}
