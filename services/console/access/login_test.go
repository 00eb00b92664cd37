package access

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

func lead(c *company) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(c.provider.URL, "http://"), ":")
	return "test-user@" + host
}

func TestLoginAtTheCompany(t *testing.T) {
	c := newCompany(t, nil)
	b := newBrowser(t)
	status, body, at := b.signIn(c, lead(c))
	if status != http.StatusOK || at.Path != "/" || at.Host != strings.TrimPrefix(c.console.URL, "http://") || body != "id1" {
		t.Fatalf("status %d at %s: %s", status, at, body)
	}
	asked := c.starts[0]
	if asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") == "" || asked.Get("state") == "" || asked.Get("nonce") == "" || asked.Get("response_type") != "code" {
		t.Errorf("the provider was asked %v", asked)
	}
	id := string(request.NewID())
	for _, one := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/requests/" + id, http.StatusOK},
		{http.MethodPost, "/requests/" + id + "/deny", http.StatusOK},
		{http.MethodPost, "/requests/" + id + "/retry", http.StatusForbidden}, // an approver operates nothing
		{http.MethodGet, "/unlisted", http.StatusForbidden},                   // no entry, no way in
	} {
		if status, _, _ := b.do(one.method, c.console.URL+one.path, nil); status != one.status {
			t.Errorf("%s %s: status %d, want %d", one.method, one.path, status, one.status)
		}
	}
	if len(c.looks) != 2 || c.looks[0].Purpose != "console: the list of requests" || c.looks[1].Who != "id1" || c.looks[1].Role != "approver" || !c.looks[1].Allowed {
		t.Errorf("on record: %+v", c.looks)
	}
}

func TestNobodyWithoutARole(t *testing.T) {
	c := newCompany(t, nil)
	b := newBrowser(t)
	if status, body, _ := b.signIn(c, "test-user2"); status != http.StatusForbidden || body != ErrRole.Error() {
		t.Errorf("status %d: %s", status, body)
	}
	if status, body, _ := b.do(http.MethodGet, c.console.URL+"/", nil); status != http.StatusForbidden || body != ErrNoSession.Error() {
		t.Errorf("without a role: status %d: %s", status, body)
	}
}

// The token opens nothing where the company has a login.
func TestTokenBesideALogin(t *testing.T) {
	c := newCompany(t, nil)
	if status, body, _ := newBrowser(t).do(http.MethodPost, c.console.URL+"/login", url.Values{"token": {"the token"}}); body != ErrWrong.Error() {
		t.Errorf("status %d: %s", status, body)
	}
}

// An answer of the provider counts in the browser that asked, once, and in time.
func TestAnswersToOthers(t *testing.T) {
	// answered stops a browser before it comes back, and returns where to.
	answered := func(t *testing.T, c *company, b browser) string {
		t.Helper()
		var back string
		b.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
			if req.URL.Path == callbackPath {
				back = req.URL.String()
				return http.ErrUseLastResponse
			}
			return nil
		}
		b.signIn(c, lead(c))
		b.CheckRedirect = nil
		if back == "" {
			t.Fatal("the provider did not send the browser back")
		}
		return back
	}
	refused := func(t *testing.T, c *company, b browser, address string) {
		t.Helper()
		if status, body, _ := b.do(http.MethodGet, address, nil); status != http.StatusForbidden || !strings.HasPrefix(body, ErrLogin.Error()) {
			t.Errorf("status %d: %s", status, body)
		}
		if _, body, _ := b.do(http.MethodGet, c.console.URL+"/", nil); body != ErrNoSession.Error() {
			t.Errorf("got in: %s", body)
		}
	}
	for name, play := range map[string]func(*testing.T, *company){
		"another browser's": func(t *testing.T, c *company) {
			refused(t, c, newBrowser(t), answered(t, c, newBrowser(t)))
		},
		"another login's": func(t *testing.T, c *company) {
			b := newBrowser(t)
			first := answered(t, c, b)
			b.do(http.MethodGet, c.console.URL+"/login/start", nil)
			refused(t, c, b, first)
		},
		"another code": func(t *testing.T, c *company) {
			b, other := newBrowser(t), newBrowser(t)
			mine, err := url.Parse(answered(t, c, b))
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := url.Parse(answered(t, c, other))
			if err != nil {
				t.Fatal(err)
			}
			q := mine.Query()
			q.Set("code", theirs.Query().Get("code")) // PKCE: the verifier is another
			mine.RawQuery = q.Encode()
			refused(t, c, b, mine.String())
		},
		"too late": func(t *testing.T, c *company) {
			b := newBrowser(t)
			back := answered(t, c, b)
			c.now = c.now.Add(loginTakes)
			refused(t, c, b, back)
		},
	} {
		t.Run(name, func(t *testing.T) { play(t, newCompany(t, nil)) })
	}
	t.Run("in time", func(t *testing.T) {
		c := newCompany(t, nil)
		b := newBrowser(t)
		if _, body, _ := b.do(http.MethodGet, answered(t, c, b)+"&then=https://evil.example&redirect_uri=//evil.example", nil); body != "id1" {
			t.Errorf("the browser is not signed in here: %s", body)
		}
	})
}

func TestSessionIsNewAtLogin(t *testing.T) {
	c := newCompany(t, nil)
	b := newBrowser(t)
	here, err := url.Parse(c.console.URL)
	if err != nil {
		t.Fatal(err)
	}
	// A cookie that somebody else planted.
	b.Jar.SetCookies(here, []*http.Cookie{{Name: Cookie, Value: "planted", Path: "/"}})
	cookie := func() string {
		for _, one := range b.Jar.Cookies(here) {
			if one.Name == Cookie {
				return one.Value
			}
		}
		return ""
	}
	b.signIn(c, lead(c))
	first := cookie()
	b.signIn(c, lead(c))
	second := cookie()
	if first == "" || first == "planted" || first == second {
		t.Error("signing in kept the cookie")
	}
	if _, _, ok := c.gate.sessions.find(first, c.now, true); ok {
		t.Error("the session before still works")
	}
	c.now = c.now.Add(SessionIdle)
	if _, body, _ := b.do(http.MethodGet, c.console.URL+"/", nil); body != ErrNoSession.Error() {
		t.Error("an idle session still works")
	}
}

func TestViewsThatCannotBeRecorded(t *testing.T) {
	c := newCompany(t, nil)
	b := newBrowser(t)
	b.signIn(c, lead(c))
	c.mu.Lock()
	c.lookErr = http.ErrAbortHandler
	c.mu.Unlock()
	for _, path := range []string{"", "/live"} {
		if _, body, _ := b.do(http.MethodGet, c.console.URL+"/requests/"+string(request.NewID())+path, nil); !strings.HasPrefix(body, ErrRecord.Error()) {
			t.Errorf("shown without a record: %s", body)
		}
	}
}

func TestBadSettings(t *testing.T) {
	good := LoginConfig{Issuer: "https://id.example", ClientID: "x", RedirectURL: "https://c.example" + callbackPath, Roles: map[string]Role{"a": Admin}}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for names, spoil := range map[string]func(*LoginConfig){
		"client_id":    func(c *LoginConfig) { c.ClientID = "" },
		"redirect_url": func(c *LoginConfig) { c.RedirectURL = "https://c.example/else" },
		"roles":        func(c *LoginConfig) { c.Roles = nil },
		`"root"`:       func(c *LoginConfig) { c.Roles = map[string]Role{"a": "root"} },
	} {
		c := good
		spoil(&c)
		if err := c.check(); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%s: %v", names, err)
		}
	}
}

func TestUnverifiedAddressIsNobody(t *testing.T) {
	l := &login{config: LoginConfig{NameClaim: "email", RolesClaim: "groups", Roles: map[string]Role{"a": Viewer, "b": Operator}}}
	if i, err := l.identity(map[string]any{"email": "staff@example.com", "groups": "a"}); err == nil {
		t.Errorf("an address that nobody verified is %v", i)
	}
	i, err := l.identity(map[string]any{"email": "staff@example.com", "email_verified": true, "groups": []any{"a", "b", "c", 4}})
	if err != nil || !i.May(Operate) || !i.May(See) || i.May(Decide) || len(i.Roles) != 2 {
		t.Errorf("%v, %v", i, err)
	}
}

func TestGroupsAsAnObject(t *testing.T) {
	l := &login{config: LoginConfig{NameClaim: "sub", RolesClaim: "groups", Roles: map[string]Role{"a": Viewer, "b": Operator, "c": Admin}}}
	i, err := l.identity(map[string]any{"sub": "x", "groups": map[string]any{"a": map[string]any{"org": "1"}, "b": false, "c": nil}})
	if err != nil || !i.May(Look) || i.May(Operate) || i.May(Manage) {
		t.Errorf("%v, %v", i, err)
	}
}

func TestRolesAddUp(t *testing.T) {
	for role, may := range map[Role][]Permission{
		Viewer: {See, Look}, Operator: {See, Look, Operate}, Approver: {See, Look, Decide}, Auditor: {See}, Admin: {See, Look, Operate, Decide}, "": nil,
	} {
		for _, p := range []Permission{See, Look, Operate, Decide} {
			want := false
			for _, m := range may {
				want = want || m == p
			}
			if got := (Identity{Roles: []Role{role}}).May(p); got != want {
				t.Errorf("%s may %s: %v", role, p, got)
			}
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	now := time.Now()
	first := s.start(Identity{}, now)
	var last string
	for i := range maxSessions {
		last = s.start(Identity{}, now.Add(time.Duration(i+1)*time.Millisecond))
	}
	if _, _, ok := s.find(first, now, true); ok || len(s.all) != maxSessions {
		t.Errorf("%d sessions, the first is there: %v", len(s.all), ok)
	}
	if _, _, ok := s.find(last, now, true); !ok {
		t.Error("the last session made no room for itself")
	}
}
