package aftercare

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// bodyMost bounds the body of a call.
const bodyMost = 1 << 16

// Handlers are the service's part of the API, by pattern. Whoever mounts them
// asks for a token first.
func (s *Service) Handlers(logger *slog.Logger) map[string]http.Handler {
	answer := func(fn func(*http.Request) (any, error)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Body = http.MaxBytesReader(w, req.Body, bodyMost)
			out, err := fn(req)
			if err != nil {
				refuse(w, req, logger, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			_ = json.NewEncoder(w).Encode(out) // the caller is gone: nobody is left to tell
		})
	}
	return map[string]http.Handler{
		"POST /v1/replays":              answer(s.postReplay),
		"GET /v1/replays":               answer(s.getReplays),
		"GET /v1/replays/{id}":          answer(func(req *http.Request) (any, error) { return s.Replay(req.Context(), req.PathValue("id")) }),
		"GET /v1/replays:preview":       answer(s.getPreview),
		"GET /v1/incidents":             answer(s.getIncidents),
		"POST /v1/incidents/{id}/close": answer(s.postClose),
	}
}

func refuse(w http.ResponseWriter, req *http.Request, logger *slog.Logger, err error) {
	status, detail := http.StatusServiceUnavailable, "that can't be told now; try again"
	switch {
	case errors.Is(err, ErrInput):
		status, detail = http.StatusUnprocessableEntity, err.Error()
	case errors.Is(err, store.ErrNotFound):
		status, detail = http.StatusNotFound, "there is none of that id"
	default:
		logger.ErrorContext(req.Context(), "answering for what comes after an answer", slog.Any("error", err))
	}
	problem.Write(w, status, detail)
}

// readBody reads a JSON body without fields that are not known.
func readBody(req *http.Request, into any) error {
	dec := json.NewDecoder(req.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return errors.Join(errBody, ErrInput)
	}
	return nil
}

var errBody = errors.New("the body is not the JSON of such a call; see docs/api.md")

// who is the holder of the token, or who the caller says it is where the token
// is the deployment's own.
func who(req *http.Request, said string) string {
	if holder := request.ActorOf(req.Context()); holder != "" {
		return holder
	}
	return said
}

func (s *Service) postReplay(req *http.Request) (any, error) {
	var wish struct {
		Connector string    `json:"connector"`
		Since     time.Time `json:"since"`
		By        string    `json:"by"`
	}
	if err := readBody(req, &wish); err != nil {
		return nil, err
	}
	return s.Start(req.Context(), wish.Connector, wish.Since, who(req, wish.By))
}

func (s *Service) getReplays(req *http.Request) (any, error) {
	all, err := s.Replays(req.Context())
	return map[string]any{"replays": all}, err
}

func (s *Service) getPreview(req *http.Request) (any, error) {
	since, err := time.Parse(time.RFC3339, req.URL.Query().Get("since"))
	if err != nil {
		return nil, errors.Join(errors.New("since: want a time such as 2026-11-20T03:00:00Z"), ErrInput)
	}
	return s.Preview(req.Context(), req.URL.Query().Get("connector"), since)
}

func (s *Service) getIncidents(req *http.Request) (any, error) {
	limit, _ := strconv.Atoi(req.URL.Query().Get("limit")) // what is no number is the usual page
	all, err := s.Incidents(req.Context(), req.URL.Query().Get("open") == "true", limit)
	return map[string]any{"incidents": all}, err
}

func (s *Service) postClose(req *http.Request) (any, error) {
	var said struct {
		By   string `json:"by"`
		Note string `json:"note"`
	}
	if err := readBody(req, &said); err != nil {
		return nil, err
	}
	return struct{}{}, s.Close(req.Context(), req.PathValue("id"), who(req, said.By), said.Note)
}
