package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/console/access"
)

// Every route of the console has an entry in the table of permissions, and the
// table names no route that there is not.
func TestEveryRouteHasAPermission(t *testing.T) {
	d := newDesk(t)
	seen := make(map[string]bool)
	for _, one := range d.room.routes() {
		if access.Table[one.pattern] == "" {
			t.Errorf("access.Table has no entry for %q; say who may use it", one.pattern)
		}
		if method, _, _ := strings.Cut(one.pattern, " "); method == http.MethodPost && access.Table[one.pattern] == access.See {
			t.Errorf("%q changes something and asks only to see", one.pattern)
		}
		seen[one.pattern] = true
	}
	for pattern := range access.Table {
		if !seen[pattern] {
			t.Errorf("access.Table names %q, which is no route", pattern)
		}
	}
}

// Whoever looks at what one person asked for is on record, once for the page
// and not again for what the page fetches.
func TestViewsAreOnRecord(t *testing.T) {
	d := newDesk(t)
	id := string(d.add(t, waiting()))
	d.fetch(t, "/")
	d.fetch(t, "/requests/"+id+"/live")
	d.fetch(t, "/requests/"+id+"/live")
	d.fetch(t, "/requests/"+id)
	list, err := d.looks(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("%d views are on record, want 2", len(list))
	}
	for _, a := range list {
		if a.Who != Name || a.Role != string(access.Admin) || a.Purpose != "console: request "+id || !a.Allowed || !a.At.Equal(now) {
			t.Errorf("recorded %+v", a)
		}
	}
}

func TestSignOutIsNotOnTheLoginPage(t *testing.T) {
	d := newDesk(t)
	if a := d.do(t, stranger(), http.MethodGet, "/login", nil, nil); strings.Contains(a.body, "Sign out") {
		t.Error("the login page offers to sign out")
	}
}

// Wrong tokens are counted, and after too many the right one does not help
// either.
func TestBruteForce(t *testing.T) {
	d := newDesk(t)
	var last answer
	for range 11 {
		last = d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {"wrong"}}, nil)
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
		t.Errorf("status %d after many wrong tokens", last.status)
	}
	last = d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {token}}, nil)
	if last.status != http.StatusTooManyRequests || last.header.Get("Set-Cookie") != "" {
		t.Errorf("status %d for the right token", last.status)
	}
}

// Who has to sign in first comes to the page they asked for, and who decided too
// late is told so and comes back to where it was.
func TestSigningInLeadsBack(t *testing.T) {
	d := newDesk(t)
	page := "/requests/" + string(d.add(t, waiting()))
	for _, c := range []struct {
		method, path, back string
		undone             bool
	}{
		{http.MethodGet, page, page, false},
		{http.MethodGet, "/?due=late&sort=due", "/?due=late&sort=due", false},
		{http.MethodPost, page + "/retry", page, true},
		{http.MethodPost, "/connectors/crm/resume", "/connectors/crm", true},
		{http.MethodPost, "/bulk/retry", "/", true},
	} {
		refused := d.do(t, stranger(), c.method, c.path, url.Values{}, nil)
		kept := http.Header{"Cookie": {strings.Split(refused.header.Get("Set-Cookie"), ";")[0]}}
		asked := d.do(t, stranger(), http.MethodGet, "/login", nil, kept)
		if got := strings.Contains(asked.text(), "Your session had ended, so nothing was changed."); got != c.undone {
			t.Errorf("%s %s: says that nothing was changed: %v", c.method, c.path, got)
		}
		if a := d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {token}}, kept); a.header.Get("Location") != c.back {
			t.Errorf("%s %s: signing in leads to %q, want %q", c.method, c.path, a.header.Get("Location"), c.back)
		}
	}
	for _, away := range []string{"//evil.example", "https://evil.example", `/\\evil.example`, "/login", "/logout", "evil", "!//evil.example", "/\t/evil.example"} {
		kept := http.Header{"Cookie": {"habeas_back=" + url.QueryEscape(away)}}
		if a := d.do(t, stranger(), http.MethodPost, "/login", url.Values{"token": {token}}, kept); a.header.Get("Location") != "/" {
			t.Errorf("%q: signing in leads to %q", away, a.header.Get("Location"))
		}
	}
}

func TestNoFrameAndNoOpenRedirect(t *testing.T) {
	d := newDesk(t)
	a := d.do(t, stranger(), http.MethodPost, "/login?then=https://evil.example&next=//evil.example", url.Values{"token": {token}, "then": {"//evil.example"}}, nil)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/" {
		t.Errorf("signing in leads to %s", a.header.Get("Location"))
	}
	for _, path := range []string{"/login", "/"} {
		a := d.do(t, d.client, http.MethodGet, path, nil, nil)
		if a.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s may be framed", path)
		}
	}
}
