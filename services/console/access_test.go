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
