package portal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
)

// LoginConfig names the company's customer login (OpenID Connect).
type LoginConfig struct {
	Issuer           string          `yaml:"issuer"`
	ClientID         string          `yaml:"client_id"`
	ClientSecretFile room.SecretFile `yaml:"client_secret_file"`
	// RedirectURL is the portal's address with "/callback" at its end.
	RedirectURL string `yaml:"redirect_url"`
	// Claims says which claim of the login is which kind of identifier, such as
	// sub: user_id. An e-mail address and a phone number count only when the login
	// calls them verified (email_verified, phone_number_verified), a name never.
	Claims map[string]string `yaml:"claims"`
}

// Login signs people in at the company's own login, freshly each time.
type Login struct {
	config   LoginConfig
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// NewLogin asks the issuer how to sign in.
func NewLogin(ctx context.Context, c LoginConfig) (*Login, error) {
	secret, err := c.ClientSecretFile.Read()
	if err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("portal.login.issuer: asking it how to sign in: %w", err)
	}
	if len(c.Claims) == 0 {
		c.Claims = map[string]string{"sub": string(request.UserID), "email": string(request.Email)}
	}
	return &Login{
		config:   c,
		oauth:    oauth2.Config{ClientID: c.ClientID, ClientSecret: secret.Reveal(), Endpoint: provider.Endpoint(), RedirectURL: c.RedirectURL, Scopes: []string{oidc.ScopeOpenID, "email"}},
		verifier: provider.Verifier(&oidc.Config{ClientID: c.ClientID}),
	}, nil
}

// under way is what the browser holds while it is at the login.
type underWay struct {
	State, Nonce, Verifier string
	Then                   string
	Request                request.ID
	Expires                time.Time
}

// session is who has just signed in.
type session struct {
	At  time.Time   `json:"at"`
	IDs [][2]string `json:"ids"`
}

func (s session) identifiers() []request.Identifier {
	out := make([]request.Identifier, len(s.IDs))
	for i, pair := range s.IDs {
		out[i] = request.NewIdentifier(request.Kind(pair[0]), pair[1])
	}
	return out
}

const (
	cookieLogin   = "portal_login"
	cookieSession = "portal_session"
	loginTakes    = 15 * time.Minute
)

func (p *Portal) cookie(v *visit, name, value string, life time.Duration) {
	//nolint:gosec // G124: Secure follows the setting; a portal on this machine has no HTTPS
	c := &http.Cookie{Name: name, Value: value, Path: p.Base + "/", HttpOnly: true, Secure: p.Secure, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// session returns who is signed in, as long as the login is fresh.
func (p *Portal) session(r *http.Request) (session, bool) {
	var s session
	c, err := r.Cookie(cookieSession)
	if err != nil || p.unseal(cookieSession, c.Value, &s) != nil || !p.fresh(s.At) || len(s.IDs) == 0 {
		return session{}, false
	}
	return s, true
}

// login sends the browser to the company's login and asks it for the password
// again, whatever session there is (11 CCR 7061(a)).
func (p *Portal) login(v *visit) {
	q := v.r.URL.Query()
	u := underWay{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Expires: p.Now().UTC().Add(loginTakes)}
	for _, f := range p.forms(v.language) {
		if f.Path == q.Get("then") {
			u.Then = f.Path
		}
	}
	if id, ok := p.fromLink(q.Get("request"), q.Get("token")); ok {
		// To sign in for a request is to vouch for it. Whoever comes from another
		// site or from a mail, which anybody may have sent with anybody's request in
		// it, is shown first what it is about.
		if from := v.r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" {
			http.Redirect(v.w, v.r, p.link(id)+"?lang="+v.language, http.StatusSeeOther)
			return
		}
		u.Request = id
	}
	p.cookie(v, cookieLogin, p.seal(cookieLogin, u), loginTakes)
	target := p.Login.oauth.AuthCodeURL(u.State, oidc.Nonce(u.Nonce), oauth2.S256ChallengeOption(u.Verifier),
		oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"), oauth2.SetAuthURLParam("ui_locales", v.language))
	http.Redirect(v.w, v.r, target, http.StatusSeeOther)
}

// callback takes what the login says.
func (p *Portal) callback(v *visit) {
	var u underWay
	c, err := v.r.Cookie(cookieLogin)
	if err != nil || p.unseal(cookieLogin, c.Value, &u) != nil || p.Now().After(u.Expires) || u.State != v.r.URL.Query().Get("state") {
		p.fail(v, http.StatusBadRequest, "login_failed")
		return
	}
	p.cookie(v, cookieLogin, "", 0)
	s, err := p.Login.finish(v.r.Context(), v.r.URL.Query(), u)
	if err == nil && !p.fresh(s.At) {
		err = errors.New("the login is not fresh: auth_time is missing or too old; the issuer must honour max_age")
	}
	if err != nil {
		p.Logger.WarnContext(v.r.Context(), "signing in", slog.Any("error", err))
		p.fail(v, http.StatusBadRequest, "login_failed")
		return
	}
	p.cookie(v, cookieSession, p.seal(cookieSession, s), p.Verify.Policy.Fresh)
	switch {
	case u.Request != "":
		p.signedInFor(v, u.Request, s)
	case u.Then != "":
		http.Redirect(v.w, v.r, p.Base+"/"+u.Then+"?lang="+v.language, http.StatusSeeOther)
	default:
		http.Redirect(v.w, v.r, p.Base+"/?lang="+v.language, http.StatusSeeOther)
	}
}

// signedInFor goes back to a request, which may have waited for the login.
func (p *Portal) signedInFor(v *visit, id request.ID, s session) {
	req, err := p.Intake.Lookup(v.r.Context(), id)
	if err != nil {
		p.broken(v, "reading a request", err)
		return
	}
	if !p.isHers(v.r.Context(), &req, s) {
		p.said(v, id, "other")
		return
	}
	if err := p.Verify.LoggedIn(v.r.Context(), id, s.At, s.identifiers()...); err != nil && !errors.Is(err, verify.ErrGone) {
		p.broken(v, "verifying by login", err)
		return
	}
	p.said(v, id, "")
}

// proven reports whether a login speaks for a kind of identifier: for an address
// or a number only when it says that it has checked it, for the account may have
// been given anybody's, and for a name never, for people share names.
func proven(claims map[string]any, kind request.Kind) bool {
	said := map[request.Kind]string{request.Email: "email_verified", request.Phone: "phone_number_verified"}[kind]
	if said == "" {
		return kind != request.Name
	}
	verified, _ := claims[said].(bool)
	return verified
}

// finish exchanges the code and reads who signed in, and when.
func (l *Login) finish(ctx context.Context, q url.Values, u underWay) (session, error) {
	// Errors of the exchange may repeat what the issuer said; it is not shown.
	token, err := l.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(u.Verifier))
	if err != nil {
		return session{}, errors.New("the issuer did not exchange the code")
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return session{}, errors.New("the issuer gave no ID token")
	}
	id, err := l.verifier.Verify(ctx, raw)
	if err != nil {
		return session{}, errors.New("the ID token is not valid")
	}
	if id.Nonce != u.Nonce {
		return session{}, errors.New("the ID token is for another login")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return session{}, errors.New("the ID token has no claims")
	}
	var s session
	if at, ok := claims["auth_time"].(float64); ok {
		s.At = time.Unix(int64(at), 0).UTC()
	}
	for claim, kind := range l.config.Claims {
		value, ok := claims[claim].(string)
		if !ok || value == "" || !proven(claims, request.Kind(kind)) {
			continue
		}
		if n, err := request.NewIdentifier(request.Kind(kind), value).Normalize(); err == nil {
			s.IDs = append(s.IDs, [2]string{kind, n.Reveal()})
		}
	}
	// An address comes first: it is what the person can be written to.
	rank := func(pair [2]string) string {
		if pair[0] == string(request.Email) {
			return ""
		}
		return pair[0]
	}
	slices.SortFunc(s.IDs, func(a, b [2]string) int { return strings.Compare(rank(a), rank(b)) })
	if len(s.IDs) == 0 {
		return session{}, errors.New("the login names nobody: set portal.login.claims")
	}
	return s, nil
}
