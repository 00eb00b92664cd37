package portal_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/request"
)

// issuer is a company's customer login. It signs anybody in as claims.
type issuer struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any
	asked  url.Values // of the last login
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	is := &issuer{key: key}
	mux := http.NewServeMux()
	is.Server = httptest.NewServer(mux)
	t.Cleanup(is.Close)
	say := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		say(w, map[string]any{
			"issuer": is.URL, "authorization_endpoint": is.URL + "/authorize", "token_endpoint": is.URL + "/token", "jwks_uri": is.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		say(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		say(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": is.token(t)})
	})
	return is
}

func (is *issuer) token(t *testing.T) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: is.key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": is.URL, "aud": "habeas", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": is.asked.Get("nonce")}
	maps.Copy(claims, is.claims)
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func loginRig(t *testing.T) (*rig, *issuer) {
	t.Helper()
	is := newIssuer(t)
	login, err := portal.NewLogin(t.Context(), portal.LoginConfig{Issuer: is.URL, ClientID: "habeas", RedirectURL: "https://privacy.example.com/privacy/callback"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *portal.Config) { c.Login = login })
	r.now = time.Now().UTC() // tokens are checked by the real clock
	return r, is
}

// signIn goes to the login and back, and returns where the portal leads then.
func (b *browser) signIn(is *issuer, query string, claims map[string]any) answer {
	b.t.Helper()
	a := b.get("/privacy/login?" + query)
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.code != http.StatusSeeOther {
		b.t.Fatalf("status %d, %v", a.code, err)
	}
	is.asked, is.claims = u.Query(), claims
	return b.get("/privacy/callback?code=c&state=" + is.asked.Get("state"))
}

func person(r *rig, age time.Duration) map[string]any {
	return map[string]any{"sub": "u-17", "email": planted, "email_verified": true, "auth_time": r.clock().Add(-age).Unix()}
}

// VE-2: a login verifies when it is fresh, and the login is told to ask for the
// password again.
func TestLogin_VE2(t *testing.T) {
	r, is := loginRig(t)
	b := r.browser()
	if a := b.signIn(is, "then=delete", person(r, time.Second)); a.code != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/privacy/delete") {
		t.Fatalf("status %d, to %s: %s", a.code, a.header.Get("Location"), r.logs.String())
	}
	if is.asked.Get("prompt") != "login" || is.asked.Get("max_age") != "0" || is.asked.Get("code_challenge_method") != "S256" {
		t.Errorf("the login was asked for %v", is.asked)
	}
	if page := b.get("/privacy/delete").body; strings.Contains(page, `name="email"`) {
		t.Error("who is signed in is asked for what is known of her")
	}
	link := b.submit("/privacy/delete", "scope", "all")
	r.work()
	req := r.request(link)
	if req.State() != request.Accepted || len(req.Kinds) != 2 {
		t.Errorf("the request is %s, by %v", req.State(), req.Kinds)
	}

	other := r.browser()
	if a := other.signIn(is, "then=delete", person(r, 24*time.Hour)); a.code != http.StatusBadRequest {
		t.Errorf("a login of yesterday: status %d", a.code)
	}
	noTime := person(r, 0)
	delete(noTime, "auth_time")
	if a := other.signIn(is, "then=delete", noTime); a.code != http.StatusBadRequest {
		t.Errorf("a login that does not say when: status %d", a.code)
	}
	unverified := map[string]any{"email": planted, "auth_time": r.clock().Unix()}
	if a := other.signIn(is, "then=delete", unverified); a.code != http.StatusBadRequest {
		t.Errorf("an address that is not verified: status %d", a.code)
	}
	if a := other.get("/privacy/callback?code=c&state=x"); a.code != http.StatusBadRequest {
		t.Errorf("a callback nobody asked for: status %d", a.code)
	}
	if strings.Contains(r.logs.String(), planted) {
		t.Error("the log names the person")
	}
}

// VE-2: a session that was fresh when the request was made is not enough for
// the release a day later.
func TestDownloadByLogin_VE2(t *testing.T) {
	r, is := loginRig(t)
	b := r.browser()
	b.signIn(is, "then=know-specific", person(r, 0))
	link := b.submit("/privacy/know-specific", "range", "default")
	r.work()
	r.finished(link)
	r.pass(16 * time.Minute)
	if a := b.post(link+"/download", "lang", "en"); a.code != http.StatusForbidden || r.asked != 0 {
		t.Errorf("with an old session: status %d", a.code)
	}
	token := link[strings.LastIndex(link, "/")+1:]
	again := "request=" + string(r.request(link).ID) + "&token=" + token
	stranger := r.browser()
	if a := stranger.signIn(is, again, map[string]any{"sub": "u-18", "auth_time": r.clock().Unix()}); !strings.Contains(a.header.Get("Location"), "said=other") {
		t.Errorf("another account leads to %s", a.header.Get("Location"))
	}
	if a := stranger.post(link+"/download", "lang", "en"); a.code != http.StatusForbidden {
		t.Errorf("another account: status %d", a.code)
	}
	b.signIn(is, again, person(r, 0))
	if a := b.post(link+"/download", "lang", "en"); a.code != http.StatusOK || a.body != "the package" {
		t.Errorf("after signing in again: status %d", a.code)
	}
}

// A login that never checked a number does not speak for it, and none speaks for a
// name: anybody may give another's to an account of their own.
func TestLoginOfUncheckedNumber(t *testing.T) {
	is := newIssuer(t)
	login, err := portal.NewLogin(t.Context(), portal.LoginConfig{
		Issuer: is.URL, ClientID: "habeas", RedirectURL: "https://privacy.example.com/privacy/callback",
		Claims: map[string]string{"sub": "user_id", "phone_number": "phone", "name": "name"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for checked, want := range map[bool]int{false: 1, true: 2} {
		r := newRig(t, func(c *portal.Config) { c.Login = login })
		r.now = time.Now().UTC()
		b := r.browser()
		b.signIn(is, "then=know-specific", map[string]any{
			"sub": "u-17", "phone_number": "+14155550123", "phone_number_verified": checked, "name": "Planted Person", "auth_time": r.clock().Unix(),
		})
		if kinds := r.request(b.submit("/privacy/know-specific", "range", "default")).Kinds; len(kinds) != want {
			t.Errorf("checked is %t: the request is by %v", checked, kinds)
		}
	}
}

// To sign in for a request is to vouch for it: nobody is led to it by a link in
// somebody's mail or on another site, without seeing what the request is.
func TestLoginForARequestBeginsOnItsPage_VE2(t *testing.T) {
	r, is := loginRig(t)
	strangers := r.browser()
	link := strangers.submit("/privacy/delete", "email", planted)
	parts := strings.Split(strings.TrimPrefix(link, "/privacy/r/"), "/")
	query := "request=" + parts[0] + "&token=" + parts[1]
	for _, site := range []string{"cross-site", "same-site", "none"} {
		b := r.browser()
		b.header.Set("Sec-Fetch-Site", site)
		a := b.get("/privacy/login?" + query)
		if to := a.header.Get("Location"); a.code != http.StatusSeeOther || !strings.HasPrefix(to, link) {
			t.Errorf("%s: status %d, to %q, want the page of the request", site, a.code, to)
		}
		b.header.Del("Sec-Fetch-Site")
		if a := b.get("/privacy/callback?code=c&state=x"); a.code != http.StatusBadRequest {
			t.Errorf("%s: a login is under way: status %d", site, a.code)
		}
	}
	if s := r.request(link).State(); s != request.AwaitingVerification {
		t.Errorf("the request is %s", s)
	}
	b := r.browser()
	b.header.Set("Sec-Fetch-Site", "same-origin")
	if a := b.signIn(is, query, person(r, time.Second)); !strings.HasPrefix(a.header.Get("Location"), link) {
		t.Errorf("from its page: status %d to %q", a.code, a.header.Get("Location"))
	}
	r.work()
	if s := r.request(link).State(); s != request.Accepted {
		t.Errorf("after the login the request is %s", s)
	}
}

// Strangers who type a person's address in again and again don't keep her from
// asking: she signs in.
func TestStrangersDontUseUpAPersonsRequests(t *testing.T) {
	r, is := loginRig(t)
	stranger := r.browser()
	refused := false
	for range 12 {
		refused = stranger.post("/privacy/delete", "email", planted).code == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("nothing limits what is asked in a person's name")
	}
	b := r.browser()
	b.signIn(is, "then=delete", person(r, time.Second))
	if a := b.post("/privacy/delete"); a.code != http.StatusSeeOther {
		t.Errorf("the person herself: status %d", a.code)
	}
}
