package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("intercom", vendortest.Entry{
	New:  newIntercom,
	Acts: []string{"DELETE /", "PUT /contacts"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"conversations_go_before_the_contact": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			var order []string
			for _, a := range r.Asked("DELETE /") {
				order = append(order, strings.Split(a.Path, "/")[1])
			}
			if want := "conversations conversations conversations contacts"; strings.Join(order, " ") != want {
				t.Errorf("deleted in the order %v", order)
			}
		},
		"what_a_crash_left_of_the_conversations_is_still_found": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.On(vendortest.Lost, "DELETE /contacts"))
			r.Erase(r.Her.Person)
			if left := r.Left(r.Her); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		},
		"the_metrics_go_too": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			for _, a := range r.Asked("DELETE /conversations") {
				if a.Query != "retain_metrics=false" {
					t.Errorf("it asked with %s", a.Query)
				}
			}
		},
	},
})

// intercom plays both searches with pages of two, and deletions that know
// nothing of each other.
type intercom struct{ *fake }

func newIntercom() vendortest.Vendor {
	token := bearer("INTERCOM_ACCESS_TOKEN")
	c := &intercom{newFake(func(r *http.Request) bool { return token(r) && r.Header.Get("Intercom-Version") == "2.16" })}
	c.on("POST /contacts/search", c.search("contacts", "data"))
	c.on("POST /conversations/search", c.search("conversations", "conversations"))
	c.on("DELETE /conversations/{id}", c.drop("conversations"))
	c.on("DELETE /contacts/{id}", c.drop("contacts"))
	c.on("PUT /contacts/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := c.records["contacts"][r.PathValue("id")]
		if rec == nil {
			answer(w, 404, map[string]any{"type": "error.list"})
			return
		}
		maps.Copy(rec, read(r))
		answer(w, 200, rec)
	})
	return c
}

func (c *intercom) search(kind, items string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		query, _ := body["query"].(map[string]any)
		pagination, _ := body["pagination"].(map[string]any)
		if query["operator"] != "=" || pagination["per_page"] == nil {
			answer(w, 400, map[string]any{"type": "error.list"})
			return
		}
		found := c.list(kind, func(rec map[string]any) bool { return lower(rec[fmt.Sprint(query["field"])]) == lower(query["value"]) })
		page, more := cut(found, is("id", pagination["starting_after"]), 2)
		pages := map[string]any{"type": "pages", "next": nil}
		if more {
			pages["next"] = map[string]any{"per_page": 2, "starting_after": page[len(page)-1]["id"]}
		}
		answer(w, 200, map[string]any{"type": "list", items: page, "total_count": len(found), "pages": pages})
	}
}

func (c *intercom) drop(kind string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.records[kind][r.PathValue("id")] == nil {
			answer(w, 404, map[string]any{"type": "error.list"})
			return
		}
		delete(c.records[kind], r.PathValue("id"))
		answer(w, 200, map[string]any{"id": r.PathValue("id"), "deleted": true})
	}
}

func (c *intercom) Plant(n int) vendortest.Planted {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("contact-%d", n)
	c.add("contacts", id, map[string]any{"id": id, "email": email(n), "external_id": userID(n), "name": fmt.Sprintf("Name%d-", n)})
	for i := range 3 {
		talk := fmt.Sprintf("talk-%d-%d", n, i)
		c.add("conversations", talk, map[string]any{"id": talk, "contact_ids": id, "title": fmt.Sprintf("with Name%d-", n)})
	}
	return vendortest.Planted{
		Person: byEmail(n).With(sdk.ID(sdk.UserID, userID(n))),
		Traces: []string{email(n), userID(n), fmt.Sprintf("Name%d-", n)},
		Stores: map[string]int64{"contacts": 1, "conversations": 3},
	}
}
