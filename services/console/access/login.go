package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/habeas-data/habeas/services/internal/attempts"
	"github.com/habeas-data/habeas/services/internal/room"
)

// LoginConfig names the company's login for staff (OpenID Connect).
type LoginConfig struct {
	Issuer           string          `yaml:"issuer"`
	ClientID         string          `yaml:"client_id"`
	ClientSecretFile room.SecretFile `yaml:"client_secret_file"`
	// RedirectURL is the console's address with "/login/callback" at its end.
	RedirectURL string `yaml:"redirect_url"`
	// Scopes are asked for beside openid.
	Scopes []string `yaml:"scopes"`
	// NameClaim is the claim that names a person in records; sub unless set. It
	// must be one that people cannot change themselves. An e-mail address counts
	// only when the login calls it verified.
	NameClaim string `yaml:"name_claim"`
	// RolesClaim is the claim that lists a person's groups; groups unless set.
	RolesClaim string `yaml:"roles_claim"`
	// Roles says which group has which role.
	Roles map[string]Role `yaml:"roles"`
	// Proxied says that a proxy in front adds the client's address.
	Proxied bool `yaml:"proxied"`
}

func (c LoginConfig) https() bool { return strings.HasPrefix(c.RedirectURL, "https://") }

// check names the setting that is wrong.
func (c LoginConfig) check() error {
	back, err := url.Parse(c.RedirectURL)
	switch {
	case c.ClientID == "":
		return errors.New("console.login.client_id is missing: register the console at the issuer")
	case err != nil || back.Host == "" || back.Path != callbackPath:
		return fmt.Errorf("console.login.redirect_url: want the console's address with %s at its end", callbackPath)
	case len(c.Roles) == 0:
		return errors.New("console.login.roles is empty: say which group has which role, or nobody may do anything")
	}
	for group, role := range c.Roles {
		if !slices.Contains(Roles, role) {
			return fmt.Errorf("console.login.roles: group %q has role %q, which there is not; want one of %v", group, role, Roles)
		}
	}
	return nil
}

const (
	callbackPath = "/login/callback"
	cookieLogin  = "habeas_login"
	loginTakes   = 10 * time.Minute
	// askTakes bounds how long the issuer has for an answer.
	askTakes = 10 * time.Second
)

// login is what is known of the issuer, once it was asked.
type login struct {
	config LoginConfig
	secret string

	mu       sync.Mutex
	provider *oidc.Provider
}

func newLogin(c LoginConfig) (*login, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.NameClaim == "" {
		c.NameClaim = "sub"
	}
	if c.RolesClaim == "" {
		c.RolesClaim = "groups"
	}
	secret, err := c.ClientSecretFile.Read()
	if err != nil {
		return nil, err
	}
	return &login{config: c, secret: secret.Reveal()}, nil
}

// ask returns how to sign in at the issuer.
func (l *login) ask(ctx context.Context) (*oidc.Provider, oauth2.Config, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.provider == nil {
		// The provider keeps the context to fetch keys with later.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), &http.Client{Timeout: askTakes}), l.config.Issuer)
		if err != nil {
			return nil, oauth2.Config{}, fmt.Errorf("asking the issuer how to sign in: %w", err)
		}
		l.provider = p
	}
	return l.provider, oauth2.Config{
		ClientID: l.config.ClientID, ClientSecret: l.secret, Endpoint: l.provider.Endpoint(),
		RedirectURL: l.config.RedirectURL, Scopes: append([]string{oidc.ScopeOpenID}, l.config.Scopes...),
	}, nil
}

// underWay is what the browser holds, sealed, while it is at the login.
type underWay struct {
	State, Nonce, Verifier string
	Expires                time.Time
}

// Start sends the browser to the company's login.
func (g *Gate) Start(w http.ResponseWriter, req *http.Request) error {
	if g.login == nil {
		return ErrLogin
	}
	_, oauth, err := g.login.ask(req.Context())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLogin, err)
	}
	u := underWay{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Expires: g.config.Now().Add(loginTakes)}
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("starting a login: %w", err)
	}
	sealed := base64.RawURLEncoding.EncodeToString(g.seal.Seal(nil, nil, text, []byte(cookieLogin))) //nolint:gosec // the nonce is random and made inside
	// Lax: the browser comes back from another site.
	http.SetCookie(w, g.cookie(req, cookieLogin, sealed, int(loginTakes.Seconds()), http.SameSiteLaxMode))
	http.Redirect(w, req, oauth.AuthCodeURL(u.State, oidc.Nonce(u.Nonce), oauth2.S256ChallengeOption(u.Verifier)), http.StatusSeeOther)
	return nil
}

// Finish takes what the company's login says and begins a session. Errors wrap
// [ErrLogin], [ErrTooMany], or [ErrRole] for somebody without a role.
func (g *Gate) Finish(w http.ResponseWriter, req *http.Request) error {
	now, source := g.config.Now(), attempts.Source(req, g.config.Login.Proxied)
	if wait := g.failures.Wait(source, now); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
		return ErrTooMany
	}
	who, err := g.finish(req)
	http.SetCookie(w, g.cookie(req, cookieLogin, "", -1, http.SameSiteLaxMode))
	if err != nil {
		g.failures.Add(source, now)
		return fmt.Errorf("%w: %w", ErrLogin, err)
	}
	if len(who.Roles) == 0 {
		return ErrRole
	}
	g.failures.Forget(source)
	g.config.Logger.InfoContext(req.Context(), "somebody signed in", slog.String("who", who.Who), slog.String("role", who.role()))
	// Lax, or the browser would not send it when it is sent on from the issuer.
	g.Begin(w, req, who, http.SameSiteLaxMode)
	return nil
}

func (g *Gate) finish(req *http.Request) (Identity, error) {
	var u underWay
	sealed, err := base64.RawURLEncoding.DecodeString(cookieOf(req, cookieLogin))
	if err != nil || g.login == nil {
		return Identity{}, errors.New("no login is under way")
	}
	text, err := g.seal.Open(nil, nil, sealed, []byte(cookieLogin))
	if err != nil || json.Unmarshal(text, &u) != nil || !g.config.Now().Before(u.Expires) {
		return Identity{}, errors.New("no login is under way, or it took too long")
	}
	q := req.URL.Query()
	if subtle.ConstantTimeCompare([]byte(u.State), []byte(q.Get("state"))) != 1 {
		return Identity{}, errors.New("the answer is to another login")
	}
	ctx, cancel := context.WithTimeout(req.Context(), askTakes)
	defer cancel()
	provider, oauth, err := g.login.ask(ctx)
	if err != nil {
		return Identity{}, err
	}
	// What the issuer says in errors may name people; it is not repeated.
	token, err := oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(u.Verifier))
	if err != nil {
		return Identity{}, errors.New("the issuer did not exchange the code")
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: g.login.config.ClientID, Now: g.config.Now}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, errors.New("the ID token is missing or not valid")
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(u.Nonce)) != 1 {
		return Identity{}, errors.New("the ID token is for another login")
	}
	claims := make(map[string]any)
	if err := id.Claims(&claims); err != nil {
		return Identity{}, errors.New("the ID token's claims could not be read")
	}
	if err := g.login.complete(ctx, provider, oauth2.StaticTokenSource(token), id.Subject, claims); err != nil {
		return Identity{}, err
	}
	return g.login.identity(claims)
}

// complete asks for what the ID token does not say.
func (l *login) complete(ctx context.Context, p *oidc.Provider, source oauth2.TokenSource, subject string, claims map[string]any) error {
	_, named := claims[l.config.NameClaim]
	_, grouped := claims[l.config.RolesClaim]
	if named && grouped || p.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := p.UserInfo(ctx, source)
	if err != nil {
		return errors.New("the issuer did not say more about the person")
	}
	if info.Subject != subject { // OpenID Connect Core 5.3.2
		return errors.New("the issuer spoke of somebody else")
	}
	more := make(map[string]any)
	if err := info.Claims(&more); err != nil {
		return errors.New("what the issuer said about the person could not be read")
	}
	for name, value := range more {
		if _, said := claims[name]; !said {
			claims[name] = value
		}
	}
	return nil
}

// identity reads who it is and what for.
func (l *login) identity(claims map[string]any) (Identity, error) {
	who, _ := claims[l.config.NameClaim].(string)
	if verified, _ := claims["email_verified"].(bool); l.config.NameClaim == "email" && !verified {
		who = ""
	}
	if who == "" {
		return Identity{}, fmt.Errorf("the claim %q of console.login.name_claim is missing or not verified", l.config.NameClaim)
	}
	i := Identity{Who: who}
	for _, group := range listed(claims[l.config.RolesClaim]) {
		if role, ok := l.config.Roles[group]; ok && !slices.Contains(i.Roles, role) {
			i.Roles = append(i.Roles, role)
		}
	}
	return i, nil
}

// listed reads a claim that is a text, a list of texts, or an object whose keys
// are the groups. A key that is there to say no, false or null, is no group.
func listed(claim any) []string {
	var out []string
	switch c := claim.(type) {
	case string:
		out = append(out, c)
	case []any:
		for _, one := range c {
			if s, ok := one.(string); ok {
				out = append(out, s)
			}
		}
	case map[string]any:
		for key, value := range c {
			if value != nil && value != false {
				out = append(out, key)
			}
		}
	}
	return out
}
