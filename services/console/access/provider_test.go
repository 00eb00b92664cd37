package access

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request/store"
)

// groups is a provider's storage that says which groups its users are in.
type groups struct {
	*storage.Storage
	of map[string][]string
}

// SetUserinfoFromToken is what the provider answers at its userinfo endpoint.
func (g groups) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := g.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	info.AppendClaims("groups", g.of[subject])
	return nil
}

// company is a provider that is served, and a gate that trusts it.
type company struct {
	gate     *Gate
	console  *httptest.Server
	provider *httptest.Server
	now      time.Time

	mu      sync.Mutex
	looks   []store.Access
	lookErr error
	starts  []url.Values // what the provider was asked
}

func (c *company) record(_ context.Context, a store.Access) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lookErr == nil {
		c.looks = append(c.looks, a)
	}
	return c.lookErr
}

func newCompany(t *testing.T, edit func(*LoginConfig)) *company {
	t.Helper()
	c := &company{now: time.Now()}
	var provider, console http.Handler
	c.provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/auth" {
			c.mu.Lock()
			c.starts = append(c.starts, req.URL.Query())
			c.mu.Unlock()
		}
		provider.ServeHTTP(w, req)
	}))
	t.Cleanup(c.provider.Close)
	c.console = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { console.ServeHTTP(w, req) }))
	t.Cleanup(c.console.Close)

	const secret = "the secret of the console"
	client := storage.WebClient("console", secret, c.console.URL+callbackPath)
	users := storage.NewUserStore(c.provider.URL)
	before := slog.Default()
	provider = exampleop.SetupServer(c.provider.URL, groups{
		storage.NewStorageWithClients(users, map[string]*storage.Client{"console": client}),
		map[string][]string{"id1": {"everyone", "privacy-lead"}, "id2": {"everyone"}},
	}, nil, false)
	slog.SetDefault(before)

	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := LoginConfig{
		Issuer: c.provider.URL, ClientID: "console", ClientSecretFile: room.SecretFile(file), RedirectURL: c.console.URL + callbackPath,
		Roles: map[string]Role{"privacy-lead": Approver},
	}
	if edit != nil {
		edit(&config)
	}
	gate, err := New(Config{
		Token: "the token", Local: "console", Login: config, Record: c.record,
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return c.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.gate = gate
	console = c.routes()
	return c
}

// routes serve a small console behind the gate.
func (c *company) routes() http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, err error) {
		status := http.StatusForbidden
		if err == nil {
			status = http.StatusOK
		}
		w.WriteHeader(status)
		if err != nil {
			_, _ = io.WriteString(w, err.Error()) // the client reads it
		}
	}
	refuse := func(w http.ResponseWriter, _ *http.Request, err error) { answer(w, err) }
	home := func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, Of(req.Context()).Who) // the client reads it
	}
	mux.HandleFunc("GET /login/start", func(w http.ResponseWriter, req *http.Request) {
		if err := c.gate.Start(w, req); err != nil {
			answer(w, err)
		}
	})
	mux.HandleFunc("GET "+callbackPath, func(w http.ResponseWriter, req *http.Request) {
		if err := c.gate.Finish(w, req); err != nil {
			answer(w, err)
			return
		}
		http.Redirect(w, req, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, req *http.Request) {
		answer(w, c.gate.Enter(w, req, req.PostFormValue("token"), false))
	})
	for _, pattern := range []string{"GET /{$}", "GET /requests/{id}", "GET /requests/{id}/live", "POST /requests/{id}/deny", "POST /requests/{id}/retry", "GET /unlisted"} {
		mux.HandleFunc(pattern, c.gate.Need(pattern, strings.HasSuffix(pattern, "/live"), home, refuse))
	}
	return mux
}

type browser struct {
	*http.Client
	t *testing.T
}

func newBrowser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{&http.Client{Jar: jar}, t}
}

func (b browser) do(method, address string, form url.Values) (status int, body string, at *url.URL) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Request.URL
}

// signIn goes through the provider's own page as a user of it.
func (b browser) signIn(c *company, user string) (status int, body string, at *url.URL) {
	b.t.Helper()
	status, body, at = b.do(http.MethodGet, c.console.URL+"/login/start", nil)
	if at.Path != "/login/username" {
		b.t.Fatalf("the provider answers %d at %s: %s", status, at.Path, body)
	}
	return b.do(http.MethodPost, c.provider.URL+"/login/username", url.Values{
		"username": {user}, "password": {"verysecure"}, "id": {at.Query().Get("authRequestID")},
	})
}
