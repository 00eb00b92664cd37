package tokens

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/request/store"
)

// listing is the route of the list of requests. What it shows is the log of
// 11 CCR 7101, which serves compliance alone.
const listing = "GET /v1/requests"

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
