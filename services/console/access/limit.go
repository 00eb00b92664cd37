package access

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// mostFailures is how many wrong logins one source has in failureWindow.
	mostFailures  = 10
	failureWindow = 15 * time.Minute
	maxSources    = 10_000
)

// failures counts wrong logins by source.
type failures struct {
	mu  sync.Mutex
	all map[string]*failed
}

type failed struct {
	since time.Time
	count int
}

// wait returns how long a source must wait before it may try again; 0 is not
// at all.
func (f *failures) wait(source string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.all[source]
	if !ok || one.count < mostFailures {
		return 0
	}
	return max(0, one.since.Add(failureWindow).Sub(now))
}

// add counts a failure. When there are too many sources, the counting begins
// anew rather than growing.
func (f *failures) add(source string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = make(map[string]*failed)
	}
	if _, known := f.all[source]; !known && len(f.all) >= maxSources {
		for key, one := range f.all {
			if !one.since.Add(failureWindow).After(now) {
				delete(f.all, key)
			}
		}
	}
	if _, known := f.all[source]; !known && len(f.all) >= maxSources {
		clear(f.all) // a token is too long to be guessed in so many tries
	}
	one, ok := f.all[source]
	if !ok || !one.since.Add(failureWindow).After(now) {
		one = &failed{since: now}
		f.all[source] = one
	}
	one.count++
}

func (f *failures) forget(source string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, source)
}

// source is where a request comes from: its address, or behind a proxy the
// last address that the proxy added. An IPv6 network of 64 bits is one source.
func (g *Gate) source(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		host = req.RemoteAddr
	}
	if g.config.Login.Proxied {
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
