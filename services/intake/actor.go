package intake

import (
	"context"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// HeaderActor names, in a call that the API token allows, the person for whom
// it is made. What takes two people takes two of these.
const HeaderActor = "Habeas-Actor"

// actors takes the person a call is made for out of its header.
func actors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if who := req.Header.Get(HeaderActor); who != "" && request.ActorOf(req.Context()) == "" {
			req = req.WithContext(request.WithActor(req.Context(), who))
		}
		next.ServeHTTP(w, req)
	})
}

// Training says whether a person may decide about requests: those who do must
// know the law, and their training goes stale (11 CCR 7100; Civ. Code
// 1798.130(a)(6)).
type Training interface {
	// Trained returns nil when who was trained recently enough on the given
	// day, and otherwise an error that wraps [ErrUntrained]. who is "" when the
	// call names nobody.
	Trained(ctx context.Context, who string, at time.Time) error
}

// ErrUntrained says that somebody decides whose training is missing or stale.
var ErrUntrained = request.ErrUntrained

// trained asks the training records, where there are any.
func (r *Room) trained(ctx context.Context) error {
	if r.Training == nil {
		return nil
	}
	return r.Training.Trained(ctx, request.ActorOf(ctx), r.Now())
}
