package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
	list, err := d.store.Accesses(t.Context(), now.Add(-time.Hour), 10)
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
