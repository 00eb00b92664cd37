package tokens

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// listing is the route of the list of requests. What it shows is the log of
// 11 CCR 7101, which serves compliance alone.
const listing = "GET /v1/requests"

// packages and reviews are the routes of a person's package: all that is held of one.
const (
	packages = "GET /v1/requests/{id}/package"
	reviews  = "GET /v1/requests/{id}/package/review"
)

// PurposeHeader is where a caller may say what the list of requests is read for.
// Who says nothing says compliance.
const PurposeHeader = "Habeas-Purpose"

// look is somebody who wants to see the list.
type look struct {
	who     string
	scope   Scope
	allowed bool
}

// mayList puts a look at the list of requests on record, refused ones too,
// before anything is shown. It answers the call, and returns false, when there is
// another purpose than compliance or the look can't be recorded. A caller whose
// scopes don't allow it is recorded and left to the caller of this.
func (g *Guard) mayList(w http.ResponseWriter, req *http.Request, l look) bool {
	purpose := req.Header.Get(PurposeHeader)
	if purpose == "" {
		purpose = records.Compliance
	}
	fine := purpose == records.Compliance
	if g.Keeper == nil {
		problem.Write(w, http.StatusServiceUnavailable, "the list of requests is not here: looks at it can't be put on record")
		return false
	}
	err := g.Keeper.Record(req.Context(), store.Access{
		At: g.Now().UTC(), Who: l.who, Role: string(l.scope), Purpose: fmt.Sprintf("API: the list of requests, for %.40q", purpose), Allowed: l.allowed && fine,
	})
	switch {
	case err != nil:
		g.Logger.ErrorContext(req.Context(), "putting a look at the list of requests on record", slog.Any("error", err))
		problem.Write(w, http.StatusServiceUnavailable, "the look can't be put on record now, so nothing is shown; try again")
		return false
	case l.allowed && !fine:
		problem.Write(w, http.StatusForbidden, records.ErrPurpose.Error())
		return false
	default:
		return true
	}
}

// mayTake puts on record, before anything is given out, that the holder of a token
// takes a person's package, and answers the call where it can't be. Refused tries
// are recorded too. The deployment's own token is left out: by it our rooms fetch
// what a person downloads and what staff print, and keep account of that themselves.
func (g *Guard) mayTake(w http.ResponseWriter, req *http.Request, l look) bool {
	id, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v1/requests/"), "/")
	of, err := request.ParseID(id)
	if err != nil {
		return true // there is none to take
	}
	err = g.Keeper.Record(req.Context(), store.Access{
		At: g.Now().UTC(), Who: l.who, Role: string(l.scope), Purpose: "API: the package of request " + string(of), Allowed: l.allowed,
	})
	if err != nil {
		g.Logger.ErrorContext(req.Context(), "putting on record that a package is taken", slog.Any("error", err))
		problem.Write(w, http.StatusServiceUnavailable, "it can't be put on record now, so nothing is given out; try again")
		return false
	}
	return true
}
