package intake

import (
	"context"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Identifiers returns whom a request is about, for the doors.
func (r *Room) Identifiers(ctx context.Context, req *store.Request) ([]request.Identifier, error) {
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return nil, err
	}
	return key.OpenIdentifiers(req.ID, req.Sealed)
}

// Reached remembers how sure one is of a requester when that is not enough yet:
// what the request falls back to at its end depends on it (11 CCR 7024(a)). A
// lower level, and one told again, changes nothing.
func (r *Room) Reached(ctx context.Context, id request.ID, level request.Level) error {
	return r.change(ctx, id, func(s *store.Snapshot) error {
		have := s.Request.Case.Reached
		if !level.Valid() || have.AtLeast(level) || s.Request.State() != request.AwaitingVerification {
			return nil
		}
		s.Request.Case.Reached, s.Changed = level, true
		return nil
	})
}

// Resides remembers that a system holds an address of the person in the state
// whose law was applied: nobody may refuse her for living elsewhere then. Nobody
// is asked for a paper, and nothing is remembered of an address elsewhere (Civ.
// Code 1798.140(i)).
func (r *Room) Resides(ctx context.Context, id request.ID) error {
	return r.change(ctx, id, func(s *store.Snapshot) error {
		if !s.Request.Case.Resident {
			s.Request.Case.Resident, s.Changed = true, true
		}
		return nil
	})
}

// Lookup returns a request without its jobs, for the doors.
func (r *Room) Lookup(ctx context.Context, id request.ID) (store.Request, error) {
	req, _, err := r.Store.Get(ctx, id)
	return req, err
}

// Digests returns the keyed digests by which the requests of whoever has one of
// the identifiers are found; see [store.Filter.Person]. Identifiers are
// normalised first; one that can't be is a [request.FieldErrors].
func (r *Room) Digests(ids []request.Identifier) ([][]byte, error) {
	normal := make([]request.Identifier, len(ids))
	for i, id := range ids {
		var err error
		if normal[i], err = id.Normalize(); err != nil {
			return nil, request.FieldErrors{{Field: "identifier", Problem: "can't be used", Fix: err.Error()}}
		}
	}
	return r.people(normal), nil
}
