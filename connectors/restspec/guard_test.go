package restspec

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestPublicOnly(t *testing.T) {
	for _, inner := range []string{
		"127.0.0.1:80", "10.1.2.3:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:80", "100.64.0.1:443",
		"0.0.0.0:80", "255.255.255.255:80", "224.0.0.1:80", "198.18.0.1:80", "[::1]:80", "[::]:80", "[fe80::1%eth0]:80",
		"[fd00::1]:443", "[::ffff:127.0.0.1]:80", "[::ffff:10.0.0.1]:80", "[64:ff9b::a00:1]:80", "[2002:a00:1::]:80", "nonsense",
	} {
		if publicOnly(inner) == nil {
			t.Errorf("%s passes for public", inner)
		}
	}
	for _, outer := range []string{"93.184.216.34:443", "[2606:2800:220:1:248:1893:25c8:1946]:443"} {
		if err := publicOnly(outer); err != nil {
			t.Errorf("%s: %v", outer, err)
		}
	}
}

func TestGuardCheck(t *testing.T) {
	base, err := baseURL("https://api.acme.example:8443/v2/")
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{base: base, hosts: []string{"files.acme.example"}}
	for address, want := range map[string]error{
		"https://api.acme.example:8443/v2/users":  nil,
		"https://API.acme.example:8443/":          nil,
		"https://api.acme.example/":               errHost,
		"http://api.acme.example:8443/":           errScheme,
		"https://files.acme.example/x":            nil,
		"https://files.acme.example:444/x":        errHost,
		"http://files.acme.example/x":             errScheme,
		"https://evil.example/x":                  errHost,
		"https://files.acme.example.evil.example": errHost,
		"https://u@files.acme.example/":           errHost,
		"file:///etc/passwd":                      errHost,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.check(u); !errors.Is(got, want) || (want == nil) != (got == nil) {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

// TestPrivateBase reaches a private address only when the operator wrote it.
func TestPrivateBase(t *testing.T) {
	srv := httptest.NewServer(says(200, "{}"))
	defer srv.Close()
	base, err := baseURL(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, explicit := range []bool{true, false} {
		g := &guard{base: base, explicit: explicit}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := plainClient(g).Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if explicit && err != nil || !explicit && !errors.Is(err, errPrivate) {
			t.Errorf("explicit %t: %v", explicit, err)
		}
	}
}

// TestRebinding: a host on the allow-list whose name leads inside is refused
// when the connection is made.
func TestRebinding(t *testing.T) {
	g := &guard{base: &url.URL{Scheme: "https", Host: "api.acme.example"}, explicit: true, hosts: []string{"localhost"}}
	if err := g.check(&url.URL{Scheme: "https", Host: "localhost", Path: "/"}); err != nil {
		t.Fatal(err)
	}
	_, err := g.transport().DialContext(t.Context(), "tcp", "localhost:443")
	if !errors.Is(err, errPrivate) {
		t.Errorf("dialling inside: %v", err)
	}
}

// TestCredentialsStayHome follows a link to another allowed host and wants no
// key there.
func TestCredentialsStayHome(t *testing.T) {
	base, err := baseURL("https://api.acme.example")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	cl := &client{
		prog: &Program{}, guard: &guard{base: base, hosts: []string{"files.acme.example"}}, quota: newQuota(nil, 0, &meter{slots: make([]int64, 1)}), timeout: 1e9,
		creds: fixed{header: "X-Api-Key", value: "k"},
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: roundTripper(func(r *http.Request) *http.Response {
				seen[r.URL.Host] = r.Header.Get("X-Api-Key")
				rec := httptest.NewRecorder()
				if r.URL.Host == base.Host {
					rec.Header().Set("Location", "https://files.acme.example/part")
					rec.WriteHeader(http.StatusTemporaryRedirect)
				}
				return rec.Result()
			}),
		},
	}
	c := &call{method: http.MethodGet, label: "GET /x", path: mustTemplate(t, "/x")}
	a, err := cl.send(t.Context(), c, mapScope{}, change{}, "")
	if err != nil {
		t.Fatal(err)
	}
	a.close()
	if seen["api.acme.example"] != "k" || seen["files.acme.example"] != "" || len(seen) != 2 {
		t.Errorf("keys sent: %v", seen)
	}
	c.method = http.MethodDelete
	if _, err := cl.send(t.Context(), c, mapScope{}, change{}, ""); err == nil || !strings.Contains(err.Error(), "redirects a DELETE") || sdk.CodeOf(err) != sdk.Configuration {
		t.Errorf("a redirected deletion: %v", err)
	}
}

type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
