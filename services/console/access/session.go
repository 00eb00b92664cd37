package access

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// Cookie is the name of the session's cookie.
const Cookie = "habeas_session"

const (
	// SessionLife is when a session ends however busy it is.
	SessionLife = 12 * time.Hour
	// SessionIdle is when a session ends that nobody uses. What pages fetch by
	// themselves is no use.
	SessionIdle = time.Hour

	maxSessions = 1000
)

type session struct {
	Identity
	born, used time.Time
	// looked holds the paths whose view is on record.
	looked map[string]bool
}

func (s *session) end() time.Time {
	idle, life := s.used.Add(SessionIdle), s.born.Add(SessionLife)
	if idle.Before(life) {
		return idle
	}
	return life
}

// sessions remembers who is signed in, by the digest of their cookie. They end
// with the process.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

// start makes a session and returns its cookie's value. When there are too
// many, the one that ends first makes room.
func (s *sessions) start(who Identity, now time.Time) string {
	value := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[[sha256.Size]byte]*session)
	}
	var oldest [sha256.Size]byte
	for key, one := range s.all {
		if !one.end().After(now) {
			delete(s.all, key)
			continue
		}
		if first, ok := s.all[oldest]; !ok || one.end().Before(first.end()) {
			oldest = key
		}
	}
	if len(s.all) >= maxSessions {
		delete(s.all, oldest)
	}
	s.all[sha256.Sum256([]byte(value))] = &session{Identity: who, born: now, used: now, looked: make(map[string]bool)}
	return value
}

// find returns who has a cookie and until when; false when nobody has. With
// use, the time until the session is idle begins anew.
func (s *sessions) find(value string, now time.Time, use bool) (Identity, time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.all[sha256.Sum256([]byte(value))]
	if !ok || !one.end().After(now) {
		return Identity{}, time.Time{}, false
	}
	if use {
		one.used = now
	}
	return one.Identity, one.end(), true
}

// looked says whether a session's view of path is on record, and with is says
// that it is now.
func (s *sessions) looked(value, path string, is bool) bool {
	const most = 10_000
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.all[sha256.Sum256([]byte(value))]
	if !ok {
		return false
	}
	if is {
		if len(one.looked) >= most {
			clear(one.looked)
		}
		one.looked[path] = true
	}
	return one.looked[path]
}

func (s *sessions) stop(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(value)))
}

func cookieOf(req *http.Request, name string) string {
	c, err := req.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}
