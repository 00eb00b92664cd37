package disclosure

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
)

// addBytes bounds the body of a call.
const addBytes = 4 << 20

// Handler answers POST /v1/disclosures: up to [AddMost] disclosures in
// {"disclosures": […]}, all of which are put on the ledger or none. It answers
// how many rows are new and logs nothing of what it was sent. Whoever mounts it
// asks for a token first.
func (l *Ledger) Handler(logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body struct {
			Disclosures []Given `json:"disclosures"`
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, addBytes))
		dec.DisallowUnknownFields()
		if dec.Decode(&body) != nil { // the error may quote what was sent
			problem.Write(w, http.StatusBadRequest, `send {"disclosures": [{"id": …, "at": …, "recipient": …, "categories": […], "as": …, "identifiers": […]}]} of at most 4 MiB`)
			return
		}
		added, err := l.Add(req.Context(), body.Disclosures, time.Now())
		var errs request.FieldErrors
		switch {
		case errors.As(err, &errs):
			problem.Write(w, http.StatusUnprocessableEntity, errs.Error())
		case err != nil:
			logger.ErrorContext(req.Context(), "adding to the disclosure ledger", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the ledger can't be written now; send the same again later")
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]int64{"added": added}) // the caller may be gone
		}
	})
}
