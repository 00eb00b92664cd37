package effect

import (
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/network"
)

// hanging is after how long a request without an answer is taken for one that
// stays open, such as a stream of events, or whose answer goes to somebody else,
// as that of a worker's script does.
const hanging = 5 * time.Second

// pending are the requests of a page that have no answer yet.
type pending struct {
	mu    sync.Mutex
	since map[network.RequestID]time.Time
}

// hear takes note of what the browser tells of a page.
func (p *pending) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "http") {
			return // it comes from the page itself
		}
		if p.since == nil {
			p.since = map[network.RequestID]time.Time{}
		}
		p.since[e.RequestID] = time.Now()
	case *network.EventLoadingFinished:
		delete(p.since, e.RequestID)
	case *network.EventLoadingFailed:
		delete(p.since, e.RequestID)
	}
}

// any reports whether the page waits for an answer.
func (p *pending) any(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, since := range p.since {
		if now.Sub(since) < hanging {
			return true
		}
	}
	return false
}
