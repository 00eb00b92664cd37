package console

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/console/access"
)

// as is a client signed in by somebody with the given roles.
func (d *desk) as(t testing.TB, who string, roles ...access.Role) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	d.room.gate.Begin(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), access.Identity{Who: who, Roles: roles}, http.SameSiteStrictMode)
	at, err := url.Parse(d.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(at, answer.Result().Cookies())
	return &http.Client{Jar: jar}
}

// A page offers nobody what they would be refused.
func TestButtonsAreForWhoMayPressThem(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	for _, c := range []struct {
		role          access.Role
		offered, kept []string
	}{
		{access.Viewer, nil, []string{"/verify", "/retry", "/cancel", "/deny", "/approve", "/extend", "/hold"}},
		{access.Operator, []string{"/verify", "/retry", "/cancel"}, []string{"/deny", "/approve", "/extend", "/hold"}},
		{access.Approver, []string{"/deny", "/approve", "/extend", "/hold"}, []string{"/verify", "/retry", "/cancel"}},
		{access.Admin, []string{"/verify", "/retry", "/cancel", "/deny", "/approve", "/extend", "/hold"}, nil},
	} {
		client := d.as(t, "ana", c.role)
		offers := make(map[string]bool)
		for _, name := range []string{"waiting", "deletion", "tooMany"} {
			path := "/requests/" + string(ids[name])
			a := d.do(t, client, http.MethodGet, path, nil, nil)
			a.decent(t, true)
			for _, form := range elements(a.doc, "form") {
				if action, ours := strings.CutPrefix(attr(form, "action"), path); ours {
					offers[action] = true
				}
			}
		}
		for _, action := range c.offered {
			if !offers[action] {
				t.Errorf("%s is not offered %s", c.role, action)
			}
		}
		for _, action := range c.kept {
			if offers[action] {
				t.Errorf("%s is offered %s", c.role, action)
			}
			if a := d.do(t, client, http.MethodPost, "/requests/"+string(ids["deletion"])+action, url.Values{}, nil); a.status != http.StatusForbidden {
				t.Errorf("%s, %s: status %d", c.role, action, a.status)
			}
		}
	}
	if len(d.act.calls) > 0 {
		t.Errorf("something was done: %v", d.act.calls)
	}
}
