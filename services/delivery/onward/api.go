package onward

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Listed is a recipient's notice as staff see it. It names no consumer.
type Listed struct {
	ID             request.ID          `json:"id"`
	Request        request.ID          `json:"request"`
	Recipient      string              `json:"recipient"`
	Role           string              `json:"role"`
	Contract       string              `json:"contract,omitempty"`
	Categories     string              `json:"categories"`
	Basis          string              `json:"basis"` // "flow", "ledger", or "source" for one that gave what was wrong
	Channel        string              `json:"channel,omitempty"`
	State          request.OnwardState `json:"state"`
	Overdue        bool                `json:"overdue"`
	Failed         string              `json:"failed,omitempty"`
	Reminders      int                 `json:"reminders,omitempty"`
	Explanation    string              `json:"explanation,omitempty"`
	Deadline       time.Time           `json:"deadline"`
	ToldAt         time.Time           `json:"told_at,omitzero"`
	AcknowledgedAt time.Time           `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string              `json:"acknowledged_by,omitempty"`
}

// List is the answer of GET /v1/recipients/notices.
type List struct {
	Standing store.OnwardStanding `json:"standing"`
	Notices  []Listed             `json:"notices"`
}

const listMost = 500

// API serves staff below /v1/recipients: GET /v1/recipients/notices lists the
// overdue ones, or all of one request with ?request=ID, and POST
// /v1/recipients/notices/{id}/acknowledge takes the word of a recipient that
// gave it another way. actor says who calls. Whoever mounts it asks for a token
// first.
func (r *Room) API(actor func(*http.Request) string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/recipients/notices", r.list)
	mux.HandleFunc("POST /v1/recipients/notices/{id}/acknowledge", func(w http.ResponseWriter, req *http.Request) {
		id, err := request.ParseID(req.PathValue("id"))
		who := actor(req)
		switch {
		case err != nil:
			err = store.ErrNotFound
		case who == "" || who == Recipient || len(who) > 200:
			problem.Write(w, http.StatusUnprocessableEntity, "say who was told, in the header Habeas-Actor")
			return
		default:
			err = r.Acknowledge(req.Context(), id, who)
		}
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, store.ErrNotFound):
			problem.Write(w, http.StatusNotFound, "there is no notice with this id")
		case errors.Is(err, request.ErrOnwardExcused):
			problem.Write(w, http.StatusConflict, request.ErrOnwardExcused.Error())
		default:
			r.Logger.ErrorContext(req.Context(), "acknowledging for a recipient", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "this can't be written now; try again")
		}
	})
	return mux
}

func (r *Room) list(w http.ResponseWriter, req *http.Request) {
	now := r.Now()
	standing, err := r.Store.OnwardStanding(req.Context(), now)
	var rows []store.Onward
	if text := req.URL.Query().Get("request"); err == nil && text != "" {
		id, parseErr := request.ParseID(text)
		if parseErr != nil {
			problem.Write(w, http.StatusUnprocessableEntity, "request: is no request's id")
			return
		}
		rows, err = r.Store.OnwardOf(req.Context(), id)
	} else if err == nil {
		rows, err = r.Store.OverdueOnward(req.Context(), now, listMost)
	}
	if err != nil {
		r.Logger.ErrorContext(req.Context(), "listing recipients", slog.Any("error", err))
		problem.Write(w, http.StatusServiceUnavailable, "this can't be read now; try again")
		return
	}
	out := List{Standing: standing, Notices: make([]Listed, len(rows))}
	for i := range rows {
		o := &rows[i]
		out.Notices[i] = Listed{
			ID: o.ID, Request: o.RequestID, Recipient: o.Recipient, Role: o.Role, Contract: o.Contract, Categories: o.Letters, Basis: o.Basis, Channel: o.Channel,
			State: o.State, Overdue: o.Overdue(now), Failed: o.Failed, Reminders: o.Reminders, Explanation: o.Explanation, Deadline: o.Deadline,
			ToldAt: o.ToldAt, AcknowledgedAt: o.AcknowledgedAt, AcknowledgedBy: o.AcknowledgedBy,
		}
	}
	r.json(w, http.StatusOK, out)
}
