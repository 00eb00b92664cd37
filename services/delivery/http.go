package delivery

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// headerActor says who of the staff acts, where the token does not.
const headerActor = "Habeas-Actor"

// Handler serves /v1/requests/{id}/package: GET is the zip, streamed, and 410 once
// its time is over; one that waits for a look is 409 there, and at …/package/review it is given
// to who looks; POST says that it was mailed, with {"on", "tracking"}
// or without. It does not authenticate.
func (r *Room) Handler(q *Queue) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/requests/{id}/package", r.give(q, false))
	mux.HandleFunc("GET /v1/requests/{id}/package/review", r.give(q, true))
	mux.HandleFunc("POST /v1/requests/{id}/package", func(w http.ResponseWriter, req *http.Request) {
		id, err := request.ParseID(req.PathValue("id"))
		if err != nil {
			problem.Write(w, http.StatusNotFound, "no such request")
			return
		}
		var body struct {
			On       request.Date `json:"on"`
			Tracking string       `json:"tracking"`
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, 16<<10))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&body); err != nil && !errors.Is(err, io.EOF) {
			problem.Write(w, http.StatusBadRequest, `send nothing, or {"on": "yyyy-mm-dd", "tracking": "the carrier's number"}`)
			return
		}
		var fields request.FieldErrors
		m := request.Mailed{On: body.On, Tracking: body.Tracking, By: cmp.Or(request.ActorOf(req.Context()), req.Header.Get(headerActor))}
		switch err := q.Posted(req.Context(), id, m); {
		case errors.As(err, &fields):
			problem.Write(w, http.StatusUnprocessableEntity, fields.Error())
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, ErrNotForMail):
			problem.Write(w, http.StatusConflict, ErrNotForMail.Error())
		case errors.Is(err, store.ErrNotFound):
			problem.Write(w, http.StatusNotFound, "no such request")
		default:
			r.config.Logger.ErrorContext(req.Context(), "taking that an answer was mailed", slog.String("request", string(id)), slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "it can't be written down now")
		}
	})
	return mux
}

// give gives a package out, toReview one that waits for a look too.
func (r *Room) give(q *Queue, toReview bool) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		id, err := request.ParseID(req.PathValue("id"))
		if err != nil {
			problem.Write(w, http.StatusNotFound, "no such request")
			return
		}
		body, size, err := q.Download(req.Context(), r, id, toReview)
		switch {
		case errors.Is(err, store.ErrNotFound):
			problem.Write(w, http.StatusNotFound, "no such request")
			return
		case errors.Is(err, ErrNotFound):
			problem.Write(w, http.StatusGone, "the package's time is over; make a new request")
			return
		case errors.Is(err, ErrNoPackage):
			problem.Write(w, http.StatusConflict, ErrNoPackage.Error())
			return
		case errors.Is(err, request.ErrReview):
			problem.Write(w, http.StatusConflict, request.ErrReview.Error()+"; …/package/review gives it to them")
			return
		case err != nil:
			r.config.Logger.ErrorContext(req.Context(), "opening a package", slog.String("request", string(id)), slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the package can't be opened now")
			return
		}
		defer body.Close()
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="privacy-package.zip"`)
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		w.Header().Set("Cache-Control", "no-store")
		if _, err := io.Copy(w, body); err != nil {
			r.config.Logger.WarnContext(req.Context(), "sending a package", slog.String("request", string(id)), slog.Any("error", err))
		}
	}
}
