package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/attempts"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
	"github.com/habeas-data/habeas/services/tokens"
)

const deployment = "the-deployments-own-token"

// api is an API that tells who called it, behind a guard.
type api struct {
	t      *testing.T
	store  *litestore.Store
	keeper *tokens.Keeper
	guard  *tokens.Guard
	server http.Handler
	now    time.Time
	log    bytes.Buffer
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{t: t, now: time.Date(2026, 6, 15, 18, 0, 30, 0, time.UTC)}
	s, err := litestore.Open(t.Context(), litetest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test may have closed it
	clock := func() time.Time { return a.now }
	logger := slog.New(slog.NewTextHandler(&a.log, nil))
	a.store, a.keeper = s, &tokens.Keeper{Store: s, Record: s.PutAccess, Now: clock}
	a.guard = &tokens.Guard{Deployment: deployment, Keeper: a.keeper, Logger: logger, Now: clock}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) { _, _ = w.Write([]byte(request.ActorOf(req.Context()))) })
	manage := a.keeper.Handler(logger, "api")
	mux.Handle("/v1/tokens", manage)
	mux.Handle("/v1/tokens/{id}", manage)
	a.server = a.guard.Protect(mux)
	return a
}

func (a *api) call(secret, method, path, body string) *httptest.ResponseRecorder {
	a.t.Helper()
	req := httptest.NewRequestWithContext(a.t.Context(), method, path, strings.NewReader(body))
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	req.Header.Set("Habeas-Actor", "somebody else")
	w := httptest.NewRecorder()
	a.server.ServeHTTP(w, req)
	return w
}

// make makes a token over the API.
func (a *api) make(scopes ...string) tokens.View {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"name": "a test's", "scopes": scopes, "days": 30})
	if err != nil {
		a.t.Fatal(err)
	}
	w := a.call(deployment, http.MethodPost, "/v1/tokens", string(body))
	var v tokens.View
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusCreated || v.Secret == "" {
		a.t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return v
}

// Only whoever may verify can hand in a request that is verified already.
func TestWhoMayAttest(t *testing.T) {
	a := newAPI(t)
	may := false
	a.server = a.guard.Protect(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { may = request.MayAttest(req.Context()) }))
	admin := newAPI(t)
	admin.store, admin.keeper, admin.guard = a.store, a.keeper, a.guard
	mux := http.NewServeMux()
	mux.Handle("/v1/tokens", a.keeper.Handler(a.guard.Logger, "api"))
	admin.server = a.guard.Protect(mux)
	for secret, want := range map[string]bool{
		admin.make("submit").Secret: false, admin.make("submit", "decide").Secret: false, admin.make("submit", "operate").Secret: true,
		admin.make("all").Secret: true, deployment: true,
	} {
		if w := a.call(secret, http.MethodPost, "/v1/requests", ""); w.Code != http.StatusOK || may != want {
			t.Errorf("status %d, may attest is %t, want %t", w.Code, may, want)
		}
	}
}

// A token opens what its scopes name and nothing else.
func TestScopes(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct{ scope, method, path string }{
		{"submit", "POST", "/v1/requests"}, {"submit", "POST", "/v1/requests:bulk"},
		{"submit", "POST", "/v1/disclosures"}, {"read", "GET", "/v1/recipients/notices?request=x"}, {"operate", "POST", "/v1/recipients/notices/x/acknowledge"},
		{"read", "GET", "/v1/requests"}, {"read", "GET", "/v1/requests/x"}, {"read", "GET", "/v1/connectors"},
		{"operate", "POST", "/v1/requests/x/retry"}, {"decide", "POST", "/v1/requests/x/deny"},
		{"package", "GET", "/v1/requests/x/package"}, {"evidence", "GET", "/v1/requests/x/evidence"}, {"evidence", "GET", "/log/v1/records"},
		{"evidence", "GET", "/v1/evidence?from=2026-01-01"}, {"suppression", "POST", "/v1/suppression:check"}, {"suppression", "POST", "/v1/kept:check"}, {"manage", "GET", "/v1/tokens"},
		{"read", "GET", "/v1/replays:preview"}, {"operate", "POST", "/v1/replays"}, {"operate", "POST", "/v1/incidents/x/close"}, {"decide", "POST", "/v1/suppression:release"},
		{"all", "PUT", "/v1/something/new"}, {"all", "DELETE", "/v1/requests"},
	} {
		for _, s := range tokens.Scopes {
			allowed := string(s.Scope) == c.scope || s.Scope == tokens.All
			want := http.StatusForbidden
			if allowed {
				want = http.StatusOK
			}
			if w := a.call(a.make(string(s.Scope)).Secret, c.method, c.path, ""); w.Code != want {
				t.Errorf("%s with %s: status %d, want %d: %s", c.method+" "+c.path, s.Scope, w.Code, want, w.Body)
			}
		}
		if w := a.call(deployment, c.method, c.path, ""); w.Code != http.StatusOK {
			t.Errorf("%s with the deployment's token: status %d", c.path, w.Code)
		}
	}
}

func TestTokensEndAndAreRevokedAtOnce(t *testing.T) {
	a := newAPI(t)
	v := a.make("read")
	good := func() int { return a.call(v.Secret, "GET", "/v1/requests", "").Code }
	if got := a.call(v.Secret, "GET", "/v1/requests", "").Body.String(); got != v.ID {
		t.Errorf("its holder acts as %q", got)
	}
	a.now = v.ExpiresAt.Add(-time.Second)
	if good() != http.StatusOK {
		t.Error("it ended before its time")
	}
	a.now = v.ExpiresAt
	if good() != http.StatusUnauthorized {
		t.Error("it is good after its end")
	}
	a.now = v.CreatedAt
	if w := a.call(deployment, "DELETE", "/v1/tokens/"+v.ID, ""); w.Code != http.StatusNoContent {
		t.Fatalf("revoking: %d", w.Code)
	}
	if good() != http.StatusUnauthorized {
		t.Error("it is good after it was revoked")
	}
	if w := a.call(deployment, "DELETE", "/v1/tokens/tok_nosuchtoken", ""); w.Code != http.StatusNotFound {
		t.Errorf("revoking nothing: %d", w.Code)
	}
}

// The list shows the last use and never a secret; the database has no secret.
func TestSecretsAreShownOnce(t *testing.T) {
	a := newAPI(t)
	v := a.make("read", "evidence")
	a.call(v.Secret, "GET", "/v1/requests", "")
	w := a.call(deployment, "GET", "/v1/tokens", "")
	var all struct{ Tokens []tokens.View }
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Tokens) != 1 || all.Tokens[0].UsedAt == nil || !all.Tokens[0].UsedAt.Equal(a.now.Truncate(time.Minute)) || all.Tokens[0].State != "good" {
		t.Errorf("listed: %+v", all.Tokens)
	}
	kept, err := a.store.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the list": w.Body.String(), "the store": string(kept[0].Digest) + kept[0].ID + kept[0].Name, "the log": a.log.String()} {
		if strings.Contains(text, v.Secret) || strings.Contains(text, strings.TrimPrefix(v.Secret, "habeas_")) {
			t.Errorf("%s has the secret", name)
		}
	}
}

// Who made and revoked what is on record, before it is so.
func TestTokensAreOnRecord(t *testing.T) {
	a := newAPI(t)
	v := a.make("read")
	a.call(deployment, "DELETE", "/v1/tokens/"+v.ID, "")
	list, err := a.store.Accesses(t.Context(), time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Purpose != "create token "+v.ID+" for read" || list[1].Purpose != "revoke token "+v.ID || list[0].Who != "api" {
		t.Errorf("on record: %+v", list)
	}
	a.keeper.Record = func(context.Context, store.Access) error { return errors.New("the database is down") }
	if w := a.call(deployment, "POST", "/v1/tokens", `{"name":"x","scopes":["read"],"days":1}`); w.Code != http.StatusServiceUnavailable {
		t.Errorf("made without a record: status %d", w.Code)
	}
	if all, err := a.keeper.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d tokens, %v", len(all), err)
	}
}

func TestWishesThatAreRefused(t *testing.T) {
	a := newAPI(t)
	for body, status := range map[string]int{
		`{"name":"","scopes":["read"],"days":1}`:         http.StatusUnprocessableEntity,
		`{"name":"x","scopes":[],"days":1}`:              http.StatusUnprocessableEntity,
		`{"name":"x","scopes":["root"],"days":1}`:        http.StatusUnprocessableEntity,
		`{"name":"x","scopes":["read"],"days":367}`:      http.StatusUnprocessableEntity,
		`{"name":"x","scopes":["read"]}`:                 http.StatusUnprocessableEntity,
		`{"name":"x","scopes":["read"],"days":1,"id":1}`: http.StatusBadRequest,
		`[`: http.StatusBadRequest,
	} {
		if w := a.call(deployment, "POST", "/v1/tokens", body); w.Code != status {
			t.Errorf("%s: status %d, want %d: %s", body, w.Code, status, w.Body)
		}
	}
	manager := a.make("manage", "read")
	if w := a.call(manager.Secret, "POST", "/v1/tokens", `{"name":"x","scopes":["all"],"days":1}`); w.Code != http.StatusForbidden {
		t.Errorf("a token gave more than it has: %d", w.Code)
	}
	if w := a.call(manager.Secret, "POST", "/v1/tokens", `{"name":"x","scopes":["read"],"days":1}`); w.Code != http.StatusCreated {
		t.Errorf("a token may not give what it has: %d", w.Code)
	}
}

// What takes two people is not done by one who makes a token more.
func TestNobodyMakesASecondDecider(t *testing.T) {
	a := newAPI(t)
	for _, holder := range [][]string{{"manage", "decide"}, {"all"}} {
		held := a.make(holder...)
		for _, scope := range []string{"decide", "all"} {
			if w := a.call(held.Secret, "POST", "/v1/tokens", `{"name":"x","scopes":["read","`+scope+`"],"days":1}`); w.Code != http.StatusForbidden {
				t.Errorf("a token for %v made one for %s: status %d", holder, scope, w.Code)
			}
		}
	}
	if w := a.call(deployment, "POST", "/v1/tokens", `{"name":"x","scopes":["decide"],"days":1}`); w.Code != http.StatusCreated {
		t.Errorf("the deployment's own: status %d", w.Code)
	}
}

// Who guesses is kept out for a while, also with a token that is right; calls
// without any token are no guesses.
func TestGuessing(t *testing.T) {
	a := newAPI(t)
	v := a.make("read")
	for range attempts.Most + 1 {
		if w := a.call("", "GET", "/v1/requests", ""); w.Code != http.StatusUnauthorized {
			t.Fatalf("without a token: %d", w.Code)
		}
	}
	for i := range attempts.Most {
		if w := a.call("habeas_wrong", "GET", "/v1/requests", ""); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
			t.Fatalf("guess %d: %d", i, w.Code)
		}
	}
	if w := a.call(v.Secret, "GET", "/v1/requests", ""); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("after many guesses: %d", w.Code)
	}
	if w := a.call(deployment, "GET", "/v1/requests", ""); w.Code != http.StatusOK {
		t.Errorf("the deployment's own: %d", w.Code)
	}
	a.now = a.now.Add(attempts.Window)
	if w := a.call(v.Secret, "GET", "/v1/requests", ""); w.Code != http.StatusOK {
		t.Errorf("later: %d", w.Code)
	}
}

// Without a database, and without a token of the deployment, nobody gets in.
func TestNobodyGetsIn(t *testing.T) {
	for _, g := range []*tokens.Guard{
		{Logger: slog.New(slog.DiscardHandler), Now: time.Now},
		{Deployment: deployment, Logger: slog.New(slog.DiscardHandler), Now: time.Now},
	} {
		h := g.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody got in") }))
		for _, header := range []string{"", "Bearer ", "Bearer x", deployment, "bearer " + deployment, "Bearer habeas_x"} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/requests", nil)
			req.Header.Set("Authorization", header)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%q: status %d", header, w.Code)
			}
		}
	}
	a := newAPI(t)
	v := a.make("read")
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	if w := a.call(v.Secret, "GET", "/v1/requests", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without the database: status %d", w.Code)
	}
}
