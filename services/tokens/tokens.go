// Package tokens is who may use the API: tokens with scopes and an end, made
// and revoked by people.
//
// It owes its callers this. A secret is shown once, when its token is made, and
// kept nowhere: the store has its digest. A token lets its holder do what its
// scopes name and nothing else, until it ends or is revoked, from that moment
// on. Who made and revoked which is on record before it is so.
package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Scope is what a token is for.
type Scope string

// Scopes.
const (
	Submit      Scope = "submit"      // hand in requests, signals, post and disclosures
	Read        Scope = "read"        // see how requests and connectors stand
	Operate     Scope = "operate"     // verify, retry, cancel, pause
	Decide      Scope = "decide"      // approve plans, deny, extend, hold, lift a cap, look at copies
	Package     Scope = "package"     // download people's packages: personal data
	Evidence    Scope = "evidence"    // take evidence away
	Suppression Scope = "suppression" // ask whether somebody may be imported
	Manage      Scope = "manage"      // make and revoke tokens
	All         Scope = "all"         // everything, also what no other scope names
)

// Scopes are all scopes there are, with what each is for.
var Scopes = []struct {
	Scope Scope
	For   string
}{
	{Submit, "hand in requests, signals, post and disclosures"},
	{Read, "see how requests and connectors stand"},
	{Operate, "verify, retry, cancel, pause"},
	{Decide, "approve plans, deny, extend, hold, lift a cap, look at copies"},
	{Package, "download people's packages: personal data"},
	{Evidence, "take evidence away"},
	{Suppression, "ask whether somebody may be imported"},
	{Manage, "make and revoke tokens"},
	{All, "everything, also what no other scope names"},
}

// Bounds of a token.
const (
	maxName = 80
	maxLife = 366 * 24 * time.Hour
	// prefix lets people and scanners tell what a secret is.
	prefix = "habeas_"
)

// ErrUnknown says that no token has a secret, or none that is still good.
var ErrUnknown = errors.New("this token is unknown, has ended or was revoked")

// Keeper makes, lists, checks and revokes tokens.
type Keeper struct {
	Store store.Tokens
	// Record puts on record who did what to which token.
	Record func(context.Context, store.Access) error
	Now    func() time.Time
}

// Wanted is a token to make.
type Wanted struct {
	Name   string
	Scopes []Scope
	// Ends is when it stops being good; at most a year from now.
	Ends time.Time
}

// check names what is wrong with a wish.
func (w *Wanted) check(now time.Time) error {
	var errs request.FieldErrors
	w.Name = strings.TrimSpace(w.Name)
	if w.Name == "" || utf8.RuneCountInString(w.Name) > maxName || strings.ContainsFunc(w.Name, func(r rune) bool { return r < ' ' }) {
		errs = append(errs, request.FieldError{Field: "name", Problem: "is missing or too long", Fix: fmt.Sprintf("say in up to %d characters what the token is for", maxName)})
	}
	for _, s := range w.Scopes {
		if !known(s) {
			errs = append(errs, request.FieldError{Field: "scopes", Problem: "name something that is no scope", Fix: "use " + listed()})
			break
		}
	}
	if len(w.Scopes) == 0 {
		errs = append(errs, request.FieldError{Field: "scopes", Problem: "are missing", Fix: "use " + listed()})
	}
	if !w.Ends.After(now) || w.Ends.After(now.Add(maxLife)) {
		errs = append(errs, request.FieldError{Field: "expires_at", Problem: "is not within a year from now", Fix: "let the token end sooner and make a new one then"})
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

func known(s Scope) bool {
	for _, one := range Scopes {
		if one.Scope == s {
			return true
		}
	}
	return false
}

func listed() string {
	names := make([]string, len(Scopes))
	for i, one := range Scopes {
		names[i] = string(one.Scope)
	}
	return strings.Join(names, ", ")
}

// Create makes a token for by and returns it with its secret, which nobody can
// ever be told again. Its error is [request.FieldErrors] for a wish that can't be
// fulfilled.
func (k *Keeper) Create(ctx context.Context, by string, w Wanted) (store.Token, string, error) {
	now := k.Now().UTC()
	if err := w.check(now); err != nil {
		return store.Token{}, "", err
	}
	secret := prefix + rand.Text()
	digest := sha256.Sum256([]byte(secret))
	t := store.Token{
		ID: "tok_" + strings.ToLower(rand.Text()[:12]), Name: w.Name, Digest: digest[:], CreatedAt: now.Truncate(time.Microsecond), CreatedBy: by,
		ExpiresAt: w.Ends.UTC().Truncate(time.Microsecond),
	}
	for _, one := range Scopes {
		if slices.Contains(w.Scopes, one.Scope) {
			t.Scopes = append(t.Scopes, string(one.Scope))
		}
	}
	if err := k.note(ctx, by, "create token "+t.ID+" for "+strings.Join(t.Scopes, " ")); err != nil {
		return store.Token{}, "", err
	}
	if err := k.Store.PutToken(ctx, t); err != nil {
		return store.Token{}, "", err
	}
	return t, secret, nil
}

// List returns all tokens, newest first.
func (k *Keeper) List(ctx context.Context) ([]store.Token, error) { return k.Store.Tokens(ctx) }

// Revoke ends a token at once. [store.ErrNotFound] is for one there never was.
func (k *Keeper) Revoke(ctx context.Context, by, id string) error {
	if err := k.note(ctx, by, "revoke token "+printable(id)); err != nil {
		return err
	}
	return k.Store.RevokeToken(ctx, id, by, k.Now().UTC())
}

// printable is an id as it may be recorded: somebody may send anything.
func printable(id string) string {
	if len(id) > 32 || strings.ContainsFunc(id, func(r rune) bool { return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
		return "that there is not"
	}
	return id
}

func (k *Keeper) note(ctx context.Context, by, what string) error {
	if by == "" {
		by = "api"
	}
	if err := k.Record(ctx, store.Access{At: k.Now().UTC(), Who: by, Role: "admin", Purpose: what, Allowed: true}); err != nil {
		return fmt.Errorf("putting it on record: %w", err)
	}
	return nil
}

// usedEvery is how exact the last use of a token is.
const usedEvery = time.Minute

// Check returns the token of a secret, and notes that it was used. [ErrUnknown]
// is for one that is not good. The store is asked every time, so that a token
// that was revoked opens nothing any more.
func (k *Keeper) Check(ctx context.Context, secret string) (store.Token, error) {
	if !strings.HasPrefix(secret, prefix) {
		return store.Token{}, ErrUnknown
	}
	digest := sha256.Sum256([]byte(secret))
	t, err := k.Store.TokenOf(ctx, digest[:])
	now := k.Now().UTC()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Token{}, ErrUnknown
	case err != nil:
		return store.Token{}, err
	case !t.RevokedAt.IsZero(), !t.ExpiresAt.After(now):
		return store.Token{}, ErrUnknown
	}
	if now.Sub(t.UsedAt) >= usedEvery {
		if err := k.Store.UseToken(ctx, t.ID, now.Truncate(usedEvery)); err != nil {
			return store.Token{}, err
		}
	}
	return t, nil
}

// Allows says whether a token is for a scope.
func Allows(t store.Token, s Scope) bool {
	return slices.Contains(t.Scopes, string(s)) || slices.Contains(t.Scopes, string(All))
}

// Patience is how long a program that has a token for asking about people may
// ask nothing before it is taken not to ask.
const Patience = 7 * 24 * time.Hour

// NotAsking says whether a token was made for a program that has to ask before it
// imports, sells or goes on using (Civ. Code 1798.105(c)(2), 1798.120(c); 11 CCR
// 7022(f)(3)), and does not: it is good, serves asking alone, and was not used for
// [Patience]. Of a token that is for other things too, a use says nothing.
func NotAsking(t store.Token, now time.Time) bool {
	since := t.CreatedAt
	if t.UsedAt.After(since) {
		since = t.UsedAt
	}
	return State(t, now) == "good" && len(t.Scopes) == 1 && t.Scopes[0] == string(Suppression) && now.Sub(since) > Patience
}

// State is how a token stands: good, ended or revoked.
func State(t store.Token, now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.After(now):
		return "ended"
	default:
		return "good"
	}
}
