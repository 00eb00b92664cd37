package console

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// stranger is a client without a session that follows no redirects.
func stranger() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestNew(t *testing.T) {
	d := newDesk(t)
	good := Config{Store: d.store, Conn: d.bus.Conn, Act: d.act, Token: token}
	for name, spoil := range map[string]func(*Config){
		"store": func(c *Config) { c.Store = nil }, "bus": func(c *Config) { c.Conn = nil },
		"actor": func(c *Config) { c.Act = nil }, "token": func(c *Config) { c.Token = "" },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("made a console without a %s", name)
		}
	}
}

func TestNothingWithoutASession(t *testing.T) {
	d := newDesk(t)
	id := string(d.add(t, waiting()))
	for _, path := range []string{"/", "/?state=running", "/requests/" + id, "/requests/" + id + "?x=1", "/nowhere"} {
		a := d.do(t, stranger(), http.MethodGet, path, nil, nil)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/login" || strings.Contains(a.body, id) {
			t.Errorf("%s: status %d, to %s", path, a.status, a.header.Get("Location"))
		}
	}
	for _, path := range []string{"/live", "/events", "/requests/" + id + "/live", "/requests/" + id + "/events"} {
		if a := d.do(t, stranger(), http.MethodGet, path, nil, nil); a.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
	for _, action := range []string{"verify", "cancel", "deny", "retry", "approve", "extend", "hold", "unhold"} {
		a := d.do(t, stranger(), http.MethodPost, "/requests/"+id+"/"+action, url.Values{"code": {"x"}, "reason": {"x"}}, nil)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/login" {
			t.Errorf("%s: status %d", action, a.status)
		}
	}
	forged := http.Header{"Cookie": {access.Cookie + "=" + token}}
	if a := d.do(t, stranger(), http.MethodGet, "/", nil, forged); a.status != http.StatusSeeOther {
		t.Errorf("an invented cookie: status %d", a.status)
	}
	if len(d.act.calls) != 0 {
		t.Errorf("strangers did %v", d.act.calls)
	}
}

func TestLogin(t *testing.T) {
	d := newDesk(t) // it signed in by the link
	clock := now
	d.room.config.Now = func() time.Time { return clock }
	for _, a := range []answer{
		d.do(t, stranger(), http.MethodGet, "/login?token=wrong", nil, nil),
		d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {token + " "}}, nil),
	} {
		if a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
			t.Errorf("a wrong token: status %d", a.status)
		}
		a.decent(t, true)
		a.says(t, "That token is not this console's")
	}
	again := d.do(t, stranger(), http.MethodGet, "/login?token="+token, nil, nil)
	if again.status != http.StatusForbidden || again.header.Get("Set-Cookie") != "" {
		t.Errorf("the link worked twice: status %d", again.status)
	}
	byAnother := d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {token}}, nil)
	byForm := d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {token}}, nil)
	if byAnother.header.Get("Set-Cookie") == byForm.header.Get("Set-Cookie") {
		t.Error("two sessions have one cookie")
	}
	for _, a := range []answer{byAnother, byForm} {
		cookie := a.header.Get("Set-Cookie")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/" || strings.Contains(cookie, token) ||
			!strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || !strings.Contains(cookie, "Max-Age=43200") {
			t.Errorf("status %d, cookie %s", a.status, cookie)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	if a := d.do(t, client, http.MethodPost, "/login", url.Values{"token": {token}}, nil); a.path != "/" || a.status != http.StatusOK {
		t.Errorf("after signing in: %s, status %d", a.path, a.status)
	}
	for range 12 {
		clock = clock.Add(access.SessionIdle - time.Second)
		d.do(t, client, http.MethodGet, "/", nil, nil)
	}
	clock = now.Add(access.SessionLife - time.Second)
	if a := d.do(t, client, http.MethodGet, "/", nil, nil); a.path != "/" {
		t.Errorf("signed out before its time, to %s", a.path)
	}
	clock = clock.Add(time.Second)
	if a := d.do(t, client, http.MethodGet, "/", nil, nil); a.path != "/login" {
		t.Errorf("signed in after its time, at %s", a.path)
	}
	d.do(t, client, http.MethodPost, "/login", url.Values{"token": {token}}, nil)
	d.do(t, client, http.MethodPost, "/logout", nil, nil)
	if a := d.do(t, client, http.MethodGet, "/", nil, nil); a.path != "/login" {
		t.Errorf("signed in after signing out, at %s", a.path)
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	d := newDesk(t)
	id := string(d.add(t, waiting()))
	for name, header := range map[string]http.Header{
		"fetch metadata": {"Sec-Fetch-Site": {"cross-site"}}, "same site": {"Sec-Fetch-Site": {"same-site"}},
		"origin": {"Origin": {"https://evil.example"}}, "no origin": {"Origin": {"null"}},
	} {
		a := d.do(t, d.client, http.MethodPost, "/requests/"+id+"/cancel", url.Values{"code": {"withdrawn"}, "reason": {"x"}}, header)
		if a.status != http.StatusForbidden {
			t.Errorf("%s: status %d", name, a.status)
		}
		a.decent(t, true)
		a.says(t, "came from another site")
	}
	if a := d.fetch(t, "/requests/"+id+"/cancel?code=withdrawn&reason=x"); a.status != http.StatusNotFound {
		t.Errorf("cancelling by a link: status %d", a.status)
	}
	if len(d.act.calls) != 0 {
		t.Errorf("another site did %v", d.act.calls)
	}
	own := http.Header{"Origin": {d.server.URL}} // a browser without fetch metadata
	if a := d.do(t, d.client, http.MethodPost, "/requests/"+id+"/cancel", url.Values{"code": {"withdrawn"}, "reason": {"x"}}, own); a.status != http.StatusOK {
		t.Errorf("our own form: status %d", a.status)
	}
}

func TestDecisions(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	for _, c := range []struct {
		on, action string
		form       url.Values
		want       string
	}{
		{"waiting", "verify", url.Values{"method": {" account_login "}, "level": {"reasonably_high"}}, "attest %s account_login reasonably_high by console"},
		{"waiting", "deny", url.Values{"code": {"not_verified"}, "reason": {" no such account "}}, `deny %s not_verified "no such account" map[]`},
		{"waiting", "deny", url.Values{"code": {"fraud"}, "reason": {"x"}, "evidence.document": {" memo 7 "}, "evidence.facts": {""}}, `deny %s fraud "x" map[document:memo 7]`},
		{"waiting", "assign", url.Values{"assignee": {" ana "}}, `assign all 1 "ana"`},
		{"deletion", "cancel", url.Values{"code": {"withdrawn"}, "reason": {"by phone"}}, `stop %s cancelled withdrawn "by phone"`},
		{"deletion", "retry", nil, `retry %s "" 0`},
		{"deletion", "retry", url.Values{"connector": {"analytics"}}, `retry %s "analytics" 0`},
		{"tooMany", "approve", url.Values{"connector": {"analytics"}, "cap": {"250000"}}, `retry %s "analytics" 250000`},
		{"deletion", "extend", url.Values{"reason": {" many systems "}}, `extend %s "many systems"`},
		{"deletion", "hold", url.Values{"kind": {"legal"}, "ref": {" matter-17 "}, "reason": {"claims"}}, `hold %s legal "matter-17" "claims"`},
		{"deletion", "unhold", url.Values{"hold": {"h-1"}}, "unhold %s h-1"},
	} {
		d.act.calls = nil
		path := "/requests/" + string(ids[c.on])
		a := d.post(t, path+"/"+c.action, c.form)
		if a.status != http.StatusOK || a.path != path {
			t.Errorf("%s: status %d at %s", c.action, a.status, a.path)
		}
		if want := strings.Replace(c.want, "%s", string(ids[c.on]), 1); !slices.Equal(d.act.calls, []string{want}) {
			t.Errorf("%s: asked for %q, want %q", c.action, d.act.calls, want)
		}
	}
}

func TestRefusedDecisions(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	for _, c := range []struct {
		on, action string
		form       url.Values
		err        error
		status     int
		says       string
	}{
		{"waiting", "deny", url.Values{"code": {"Not A Code"}, "reason": {"typed before"}}, request.ErrNoReason, 422, "Give a short code"},
		{"waiting", "verify", url.Values{"method": {"x"}, "level": {"reasonable"}}, request.ErrLevelTooLow, 422, "too low"},
		{"waiting", "verify", nil, request.FieldErrors{{Field: "verification", Problem: "is bad", Fix: "make it good"}}, 422, "Verification is bad; make it good."},
		{"copied", "cancel", url.Values{"code": {"x"}, "reason": {"y"}}, request.ErrTransition, 409, "has moved on"},
		{"copied", "extend", url.Values{"reason": {"x"}}, request.ErrExtension, 409, "can't be prolonged"},
		{"deletion", "hold", url.Values{"kind": {"legal"}}, request.ErrHold, 422, "can't be held like this"},
		{"optedOut", "hold", url.Values{"kind": {"suspicion"}}, request.ErrNeverHeld, 422, "never held"},
		{"copied", "retry", nil, nil, 409, "No system has anything to try again"},
		{"deletion", "retry", url.Values{"connector": {"billing"}}, nil, 409, "No system has anything to try again"},
		{"deletion", "approve", url.Values{"connector": {"analytics"}, "cap": {"10"}}, nil, 409, "No system has anything to try again"},
		{"tooMany", "approve", url.Values{"connector": {"analytics"}, "cap": {"0"}}, nil, 422, "is not a number above 0"},
		{"tooMany", "approve", url.Values{"connector": {"analytics"}, "cap": {"many"}}, nil, 422, "is not a number above 0"},
		{"tooMany", "approve", url.Values{"cap": {"10"}}, nil, 422, "is not a number above 0"},
		{"waiting", "deny", url.Values{"code": {"x"}, "reason": {"y"}}, errors.New("lost the database of " + planted), 503, "The database does not answer"},
	} {
		d.act.err = c.err
		a := d.post(t, "/requests/"+string(ids[c.on])+"/"+c.action, c.form)
		if a.status != c.status {
			t.Errorf("%s %s: status %d, want %d", c.on, c.action, a.status, c.status)
		}
		a.decent(t, true)
		a.says(t, c.says)
		if c.status == 422 && c.form.Get("reason") != "" && !strings.Contains(a.body, `value="typed before"`) {
			t.Error("what was typed is gone")
		}
	}
	d.act.err = nil
	for _, id := range []string{string(request.NewID()), "x"} {
		d.act.err = store.ErrNotFound
		if a := d.post(t, "/requests/"+id+"/cancel", url.Values{"code": {"x"}, "reason": {"y"}}); a.status != http.StatusNotFound {
			t.Errorf("an unknown request: status %d", a.status)
		}
	}
	if a := d.post(t, "/requests/"+string(ids["waiting"])+"/deny", url.Values{"reason": {strings.Repeat("x", 1<<20)}}); a.status != http.StatusBadRequest {
		t.Errorf("a huge form: status %d", a.status)
	}
}
