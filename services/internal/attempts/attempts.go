// Package attempts counts failed attempts by where they come from, so that
// nobody can guess for long.
package attempts

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// Most is how many failures one source has in Window.
	Most = 10
	// Window is how long a source that failed so often must wait, from its first
	// failure on.
	Window     = 15 * time.Minute
	maxSources = 10_000
)

// Failures counts by source. The zero value is ready to use.
type Failures struct {
	mu  sync.Mutex
	all map[string]*failed
}

type failed struct {
	since time.Time
	count int
}

// Wait returns how long a source must wait before it may try again; 0 is not
// at all.
func (f *Failures) Wait(source string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.all[source]
	if !ok || one.count < Most {
		return 0
	}
	return max(0, one.since.Add(Window).Sub(now))
}

// Add counts a failure. When there are too many sources, the counting begins
// anew rather than growing.
func (f *Failures) Add(source string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = make(map[string]*failed)
	}
	if _, known := f.all[source]; !known && len(f.all) >= maxSources {
		for key, one := range f.all {
			if !one.since.Add(Window).After(now) {
				delete(f.all, key)
			}
		}
	}
	if _, known := f.all[source]; !known && len(f.all) >= maxSources {
		clear(f.all) // a token is too long to be guessed in so many tries
	}
	one, ok := f.all[source]
	if !ok || !one.since.Add(Window).After(now) {
		one = &failed{since: now}
		f.all[source] = one
	}
	one.count++
}

// Forget counts a source anew, because somebody there proved who they are.
func (f *Failures) Forget(source string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, source)
}

// Source is where a request comes from: its address, or behind a proxy the
// last address that the proxy added. An IPv6 network of 64 bits is one source.
func Source(req *http.Request, proxied bool) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		host = req.RemoteAddr
	}
	if proxied {
		list := req.Header.Values("X-Forwarded-For")
		if len(list) > 0 {
			hops := strings.Split(list[len(list)-1], ",")
			host = strings.TrimSpace(hops[len(hops)-1])
		}
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return "unknown"
	}
	if ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return ip.String()
}
