package effect_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// web is an internet of one machine: hosts by name, each served by a handler.
// Whoever is not in it does not answer.
type web struct {
	server *httptest.Server
	hosts  map[string]http.Handler
}

func newWeb(t *testing.T, hosts map[string]http.Handler) *web {
	t.Helper()
	w := &web{hosts: hosts}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := w.hosts[r.Host]
		if h == nil {
			http.NotFound(rw, r)
			return
		}
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	return w
}

// Dial reaches the machine, whatever the name.
func (w *web) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if port == "443" {
		return nil, fmt.Errorf("nobody answers on port %s here", port)
	}
	return (&net.Dialer{}).DialContext(ctx, network, w.server.Listener.Addr().String())
}

func html(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { page(w, body) })
}

func page(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>A shop</title><link rel=icon href=data:,>%s", body)
}

func script(code string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = fmt.Fprint(w, code)
	})
}

// trackers are the companies that pages call. One brings another along, as
// tags do; one hides its calls in a worker, one in a frame.
func trackers() map[string]http.Handler {
	return map[string]http.Handler{
		"tags.example":   script(`var s = document.createElement('script'); s.src = 'http://bidder.example/bid.js'; document.head.append(s); navigator.sendBeacon('http://beacon.example/seen');`),
		"bidder.example": script(``),
		"beacon.example": script(``),
		"frames.example": html(`<img src="http://pixel.example/p.gif">`),
		"pixel.example":  html(``),
		"worker.example": script(``),
		"fonts.example":  script(``),
	}
}

// tags are what a page that tracks carries.
const tags = `<script src="http://tags.example/t.js" async></script>
<iframe src="http://frames.example/"></iframe>
<script>new Worker(URL.createObjectURL(new Blob(["fetch('http://worker.example/w').catch(() => {})"])));</script>
<img src="https://sealed.example/1.gif">`

const fonts = `<script src="http://fonts.example/f.js"></script>`

// shop is a company's site. obey says whether a visitor is let alone.
func shop(obey func(r *http.Request) bool) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/{$}", "/product"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if obey(r) {
				page(w, fonts)
				return
			}
			page(w, fonts+tags)
		})
	}
	mux.HandleFunc("GET /choices", func(w http.ResponseWriter, _ *http.Request) {
		page(w, `<button id=reject onclick="fetch('/choices', {method: 'POST'}).then(() => document.body.insertAdjacentHTML('beforeend', '<p id=saved>Saved</p>'))">Do not sell</button>`+tags)
	})
	mux.HandleFunc("POST /choices", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "choice", Value: "out", Path: "/"})
	})
	mux.HandleFunc("GET /gone", http.NotFound)
	return mux
}

func signalled(r *http.Request) bool { return r.Header.Get("Sec-Gpc") == "1" }

func chose(r *http.Request) bool {
	c, err := r.Cookie("choice")
	return err == nil && c.Value == "out"
}

func all(hosts, more map[string]http.Handler) map[string]http.Handler {
	maps.Copy(hosts, more)
	return hosts
}
