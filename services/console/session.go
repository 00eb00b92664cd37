package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"
)

const (
	sessionCookie = "habeas_session"
	sessionLife   = 12 * time.Hour
	maxSessions   = 1000
)

// sessions remembers who is signed in, by the digest of their cookie, until
// when. They end with the process.
type sessions struct {
	mu   sync.Mutex
	ends map[[sha256.Size]byte]time.Time
}

// start makes a session and returns its cookie's value. When there are too
// many, the one that ends first makes room.
func (s *sessions) start(now time.Time) string {
	value := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = make(map[[sha256.Size]byte]time.Time)
	}
	var oldest [sha256.Size]byte
	for key, end := range s.ends {
		if !end.After(now) {
			delete(s.ends, key)
			continue
		}
		if first, ok := s.ends[oldest]; !ok || end.Before(first) {
			oldest = key
		}
	}
	if len(s.ends) >= maxSessions {
		delete(s.ends, oldest)
	}
	s.ends[sha256.Sum256([]byte(value))] = now.Add(sessionLife)
	return value
}

// end returns when the session of a cookie ends; false when there is none.
func (s *sessions) end(value string, now time.Time) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.ends[sha256.Sum256([]byte(value))]
	return end, ok && end.After(now)
}

func (s *sessions) stop(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, sha256.Sum256([]byte(value)))
}

type sessionEndKey struct{}

// signedIn returns the request's context with the end of its session.
func (r *Room) signedIn(req *http.Request) (context.Context, bool) {
	cookie, err := req.Cookie(sessionCookie)
	if err != nil {
		return nil, false
	}
	end, ok := r.sessions.end(cookie.Value, r.config.Now())
	return context.WithValue(req.Context(), sessionEndKey{}, end), ok
}

// page lets those with a session through and sends others to sign in.
func (r *Room) page(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if _, ok := r.signedIn(req); !ok {
			http.Redirect(w, req, "/login", http.StatusSeeOther)
			return
		}
		next(w, req)
	}
}

// part is page for what scripts fetch: they are told, and not sent elsewhere.
func (r *Room) part(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, ok := r.signedIn(req)
		if !ok {
			http.Error(w, "sign in first", http.StatusUnauthorized)
			return
		}
		next(w, req.WithContext(ctx))
	}
}

// login gives a session for the token, which comes in the link that is printed
// at the start or from the form. The link works as long as the token does; the
// browser is sent on at once, so that the token does not stay in the address.
func (r *Room) login(w http.ResponseWriter, req *http.Request) {
	given := req.PostFormValue("token")
	if req.Method == http.MethodGet {
		given = req.URL.Query().Get("token")
	}
	if given == "" {
		r.render(w, req, http.StatusOK, "login.html", loginPage{})
		return
	}
	have := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(have[:], r.token[:]) != 1 {
		r.config.Logger.WarnContext(req.Context(), "somebody tried to sign in with a wrong token")
		r.render(w, req, http.StatusForbidden, "login.html", loginPage{Wrong: true})
		return
	}
	http.SetCookie(w, r.cookie(req, r.sessions.start(r.config.Now()), int(sessionLife.Seconds())))
	http.Redirect(w, req, "/", http.StatusSeeOther)
}

func (r *Room) logout(w http.ResponseWriter, req *http.Request) {
	if cookie, err := req.Cookie(sessionCookie); err == nil {
		r.sessions.stop(cookie.Value)
	}
	http.SetCookie(w, r.cookie(req, "", -1))
	http.Redirect(w, req, "/login", http.StatusSeeOther)
}

// cookie is Secure wherever the console is reached by HTTPS. On the machine
// itself it is plain HTTP, where browsers would drop such a cookie.
func (r *Room) cookie(req *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure depends on how it is reached
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: req.TLS != nil || req.Header.Get("X-Forwarded-Proto") == "https",
	}
}
