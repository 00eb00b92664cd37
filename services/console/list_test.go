package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// listed are the requests of a listing, in its order.
func (a answer) listed() []string {
	var ids []string
	for _, n := range elements(a.doc, "a") {
		if id, ok := strings.CutPrefix(attr(n, "id"), "r-"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestListNarrows(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	mine := made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -1), edit: func(r *store.Request) {
		r.Assignee, r.Channel = "ana", request.ChannelEmail
	}}
	ids["mine"] = d.add(t, mine)
	for query, want := range map[string][]string{
		"?due=late":                                  {"late"},
		"?due=week&sort=due":                         {"stopSale", "waiting"},
		"?state=open&right=opt_out_sale_share":       {"stopSale"},
		"?assignee=ana":                              {"mine"},
		"?channel=email":                             {"mine"},
		"?channel=gpc":                               nil,
		"?connector=warehouse":                       {"deletion"},
		"?connector=adtech&sort=newest":              {"deletion", "stopSale"},
		"?connector=adtech":                          {"stopSale", "deletion"},
		"?connector=billing":                         nil,
		"?from=2026-07-25&until=2026-07-28&sort=due": {"nobody", "tooMany"},
		"?state=closed&sort=oldest":                  {"copied", "denied", "partial", "optedOut"},
	} {
		a := d.fetch(t, "/"+query)
		var names []string
		for _, id := range a.listed() {
			for name, other := range ids {
				if string(other) == id {
					names = append(names, name)
				}
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s lists %v, want %v", query, names, want)
		}
		a.decent(t, true)
	}
	d.fetch(t, "/?due=late").says(t, "1 request, first to be late first")
	d.fetch(t, "/?connector=gone").says(t, "No request matches")
	for _, bad := range []string{"?channel=pigeon", "?sort=best", "?from=soon", "?person=xyz", "?person=abcd"} {
		if a := d.fetch(t, "/"+bad); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", bad, a.status)
		}
	}
}

// What a person is looked for by is in no address, and that somebody looked is
// on record.
func TestFindPerson(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	d.add(t, waiting())
	other := waiting()
	digests, err := d.act.Digests([]request.Identifier{request.NewIdentifier(request.Email, planted)})
	if err != nil {
		t.Fatal(err)
	}
	other.people = digests
	hers := d.add(t, other)
	a := d.post(t, "/find/person", url.Values{"kind": {"email"}, "value": {" " + strings.ToUpper(planted) + " "}})
	if a.status != http.StatusOK || !slices.Equal(a.listed(), []string{string(hers)}) {
		t.Errorf("status %d, found %v, want %s", a.status, a.listed(), hers)
	}
	a.decent(t, true)
	a.says(t, "1 request, newest first, of one person")
	list, err := d.looks(t)
	if err != nil || len(list) != 1 || list[0].Purpose != "console: search by an identifier" {
		t.Errorf("on record is %+v, %v", list, err)
	}
	for _, value := range []string{"", "planted"} {
		a := d.post(t, "/find/person", url.Values{"kind": {"email"}, "value": {value}})
		a.says(t, "Nobody can be looked for by this")
		if a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, "planted") {
			t.Errorf("%q: status %d", value, a.status)
		}
	}
	if a := d.do(t, d.as(t, "eve", access.Auditor), http.MethodPost, "/find/person", url.Values{"kind": {"email"}, "value": {planted}}, nil); a.status != http.StatusForbidden {
		t.Errorf("an auditor gets %d", a.status)
	}
}

func TestSavedFilters(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	a := d.post(t, "/filters", url.Values{"name": {" Late ones "}, "query": {"due=late&sort=due&person=" + strings.Repeat("ab", 32)}})
	a.says(t, "Late ones")
	a.decent(t, true)
	if a.path != "/" || len(a.listed()) != 1 {
		t.Errorf("led to %s with %d requests", a.path, len(a.listed()))
	}
	for _, n := range elements(d.fetch(t, "/").doc, "a") {
		if textOf(n) == "Late ones" && attr(n, "href") != "/?due=late&sort=due" {
			t.Errorf("it leads to %s", attr(n, "href"))
		}
	}
	if other := d.do(t, d.as(t, "bob", access.Viewer), http.MethodGet, "/", nil, nil); strings.Contains(other.body, "Late ones") {
		t.Error("somebody else sees it")
	}
	d.post(t, "/filters", url.Values{"name": {""}, "query": {"due=late"}}).says(t, "Give the filter a name")
	if a := d.post(t, "/filters", url.Values{"name": {"x"}, "query": {"sort=best"}}); a.status != http.StatusBadRequest {
		t.Errorf("a filter that can't be: status %d", a.status)
	}
	if a := d.post(t, "/filters/drop", url.Values{"name": {"Late ones"}}); strings.Contains(a.body, "Late ones") {
		t.Error("it is there after it was removed")
	}
}

func TestBulk(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	chosen := []string{string(ids["late"]), string(ids["deletion"]), string(ids["late"])}
	for _, c := range []struct {
		action, want string
		form         url.Values
	}{
		{"retry", "retry all 2", url.Values{}},
		{"extend", `extend all 2 "many systems"`, url.Values{"reason": {" many systems "}}},
		{"assign", `assign all 2 "ana"`, url.Values{"assignee": {" ana "}}},
	} {
		d.act.calls = nil
		c.form["request"] = chosen
		a := d.post(t, "/bulk/"+c.action, c.form)
		a.decent(t, true)
		a.says(t, "1 of 2", string(ids["late"])+" Done", string(ids["deletion"])+" Left No system has anything to try again.")
		if !slices.Equal(d.act.calls, []string{c.want}) {
			t.Errorf("asked for %q, want %q", d.act.calls, c.want)
		}
	}
	list, err := d.looks(t)
	if err != nil || len(list) != 3 || list[0].Purpose != "console: retry 2 requests" {
		t.Errorf("on record is %+v, %v", list, err)
	}
	d.act.calls = nil
	d.post(t, "/bulk/retry", url.Values{}).says(t, "Choose at least one request")
	if a := d.post(t, "/bulk/retry", url.Values{"request": {"x"}}); a.status != http.StatusNotFound {
		t.Errorf("no id: status %d", a.status)
	}
	for role, may := range map[access.Role][]string{access.Viewer: nil, access.Auditor: nil, access.Operator: {"retry", "assign"}, access.Approver: {"plans", "extend"}} {
		client := d.as(t, "somebody", role)
		var offered []string
		for _, n := range elements(d.do(t, client, http.MethodGet, "/", nil, nil).doc, "button") {
			if action, ok := strings.CutPrefix(attr(n, "formaction"), "/bulk/"); ok {
				offered = append(offered, action)
			}
		}
		if !slices.Equal(offered, may) {
			t.Errorf("%s is offered %v, want %v", role, offered, may)
		}
		for _, action := range []string{"retry", "extend", "assign", "plans"} {
			a := d.do(t, client, http.MethodPost, "/bulk/"+action, url.Values{"request": chosen}, nil)
			if (a.status == http.StatusForbidden) == slices.Contains(may, action) {
				t.Errorf("%s, %s: status %d", role, action, a.status)
			}
		}
	}
	d.act.err = request.ErrUntrained
	if a := d.post(t, "/bulk/extend", url.Values{"request": chosen, "reason": {"x"}}); a.status != http.StatusForbidden {
		t.Errorf("without training: status %d", a.status)
	}
}
