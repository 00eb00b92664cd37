package drop

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/habeas-data/habeas/services/internal/problem"
)

const (
	checkMost  = 1000
	checkBytes = 4 << 20
)

// CheckHandler answers POST /v1/drop:check: up to a thousand people as a program
// is about to take them into use, and for each of them "listed" or "none", in
// order. Who is listed has asked the state's platform to be deleted by all
// brokers. It logs nothing of what it was asked. Whoever mounts it asks for a
// token first.
func (l *Ledger) CheckHandler(logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var q struct {
			People []Holding `json:"people"`
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, checkBytes))
		dec.DisallowUnknownFields()
		if dec.Decode(&q) != nil || len(q.People) == 0 || len(q.People) > checkMost {
			problem.Write(w, http.StatusBadRequest, `send {"people": [{"emails": ["…"]}]} with 1 to 1000 people and of at most 4 MiB`)
			return
		}
		for _, h := range q.People {
			if _, err := h.person(); err != nil {
				problem.Write(w, http.StatusUnprocessableEntity, "people: births are written yyyy-mm-dd")
				return
			}
		}
		listed, err := l.Listed(req.Context(), q.People)
		if err != nil {
			logger.ErrorContext(req.Context(), "checking the platform's lists", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the lists can't be read now; until they can, import nobody")
			return
		}
		answers := make([]string, len(listed))
		for i, yes := range listed {
			answers[i] = "none"
			if yes {
				answers[i] = "listed"
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string][]string{"answers": answers}) // the caller is gone: nobody is left to tell
	})
}
