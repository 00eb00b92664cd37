package intake

import (
	"context"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Lookup returns a request without its jobs, for the doors.
func (r *Room) Lookup(ctx context.Context, id request.ID) (store.Request, error) {
	req, _, err := r.Store.Get(ctx, id)
	return req, err
}
