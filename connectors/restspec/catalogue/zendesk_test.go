package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

var _ = register("zendesk", vendortest.Entry{
	New:      newZendesk,
	Settings: map[string]string{"host": "company.zendesk.com"},
	Acts:     []string{"DELETE /", "PUT /"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_user_that_a_crash_left_hidden_is_deleted": func(t *testing.T, r *vendortest.Rig) {
			z := r.Vendor.(*zendesk)
			z.mu.Lock()
			z.remove("tickets", is("requester_id", 1))
			z.add("deleted_users", "1", z.records["users"]["1"])
			delete(z.records["users"], "1")
			z.mu.Unlock()
			if found := r.Locate(r.Her.Person); found["users"] != 1 {
				t.Errorf("located %v", found)
			}
			r.Erase(r.Her.Person)
			if left := r.Left(r.Her); len(left) > 0 {
				t.Errorf("left %q", left)
			}
			if n := len(r.Asked("DELETE /api/v2/deleted_users/")); n == 0 {
				t.Error("she was hidden and not deleted")
			}
		},
		"tickets_go_before_their_user": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			asked := r.Asked("DELETE /")
			for i, a := range asked {
				if strings.HasPrefix(a.Path, "/api/v2/tickets/") != (i < 3) {
					t.Errorf("deletion %d is %s", i, a.Path)
				}
			}
		},
	},
})

// zendesk plays users that are hidden before they are deleted, and that can't
// be while they have tickets.
type zendesk struct{ *fake }

func newZendesk() vendortest.Vendor {
	z := &zendesk{newFake(basicAuth(vendortest.SecretValue("ZENDESK_USER"), "ZENDESK_API_TOKEN"))}
	list := func(kind, items string, want func(*http.Request) func(map[string]any) bool) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			page, more := cut(z.list(kind, want(r)), is("id", q.Get("after")), 2)
			var next any
			if more {
				q.Set("after", fmt.Sprint(page[len(page)-1]["id"]))
				next = "http://" + r.Host + r.URL.Path + "?" + q.Encode()
			}
			answer(w, 200, map[string]any{items: page, "next_page": next})
		}
	}
	z.on("GET /api/v2/users/search.json", list("users", "users", func(r *http.Request) func(map[string]any) bool {
		query := strings.Trim(strings.TrimPrefix(r.URL.Query().Get("query"), "email:"), `"`)
		return func(rec map[string]any) bool { return lower(rec["email"]) == lower(query) }
	}))
	z.on("GET /api/v2/deleted_users.json", list("deleted_users", "deleted_users", func(*http.Request) func(map[string]any) bool { return func(map[string]any) bool { return true } }))
	z.on("GET /api/v2/users/{id}/tickets/requested.json", list("tickets", "tickets", func(r *http.Request) func(map[string]any) bool {
		return is("requester_id", r.PathValue("id"))
	}))
	z.on("PUT /api/v2/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := z.records["users"][strings.TrimSuffix(r.PathValue("id"), ".json")]
		fields, _ := read(r)["user"].(map[string]any)
		maps.Copy(rec, fields)
		answer(w, 200, map[string]any{"user": rec})
	})
	z.on("DELETE /api/v2/{kind}/{id}", func(w http.ResponseWriter, r *http.Request) {
		kind, id := r.PathValue("kind"), strings.TrimSuffix(r.PathValue("id"), ".json")
		rec := z.records[kind][id]
		if rec == nil {
			answer(w, 404, map[string]any{"error": "RecordNotFound"})
			return
		}
		if kind == "users" {
			if len(z.list("tickets", is("requester_id", id))) > 0 {
				answer(w, 422, map[string]any{"error": "RecordInvalid"})
				return
			}
			z.add("deleted_users", id, rec)
		}
		delete(z.records[kind], id)
		answer(w, 200, map[string]any{})
	})
	return z
}

func (z *zendesk) Plant(n int) vendortest.Planted {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.add("users", strconv.Itoa(n), map[string]any{"id": n, "email": email(n), "name": fmt.Sprintf("Name%d-", n)})
	for i := range 3 {
		id := n*10 + i
		z.add("tickets", strconv.Itoa(id), map[string]any{"id": id, "requester_id": n, "subject": fmt.Sprintf("of Name%d-", n)})
	}
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"users": 1, "tickets": 3}}
}
