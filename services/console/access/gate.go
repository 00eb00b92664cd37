package access

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/habeas-data/habeas/services/internal/attempts"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Config is what a gate needs.
type Config struct {
	// Token lets its holder in as admin by the form, where there is no Login;
	// Once does so by a link, one time.
	Token, Once string
	// Local names who signs in by Token or Once.
	Local string
	// Login is the company's own login; without an issuer there is none.
	Login LoginConfig
	// Record puts a view on record; required.
	Record func(context.Context, store.Access) error
	Logger *slog.Logger
	Now    func() time.Time
}

// Gate lets staff in.
type Gate struct {
	config   Config
	login    *login // nil without a company login
	seal     cipher.AEAD
	token    [sha256.Size]byte
	once     [sha256.Size]byte
	used     atomic.Bool // once
	sessions sessions
	failures attempts.Failures
}

// New makes a gate. With a login it checks the configuration; the issuer is
// asked at the first login, so that the console starts without it.
func New(c Config) (*Gate, error) {
	if c.Record == nil || c.Logger == nil || c.Now == nil {
		return nil, errors.New("access: a record, a logger and a clock are required")
	}
	if c.Token == "" && c.Login.Issuer == "" {
		return nil, errors.New("access: a token or a login is required, or nobody could sign in")
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the key of login cookies: %w", err)
	}
	g := &Gate{config: c, token: sha256.Sum256([]byte(c.Token)), once: sha256.Sum256([]byte(c.Once))}
	if g.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("making the key of login cookies: %w", err)
	}
	if c.Login.Issuer != "" {
		if g.login, err = newLogin(c.Login); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Company says whether staff sign in at the company's own login.
func (g *Gate) Company() bool { return g.login != nil }

// Errors of logging in and of [Gate.Need].
var (
	ErrNoSession = errors.New("nobody is signed in")
	ErrRole      = errors.New("the roles of who is signed in do not allow this")
	ErrRecord    = errors.New("the view could not be put on record")
	ErrWrong     = errors.New("the token is wrong or was used")
	ErrTooMany   = errors.New("too many wrong logins")
	ErrLogin     = errors.New("the company's login did not say who it is")
)

type endKey struct{}

// End returns when the session of a context ends, and the zero time without one.
func End(ctx context.Context) time.Time {
	end, _ := ctx.Value(endKey{}).(time.Time)
	return end
}

// WithEnd is for tests of what ends with a session.
func WithEnd(ctx context.Context, end time.Time) context.Context {
	return context.WithValue(ctx, endKey{}, end)
}

// SignedIn returns the request's context with who is signed in, who acts, and
// when the session ends; false when nobody is signed in.
func (g *Gate) SignedIn(req *http.Request, use bool) (context.Context, bool) {
	who, end, ok := g.sessions.find(cookieOf(req, Cookie), g.config.Now(), use)
	if !ok {
		return req.Context(), false
	}
	ctx := WithEnd(request.WithActor(req.Context(), who.Who), end)
	return context.WithValue(ctx, identityKey{}, who), true
}

// Need lets a request for the route of a pattern through to next when its
// session allows it, and else hands the reason, one of the errors above, to
// refuse. part is for what pages fetch by themselves.
func (g *Gate) Need(pattern string, part bool, next http.HandlerFunc, refuse func(http.ResponseWriter, *http.Request, error)) http.HandlerFunc {
	need, known := Table[pattern]
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, ok := g.SignedIn(req, !part)
		req = req.WithContext(ctx)
		switch {
		case need == Open && known:
			next(w, req)
		case !ok:
			refuse(w, req, ErrNoSession)
		case !known || !Of(ctx).May(need):
			g.config.Logger.WarnContext(ctx, "somebody was kept from what their roles do not allow", slog.String("who", Of(ctx).Who), slog.String("route", pattern))
			switch {
			case need.recorded():
				_ = g.record(req, part, false) // refused either way
			case listings[pattern]:
				_ = g.recordList(req, false) // refused either way
			}
			refuse(w, req, ErrRole)
		default:
			if need.recorded() {
				if err := g.record(req, part, true); err != nil {
					refuse(w, req, fmt.Errorf("%w: %w", ErrRecord, err))
					return
				}
			}
			if listings[pattern] && !part {
				if err := g.recordList(req, true); err != nil {
					refuse(w, req, fmt.Errorf("%w: %w", ErrRecord, err))
					return
				}
			}
			next(w, req)
		}
	}
}

// recordList puts a look at the list of requests on record.
func (g *Gate) recordList(req *http.Request, allowed bool) error {
	who := Of(req.Context())
	return g.config.Record(req.Context(), store.Access{
		At: g.config.Now().UTC(), Who: who.Who, Role: who.role(), Purpose: "console: the list of requests", Allowed: allowed,
	})
}

// purposeOf says what a view is of.
func purposeOf(req *http.Request, id request.ID) string {
	if connector := req.PathValue("connector"); connector != "" {
		return "console: task " + string(id) + " of " + connector
	}
	if strings.HasSuffix(req.Pattern, "/copy") {
		return "console: the copy of request " + string(id)
	}
	if strings.HasSuffix(req.Pattern, "/answer") {
		return "console: the answer to request " + string(id)
	}
	return "console: request " + string(id)
}

// record puts a view on record: every page, and of what a page goes on to fetch
// the first in a session, unless its page was.
func (g *Gate) record(req *http.Request, part, allowed bool) error {
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil {
		return nil // there is nothing to see
	}
	value := cookieOf(req, Cookie)
	if part && allowed && g.sessions.looked(value, string(id), false) {
		return nil
	}
	who := Of(req.Context())
	err = g.config.Record(req.Context(), store.Access{
		At: g.config.Now().UTC(), Who: who.Who, Role: who.role(), Purpose: purposeOf(req, id), Allowed: allowed,
	})
	if err == nil && allowed {
		g.sessions.looked(value, string(id), true)
	}
	return err
}

// Note puts on record that who is signed in did something.
func (g *Gate) Note(ctx context.Context, what string) error {
	who := Of(ctx)
	err := g.config.Record(ctx, store.Access{At: g.config.Now().UTC(), Who: who.Who, Role: who.role(), Purpose: "console: " + what, Allowed: true})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}

// Enter begins a session for who gives the token, by form, or by link the code
// that works once. Errors are [ErrWrong] and [ErrTooMany].
func (g *Gate) Enter(w http.ResponseWriter, req *http.Request, given string, link bool) error {
	now, source := g.config.Now(), attempts.Source(req, g.config.Login.Proxied)
	if wait := g.failures.Wait(source, now); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
		return ErrTooMany
	}
	want, set := g.token, g.config.Token != "" && g.login == nil
	if link {
		want, set = g.once, g.config.Once != ""
	}
	have := sha256.Sum256([]byte(given))
	same := subtle.ConstantTimeCompare(have[:], want[:]) == 1
	if !set || !same || link && !g.used.CompareAndSwap(false, true) {
		g.failures.Add(source, now)
		g.config.Logger.WarnContext(req.Context(), "somebody tried to sign in with a wrong token")
		return ErrWrong
	}
	g.failures.Forget(source)
	g.Begin(w, req, Identity{Who: g.config.Local, Roles: []Role{Admin}}, http.SameSiteStrictMode)
	return nil
}

// Begin starts a session for somebody who has proven who they are: it ends the
// one there was and gives a new cookie.
func (g *Gate) Begin(w http.ResponseWriter, req *http.Request, who Identity, site http.SameSite) {
	g.sessions.stop(cookieOf(req, Cookie))
	value := g.sessions.start(who, g.config.Now())
	http.SetCookie(w, g.cookie(req, Cookie, value, int(SessionLife.Seconds()), site))
}

// Leave ends the session.
func (g *Gate) Leave(w http.ResponseWriter, req *http.Request) {
	g.sessions.stop(cookieOf(req, Cookie))
	http.SetCookie(w, g.cookie(req, Cookie, "", -1, http.SameSiteStrictMode))
}

// cookie is Secure wherever the console is reached by HTTPS. On the machine
// itself it is plain HTTP, where browsers would drop such a cookie.
func (g *Gate) cookie(req *http.Request, name, value string, maxAge int, site http.SameSite) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure depends on how it is reached
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: site,
		Secure: req.TLS != nil || req.Header.Get("X-Forwarded-Proto") == "https" || g.config.Login.https(),
	}
}
