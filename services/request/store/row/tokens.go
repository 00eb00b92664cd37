package row

import (
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// Token is a row of table api_token. Scopes are joined with spaces.
type Token struct {
	ID, Name, Scopes, CreatedBy, RevokedBy  string
	Digest                                  []byte
	CreatedAt, ExpiresAt, UsedAt, RevokedAt time.Time
}

// Tokens are its columns.
var Tokens = []Column[Token]{
	{"id", Text, false, func(t *Token) any { return &t.ID }},
	{"name", Text, false, func(t *Token) any { return &t.Name }},
	{"digest", Bytes, false, func(t *Token) any { return &t.Digest }},
	{"scopes", Text, false, func(t *Token) any { return &t.Scopes }},
	{"created_at", Time, false, func(t *Token) any { return &t.CreatedAt }},
	{"created_by", Text, false, func(t *Token) any { return &t.CreatedBy }},
	{"expires_at", Time, false, func(t *Token) any { return &t.ExpiresAt }},
	{"used_at", Time, true, func(t *Token) any { return &t.UsedAt }},
	{"revoked_at", Time, true, func(t *Token) any { return &t.RevokedAt }},
	{"revoked_by", Text, true, func(t *Token) any { return &t.RevokedBy }},
}

// OfToken makes the row of a token.
func OfToken(t store.Token) *Token {
	return &Token{
		ID: t.ID, Name: CleanText(t.Name), Digest: t.Digest, Scopes: strings.Join(t.Scopes, " "), CreatedAt: t.CreatedAt, CreatedBy: CleanText(t.CreatedBy),
		ExpiresAt: t.ExpiresAt, UsedAt: t.UsedAt, RevokedAt: t.RevokedAt, RevokedBy: CleanText(t.RevokedBy),
	}
}

// Domain makes the token of a row.
func (t *Token) Domain() store.Token {
	return store.Token{
		ID: t.ID, Name: t.Name, Digest: t.Digest, Scopes: strings.Fields(t.Scopes), CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: t.ExpiresAt, UsedAt: t.UsedAt, RevokedAt: t.RevokedAt, RevokedBy: t.RevokedBy,
	}
}
