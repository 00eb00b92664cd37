package tokens

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// View is a token as the API tells of it.
type View struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	RevokedBy string     `json:"revoked_by,omitempty"`
	// NotAsking says that its program should ask about people and does not.
	NotAsking bool `json:"not_asking,omitempty"`
	// Secret is there in the answer to making one, and never again.
	Secret string `json:"secret,omitempty"`
}

func viewOf(t store.Token, now time.Time) View {
	v := View{
		ID: t.ID, Name: t.Name, Scopes: t.Scopes, State: State(t, now), CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: t.ExpiresAt, RevokedBy: t.RevokedBy, NotAsking: NotAsking(t, now),
	}
	if !t.UsedAt.IsZero() {
		v.UsedAt = &t.UsedAt
	}
	if !t.RevokedAt.IsZero() {
		v.RevokedAt = &t.RevokedAt
	}
	return v
}

// Body is a token as the API is asked to make it. Without ExpiresAt it ends
// after Days.
type Body struct {
	Name      string    `json:"name"`
	Scopes    []Scope   `json:"scopes"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Days      int       `json:"days,omitempty"`
}

// Handler serves GET and POST /v1/tokens and DELETE /v1/tokens/{id}. Whoever
// mounts it asks for the scope manage first. by is who acts when the call names
// nobody.
func (k *Keeper) Handler(logger *slog.Logger, by string) http.Handler {
	who := func(req *http.Request) string { return cmp.Or(request.ActorOf(req.Context()), by) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/tokens", func(w http.ResponseWriter, req *http.Request) {
		all, err := k.List(req.Context())
		if err != nil {
			k.fail(w, req, logger, err)
			return
		}
		views := make([]View, len(all))
		for i := range all {
			views[i] = viewOf(all[i], k.Now())
		}
		answer(w, http.StatusOK, map[string]any{"tokens": views})
	})
	mux.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, req *http.Request) {
		var b Body
		dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, 16<<10))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&b); err != nil {
			problem.Write(w, http.StatusBadRequest, `send {"name": "…", "scopes": ["read"], "days": 90}`)
			return
		}
		if b.Days > 0 && b.ExpiresAt.IsZero() {
			b.ExpiresAt = k.Now().AddDate(0, 0, min(b.Days, 10_000))
		}
		for _, scope := range b.Scopes {
			if !gives(req.Context(), scope) {
				problem.Write(w, http.StatusForbidden, "a token gives nobody more than it has itself, and never decide or all: what takes two people would take one with two tokens")
				return
			}
		}
		t, secret, err := k.Create(req.Context(), who(req), Wanted{Name: b.Name, Scopes: b.Scopes, Ends: b.ExpiresAt})
		if err != nil {
			k.fail(w, req, logger, err)
			return
		}
		v := viewOf(t, k.Now())
		v.Secret = secret
		answer(w, http.StatusCreated, v)
	})
	mux.HandleFunc("DELETE /v1/tokens/{id}", func(w http.ResponseWriter, req *http.Request) {
		if err := k.Revoke(req.Context(), who(req), req.PathValue("id")); err != nil {
			k.fail(w, req, logger, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (k *Keeper) fail(w http.ResponseWriter, req *http.Request, logger *slog.Logger, err error) {
	var fields request.FieldErrors
	switch {
	case errors.As(err, &fields):
		problem.Write(w, http.StatusUnprocessableEntity, fields.Error())
	case errors.Is(err, store.ErrNotFound):
		problem.Write(w, http.StatusNotFound, "there is no such token")
	default:
		logger.ErrorContext(req.Context(), "keeping tokens", slog.Any("error", err))
		problem.Write(w, http.StatusServiceUnavailable, "tokens can't be read or changed now")
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone: nobody is left to tell
}
