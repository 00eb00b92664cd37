package enforcement

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// web is an internet of one machine: hosts by name, each served by a handler.
type web struct{ server *httptest.Server }

func newWeb(t *testing.T, hosts map[string]http.Handler) *web {
	t.Helper()
	w := &web{httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h := hosts[r.Host]; h != nil {
			h.ServeHTTP(rw, r)
			return
		}
		http.NotFound(rw, r)
	}))}
	t.Cleanup(w.server.Close)
	return w
}

// Dial reaches the machine, whatever the name.
func (w *web) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port != "80" {
		return nil, errors.Join(err, errors.New("nobody answers there"))
	}
	return (&net.Dialer{}).DialContext(ctx, network, w.server.Listener.Addr().String())
}

// site is the company's site: a page with an advertiser's tag, a banner of the
// company's own making that says it has saved and does nothing, and the button
// that works. Whoever comes is known by a cookie: visitor-1, visitor-2 and so on.
func site(tag string) http.Handler {
	var visitors atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("_uid"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "_uid", Value: fmt.Sprintf("visitor-%d", visitors.Add(1)), Path: "/"})
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>The Company</title><link rel=icon href=data:,>
<script src="http://%s/signal.js" data-cookies="_uid"></script>%s
<button data-habeas-optout id=optout>Do not sell or share my personal information</button>
<button id=banner onclick="document.body.insertAdjacentHTML('beforeend', '<p id=saved>Saved</p>')">Reject all</button>`, privacyHost, tag)
	})
}

func advertiser() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/javascript") })
}
