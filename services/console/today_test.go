package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func TestTodayTells(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/today").says(t, "No request is open", "No system is waited for", "Arrived in the last 30 days: 0")
	ids := d.company(t)
	if err := d.store.PutIncidents(t.Context(), []store.Incident{
		{ID: "one", Kind: store.Resurrected, Connector: "warehouse", Store: "events", Records: 3, OpenedAt: now},
		{ID: "two", Kind: store.Resurrected, Connector: "warehouse", Store: "events", Records: 4, OpenedAt: now},
	}); err != nil {
		t.Fatal(err)
	}
	a := d.fetch(t, "/today")
	a.says(t, "What went wrong after an answer", "warehouse, events Erased records came back 2 7")
	a.says(t, "Late 1", "Due within 7 days 2", "Need a person 4", "Awaiting verification 1", "Open 9",
		"Arrived in the last 30 days: 11", "Closed in the last 30 days: 4",
		"warehouse Failed denied 1", "crm Failed exhausted 1", "analytics Waiting unavailable 1", "analytics Over the limit, not done over_limit 1")
	var order []string
	for _, n := range elements(a.doc, "a") {
		if id := attr(n, "id"); strings.HasPrefix(id, "p-") {
			order = append(order, strings.TrimPrefix(id, "p-"))
		}
	}
	if len(order) != 9 || order[0] != string(ids["late"]) {
		t.Errorf("%d requests press, the first is %v", len(order), order)
	}
}

func TestFind(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, waiting())
	a := d.fetch(t, "/find?id="+url.QueryEscape(" "+strings.ToUpper(string(id))))
	if a.path != "/requests/"+string(id) || a.status != http.StatusOK {
		t.Errorf("led to %s with %d", a.path, a.status)
	}
	for _, unknown := range []string{"", "nonsense", string(request.NewID()), "//example.net"} {
		a := d.fetch(t, "/find?id="+url.QueryEscape(unknown))
		if a.status != http.StatusNotFound {
			t.Errorf("%q: status %d", unknown, a.status)
		}
	}
}
