package edge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ErrNotOptedIn says that a request is no opt-in that was confirmed and carried
// out.
var ErrNotOptedIn = errors.New("the request is not an opt-in that was confirmed and carried out (11 CCR 7028)")

// Lift undoes the choice of whoever opted in again: a request to opt in, which
// takes two steps, must have been carried out. A later signal counts anew.
func (e *Edge) Lift(ctx context.Context, id request.ID) error {
	req, err := e.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if req.Right() != request.OptInSaleShare || req.Ending == nil || req.Ending.Result != request.ResultComplete {
		return ErrNotOptedIn
	}
	ids, err := e.Identifiers(ctx, &req)
	if err != nil {
		return err
	}
	digests := make([][]byte, len(ids))
	for i, id := range ids {
		digests[i] = e.digest("choice", id)
	}
	return e.Doors.Lift(ctx, digests)
}

// Lifting is POST /v1/signals/lift, with the request that opted in. It does not
// authenticate.
func (e *Edge) Lifting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem.Write(w, http.StatusMethodNotAllowed, "use POST")
			return
		}
		var body struct {
			Request string `json:"request"`
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&body); err != nil {
			problem.Write(w, http.StatusUnprocessableEntity, "the body is not what is asked for: send request, the id of the request that opted in")
			return
		}
		id, err := request.ParseID(body.Request)
		if err == nil {
			err = e.Lift(r.Context(), id)
		} else {
			err = store.ErrNotFound
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			problem.Write(w, http.StatusNotFound, "no such request")
		case errors.Is(err, ErrNotOptedIn):
			problem.Write(w, http.StatusConflict, ErrNotOptedIn.Error())
		case err != nil:
			e.Logger.ErrorContext(r.Context(), "lifting a choice", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the choice could not be lifted now; send it again")
		default:
			writeJSON(w, http.StatusOK, Standing{})
		}
	})
}
