package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// TokenStore is a store that keeps tokens, too.
type TokenStore interface {
	store.Store
	store.Tokens
}

// RunTokens tests the part of a store that keeps who may use the API. open
// returns an empty store that is closed when its t ends.
func RunTokens(t *testing.T, open func(t testing.TB) TokenStore) {
	t.Helper()
	s := open(t)
	one := store.Token{
		ID: "tok_1", Name: "the data team's export", Digest: fixed(1), Scopes: []string{"read", "evidence"}, CreatedAt: start, CreatedBy: "ana", ExpiresAt: start.AddDate(0, 3, 0),
	}
	two := store.Token{ID: "tok_2", Name: "signals", Digest: fixed(2), Scopes: []string{"submit"}, CreatedAt: start.Add(time.Hour), CreatedBy: "max", ExpiresAt: start.AddDate(0, 0, 1)}
	ok(t, s.PutToken(t.Context(), one))
	ok(t, s.PutToken(t.Context(), two))
	if err := s.PutToken(t.Context(), store.Token{ID: "tok_3", Name: "again", Digest: fixed(1), Scopes: []string{"read"}, CreatedAt: start, ExpiresAt: start}); err == nil {
		t.Error("two tokens have one secret")
	}
	all, err := s.Tokens(t.Context())
	ok(t, err)
	same(t, "all tokens", []store.Token{two, one}, all)
	got, err := s.TokenOf(t.Context(), fixed(1))
	ok(t, err)
	same(t, "token by digest", one, got)
	if _, err := s.TokenOf(t.Context(), fixed(9)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown digest: %v", err)
	}

	ok(t, s.UseToken(t.Context(), one.ID, start.Add(2*time.Hour)))
	ok(t, s.UseToken(t.Context(), one.ID, start.Add(time.Hour))) // told late
	one.UsedAt = start.Add(2 * time.Hour)
	ok(t, s.RevokeToken(t.Context(), one.ID, "ana", start.Add(3*time.Hour)))
	ok(t, s.RevokeToken(t.Context(), one.ID, "max", start.Add(4*time.Hour)))
	one.RevokedAt, one.RevokedBy = start.Add(3*time.Hour), "ana"
	got, err = s.TokenOf(t.Context(), fixed(1))
	ok(t, err)
	same(t, "revoked token", one, got)
	if err := s.RevokeToken(t.Context(), "tok_9", "ana", start); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoking nothing: %v", err)
	}
}
