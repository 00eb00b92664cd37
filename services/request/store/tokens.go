package store

import (
	"context"
	"time"
)

// Tokens is who may use the API besides the deployment itself. The stores that
// keep requests keep it too.
type Tokens interface {
	// PutToken stores a new token.
	PutToken(ctx context.Context, t Token) error
	// Tokens returns all tokens, those that ended too, newest first.
	Tokens(ctx context.Context) ([]Token, error)
	// TokenOf returns the token with a digest, whether it is still good or not,
	// or [ErrNotFound].
	TokenOf(ctx context.Context, digest []byte) (Token, error)
	// UseToken remembers that a token was used; an earlier time changes nothing.
	UseToken(ctx context.Context, id string, at time.Time) error
	// RevokeToken ends a token, from the next [Tokens.TokenOf] on. One that was
	// revoked stays as it was. [ErrNotFound] is for one that never was.
	RevokeToken(ctx context.Context, id, by string, at time.Time) error
}

// Token is a right to use the API. The secret itself is nowhere.
type Token struct {
	// ID names it to people and in records.
	ID   string
	Name string
	// Digest is SHA-256 of the secret.
	Digest []byte
	// Scopes are what it is for.
	Scopes               []string
	CreatedAt, ExpiresAt time.Time
	CreatedBy            string
	// UsedAt is when it was last used, to the minute; zero for never.
	UsedAt time.Time
	// RevokedAt and RevokedBy are zero while nobody ended it.
	RevokedAt time.Time
	RevokedBy string
}
