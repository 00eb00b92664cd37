package litestore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Tokens = (*Store)(nil)

// PutToken implements [store.Tokens].
func (s *Store) PutToken(ctx context.Context, t store.Token) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return insert(ctx, tx, "api_token", row.Tokens, []*row.Token{row.OfToken(t)})
	})
	if err != nil {
		return fmt.Errorf("storing a token: %w", err)
	}
	return nil
}

// Tokens implements [store.Tokens].
func (s *Store) Tokens(ctx context.Context) ([]store.Token, error) {
	return s.tokens(ctx, " ORDER BY created_at DESC, id")
}

// TokenOf implements [store.Tokens].
func (s *Store) TokenOf(ctx context.Context, digest []byte) (store.Token, error) {
	found, err := s.tokens(ctx, " WHERE digest = ?", digest)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("token: %w", store.ErrNotFound)
	}
	if err != nil {
		return store.Token{}, err
	}
	return found[0], nil
}

func (s *Store) tokens(ctx context.Context, where string, args ...any) ([]store.Token, error) {
	rows, err := query(ctx, s.db, row.Tokens, "SELECT "+row.Names(row.Tokens)+" FROM api_token"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	return row.Map(rows, (*row.Token).Domain), nil
}

// UseToken implements [store.Tokens].
func (s *Store) UseToken(ctx context.Context, id string, at time.Time) error {
	if _, err := s.exec(ctx, `UPDATE api_token SET used_at = ?2 WHERE id = ?1 AND (used_at IS NULL OR used_at < ?2)`, id, micros(at)); err != nil {
		return fmt.Errorf("noting that a token was used: %w", err)
	}
	return nil
}

// RevokeToken implements [store.Tokens].
func (s *Store) RevokeToken(ctx context.Context, id, by string, at time.Time) error {
	n, err := s.exec(ctx, `UPDATE api_token SET revoked_at = coalesce(revoked_at, ?2), revoked_by = CASE WHEN revoked_at IS NULL THEN ?3 ELSE revoked_by END WHERE id = ?1`, id, micros(at), row.CleanText(by))
	if err != nil {
		return fmt.Errorf("revoking a token: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("token: %w", store.ErrNotFound)
	}
	return nil
}
