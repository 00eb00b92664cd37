package effect

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// dial opens connections to the hosts that a browser asks for.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// post is the listening post of one visit: a proxy that every connection of
// the visitor's profile passes. It notes the names of hosts and nothing of what
// is sent; encrypted connections stay so.
type post struct {
	server    *http.Server
	address   string
	transport *http.Transport
	dial      dial

	mu    sync.Mutex
	hosts []string  // contacted since the last take
	last  time.Time // when a byte last went over the wire
}

// listen starts a post on this machine. It ends with close.
func listen(ctx context.Context, d dial) (*post, error) {
	if d == nil {
		d = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &post{
		address: l.Addr().String(), dial: d, last: time.Now(),
		transport: &http.Transport{DialContext: d, DisableCompression: true, MaxIdleConnsPerHost: 4},
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = p.server.Serve(l) }() // it ends when it is closed, and says so
	return p, nil
}

func (p *post) close() error {
	err := p.server.Close()
	p.transport.CloseIdleConnections()
	return err
}

// take returns who was contacted since it was last called.
func (p *post) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	hosts := p.hosts
	p.hosts = nil
	slices.Sort(hosts)
	return hosts
}

func (p *post) contacted(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.hosts, host) {
		p.hosts = append(p.hosts, host)
	}
	p.last = time.Now()
}

func (p *post) busy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// lastByte is when something last went over the wire.
func (p *post) lastByte() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// settle waits until nothing went over the wire for a time, but not longer
// than longest: some pages never rest.
func (p *post) settle(ctx context.Context, quiet, longest time.Duration) error {
	end := time.NewTimer(longest)
	defer end.Stop()
	from := time.Now() // the quiet begins now at the earliest
	for {
		rest := quiet - time.Since(p.lastByte())
		if wait := quiet - time.Since(from); wait > rest {
			rest = wait
		}
		if rest <= 0 {
			return nil
		}
		wait := time.NewTimer(rest)
		select {
		case <-wait.C:
		case <-end.C:
			wait.Stop()
			return nil
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// ServeHTTP implements [http.Handler].
func (p *post) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		p.contacted(r.URL.Hostname())
		p.tunnel(w, r)
	case r.URL.IsAbs():
		p.contacted(r.URL.Hostname())
		p.forward(w, r)
	default:
		http.Error(w, "this is a proxy", http.StatusBadRequest)
	}
}

// hops are headers between a browser and a proxy, not for the site.
var hops = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func (p *post) forward(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	for _, h := range hops {
		out.Header.Del(h)
	}
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		http.Error(w, "the host does not answer", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		if !slices.Contains(hops, name) {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, marked{resp.Body, p}) // the browser or the site may end it; the page shows what came
}

func (p *post) tunnel(w http.ResponseWriter, r *http.Request) {
	site, err := p.dial(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		http.Error(w, "the host does not answer", http.StatusBadGateway)
		return
	}
	defer site.Close() //nolint:errcheck // either side ends it
	browser, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the browser is gone
	}
	defer browser.Close() //nolint:errcheck // either side ends it
	if _, err := io.WriteString(browser, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	stop := context.AfterFunc(r.Context(), func() { _ = errors.Join(browser.Close(), site.Close()) })
	defer stop()
	var both sync.WaitGroup
	pass := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, marked{from, p}) // either side ends it
		_ = errors.Join(browser.Close(), site.Close())
	}
	both.Go(func() { pass(site, rest) })
	both.Go(func() { pass(browser, site) })
	both.Wait()
}

// marked notes that something went over the wire.
type marked struct {
	io.Reader
	post *post
}

// Read implements [io.Reader].
func (m marked) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.post.busy()
	return n, err
}
