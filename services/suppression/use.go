package suppression

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Use is what the list says of using a person's records for a purpose.
type Use string

// The uses.
const (
	// Free is for somebody who was not erased: this list says nothing of them.
	Free Use = "free"
	// Allowed is for records that were kept for this very purpose, while it lasts.
	Allowed Use = "allowed"
	// Denied is everything else: what was kept serves its reason alone (11 CCR
	// 7022(f)(3)).
	Denied Use = "denied"
)

// Purpose is what records of a connector's system are to be used for: the code of
// a basis, such as "D8", or anything else.
type Purpose struct {
	Connector, Code string
	At              time.Time
}

// MayUse answers for each identifier, in order, with two questions to the store.
// The identifiers are in canonical form.
func (l *List) MayUse(ctx context.Context, p Purpose, ids []request.Identifier) ([]Use, error) {
	listed, err := l.Check(ctx, ids)
	if err != nil {
		return nil, err
	}
	peppers, err := l.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	var digests [][]byte
	owner := make(map[string][]int)
	out := make([]Use, len(ids))
	for i, id := range ids {
		out[i] = Free
		if listed[i] != Deleted {
			continue
		}
		out[i] = Denied
		for _, d := range peppers.digests(id) {
			digests = append(digests, d)
			owner[string(d)] = append(owner[string(d)], i)
		}
	}
	if len(digests) == 0 {
		return out, nil
	}
	kept, err := l.Store.Retained(ctx, digests)
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		if !serves(k, p) {
			continue
		}
		for _, i := range owner[string(k.Digest)] {
			out[i] = Allowed
		}
	}
	return out, nil
}

// serves reports whether records that were kept may serve a purpose. Without a
// known end they may for as long as they are kept.
func serves(k store.Retained, p Purpose) bool {
	return k.Connector == p.Connector && k.Basis == p.Code && (k.Until.IsZero() || p.At.Before(k.Until))
}

// UseHandler answers POST /v1/kept:check: a connector, a purpose and up to a
// thousand identifiers, and for each of them free, allowed or denied, in order.
// A denial is logged with the connector and without anything of the person or
// the purpose, whose text is the caller's. Whoever mounts it asks for a token
// first.
func (l *List) UseHandler(logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var q struct {
			Connector   string          `json:"connector"`
			Purpose     string          `json:"purpose"`
			Identifiers json.RawMessage `json:"identifiers"`
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, checkBytes))
		dec.DisallowUnknownFields()
		if dec.Decode(&q) != nil || q.Connector == "" || q.Purpose == "" {
			problem.Write(w, http.StatusBadRequest, `send {"connector": "billing", "purpose": "D8", "identifiers": [{"kind": "email", "value": "…"}]} of at most 1 MiB`)
			return
		}
		ids, err := readIdentifiers(q.Identifiers)
		var errs request.FieldErrors
		switch {
		case errors.As(err, &errs):
			problem.Write(w, http.StatusUnprocessableEntity, errs.Error())
			return
		case err != nil:
			problem.Write(w, http.StatusBadRequest, `identifiers: send [{"kind": "email", "value": "…"}]`)
			return
		}
		out, err := l.MayUse(req.Context(), Purpose{Connector: q.Connector, Code: q.Purpose, At: time.Now()}, ids)
		if err != nil {
			logger.ErrorContext(req.Context(), "checking what was kept", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "this can't be read now; until it can, use nothing")
			return
		}
		denied := 0
		for _, u := range out {
			if u == Denied {
				denied++
			}
		}
		if denied > 0 {
			logger.WarnContext(req.Context(), "a use of kept records was denied", slog.Int("people", denied), slog.Int("asked", len(out)))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string][]Use{"answers": out}) // the caller is gone: nobody is left to tell
	})
}
