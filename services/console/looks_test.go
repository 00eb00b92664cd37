package console

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request/store"
)

const ofTheList = "console: the list of requests"

// looks are the looks that are on record, but for those at the list.
func (d *desk) looks(t *testing.T) ([]store.Access, error) {
	t.Helper()
	list, err := d.store.Accesses(t.Context(), now.Add(-time.Hour), 100)
	return slices.DeleteFunc(list, func(a store.Access) bool { return a.Purpose == ofTheList }), err
}

// RE-2: whoever opens the list of requests is on record, who is kept from it
// too, and not again for what the page fetches.
func TestTheListIsOnRecord_RE2(t *testing.T) {
	d := newDesk(t)
	d.add(t, waiting())
	for _, c := range []struct {
		role    access.Role
		path    string
		status  int
		allowed bool
	}{
		{access.Viewer, "/", http.StatusOK, true},
		{access.Viewer, "/live", http.StatusOK, true},
		{"marketing", "/", http.StatusForbidden, false},
	} {
		if a := d.do(t, d.as(t, "ana", c.role), http.MethodGet, c.path, nil, nil); a.status != c.status {
			t.Errorf("%s, %s: status %d, want %d", c.role, c.path, a.status, c.status)
		}
	}
	list, err := d.store.Accesses(t.Context(), now.Add(-time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(a store.Access) bool { return a.Who != "ana" })
	if len(list) != 2 || list[0].Purpose != ofTheList || !list[0].Allowed || list[0].Role != "viewer" || list[1].Allowed {
		t.Errorf("on record: %+v", list)
	}
}
