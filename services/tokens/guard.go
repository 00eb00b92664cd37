package tokens

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/services/internal/attempts"
	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Table says which scope each route of the API asks for. What it does not name
// is for the scope all and the deployment's own token.
var Table = map[string]Scope{
	"POST /v1/requests":                            Submit,
	"POST /v1/requests:bulk":                       Submit,
	"POST /v1/requests/{id}/confirm":               Submit,
	"POST /v1/requests/{id}/appeal":                Submit,
	"POST /v1/requests/{id}/opt-out":               Submit,
	"POST /v1/requests/{id}/statements":            Submit,
	"POST /v1/signals":                             Submit,
	"POST /v1/signals/lift":                        All, // it undoes what a person asked for
	"POST /v1/desk/requests":                       Submit,
	"POST /v1/mail":                                Submit,
	"POST /v1/disclosures":                         Submit,
	"GET /v1/requests":                             Read,
	"GET /v1/requests/{id}":                        Read,
	"GET /v1/connectors":                           Read,
	"GET /v1/dead-letters":                         Read,
	"GET /v1/recipients/notices":                   Read,
	"POST /v1/requests/{id}/verification":          Operate,
	"POST /v1/requests/{id}/verification-failure":  Operate,
	"POST /v1/requests/{id}/cancel":                Operate,
	"POST /v1/requests/{id}/retry":                 Operate,
	"POST /v1/connectors/{name}/pause":             Operate,
	"POST /v1/connectors/{name}/resume":            Operate,
	"POST /v1/dead-letters:retry":                  Operate,
	"POST /v1/recipients/notices/{id}/acknowledge": Operate,
	"POST /v1/requests/{id}/deny":                  Decide,
	"POST /v1/requests/{id}/extension":             Decide,
	"POST /v1/requests/{id}/holds":                 Decide,
	"POST /v1/requests/{id}/holds/{hold}/end":      Decide,
	"POST /v1/requests/{id}/holds/{hold}/renew":    Decide,
	"POST /v1/requests/{id}/narrow":                Decide,
	"POST /v1/requests/{id}/grant":                 Decide,
	"POST /v1/requests/{id}/approve":               Decide,
	"POST /v1/requests/{id}/approve-plan":          Decide,
	"POST /v1/requests/{id}/copy":                  Decide,
	"POST /v1/requests:approve-plans":              Decide,
	"POST /v1/requests:deny":                       Decide,
	"GET /v1/requests/{id}/package":                Package,
	"POST /v1/requests/{id}/package":               Package,
	"GET /v1/requests/{id}/package/review":         Decide,
	"POST /v1/suppression:release":                 Decide,
	"GET /v1/requests/{id}/evidence":               Evidence,
	"GET /v1/requests/{id}/certificate":            Evidence,
	"GET /v1/evidence":                             Evidence,
	"GET /log/v1/":                                 Evidence,
	"POST /v1/suppression:check":                   Suppression,
	"POST /v1/kept:check":                          Suppression,
	"POST /v1/drop:check":                          Suppression,
	"POST /v1/choices":                             Suppression,
	"GET /v1/replays":                              Read,
	"GET /v1/replays/{id}":                         Read,
	"GET /v1/replays:preview":                      Read,
	"POST /v1/replays":                             Operate,
	"GET /v1/incidents":                            Read,
	"POST /v1/incidents/{id}/close":                Operate,
	"GET /v1/tokens":                               Manage,
	"POST /v1/tokens":                              Manage,
	"DELETE /v1/tokens/{id}":                       Manage,
}

// Guard lets callers of the API in who have a token for what they call.
type Guard struct {
	// Deployment is the deployment's own token, which opens everything; empty for
	// none.
	Deployment string
	// Keeper checks all others; nil where there are none, because the process has
	// no database.
	Keeper *Keeper
	// Proxied says that a proxy in front adds the client's address.
	Proxied bool
	Logger  *slog.Logger
	Now     func() time.Time

	once     sync.Once
	routes   *http.ServeMux
	failures attempts.Failures
}

func (g *Guard) init() {
	g.routes = http.NewServeMux()
	for pattern := range Table {
		g.routes.Handle(pattern, http.NotFoundHandler())
	}
}

// need is the scope that a call asks for, and the pattern of its route.
func (g *Guard) need(req *http.Request) (Scope, string) {
	g.once.Do(g.init)
	_, pattern := g.routes.Handler(req)
	if s, ok := Table[pattern]; ok {
		return s, pattern
	}
	return All, pattern
}

// Protect lets those through to next who send, as a bearer, the deployment's
// token or one with the scope of the call. Whoever is wrong too often is
// listened to for a while with the deployment's own alone.
// The holder of a token of their own acts under its name, whatever they say.
func (g *Guard) Protect(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(g.Deployment))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		secret, sent := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		have := sha256.Sum256([]byte(secret))
		need, route := g.need(req)
		if sent && g.Deployment != "" && subtle.ConstantTimeCompare(want[:], have[:]) == 1 {
			if route != listing || g.mayList(w, req, look{"the deployment's own token", All, true}) {
				next.ServeHTTP(w, req)
			}
			return
		}
		token, ok := g.check(w, req, secret)
		if !ok {
			return
		}
		allowed := Allows(token, need)
		if route == listing && !g.mayList(w, req, look{token.ID, need, allowed}) {
			return
		}
		if (route == packages || route == reviews) && !g.mayTake(w, req, look{token.ID, need, allowed}) {
			return
		}
		if !allowed {
			problem.Write(w, http.StatusForbidden, fmt.Sprintf("this token is not for that: it needs the scope %s", need))
			return
		}
		ctx := withHeld(request.WithActor(req.Context(), token.ID), token)
		if !Allows(token, Operate) {
			// To hand a request in verified is to verify it.
			ctx = request.WithoutAttesting(ctx)
		}
		next.ServeHTTP(w, req.WithContext(ctx))
	})
}

type heldKey struct{}

func withHeld(ctx context.Context, t store.Token) context.Context {
	return context.WithValue(ctx, heldKey{}, t)
}

// gives says whether who calls may hand a scope on: nobody gives more than they
// have, and nobody makes a second decider of themselves. Who came by the
// deployment's token or by another way has everything.
func gives(ctx context.Context, s Scope) bool {
	t, ok := ctx.Value(heldKey{}).(store.Token)
	return !ok || Allows(t, s) && s != Decide && s != All
}

// check finds the token of a call that is not the deployment's, or answers why
// there is none.
func (g *Guard) check(w http.ResponseWriter, req *http.Request, secret string) (store.Token, bool) {
	source, now := attempts.Source(req, g.Proxied), g.Now()
	if wait := g.failures.Wait(source, now); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
		problem.Write(w, http.StatusTooManyRequests, "too many wrong tokens came from your network; wait and try again")
		return store.Token{}, false
	}
	err := ErrUnknown
	var token store.Token
	if g.Keeper != nil {
		token, err = g.Keeper.Check(req.Context(), secret)
	}
	switch {
	case err == nil:
		return token, true
	case !errors.Is(err, ErrUnknown):
		g.Logger.ErrorContext(req.Context(), "checking a token", slog.Any("error", err))
		problem.Write(w, http.StatusServiceUnavailable, "tokens can't be checked now; try again")
		return store.Token{}, false
	}
	if secret != "" { // no token at all is no guess
		g.failures.Add(source, now)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="habeas"`)
	problem.Write(w, http.StatusUnauthorized, "send an API token that is good as: Authorization: Bearer <token>")
	return store.Token{}, false
}
