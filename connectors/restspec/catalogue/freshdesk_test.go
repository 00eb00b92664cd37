package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

var _ = register("freshdesk", vendortest.Entry{
	New:      newFreshdesk,
	Settings: map[string]string{"host": "company.freshdesk.com"},
	Acts:     []string{"DELETE /", "PUT /"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_contact_that_was_only_hidden_is_found": func(t *testing.T, r *vendortest.Rig) {
			f := r.Vendor.(*freshdesk)
			f.mu.Lock()
			f.records["contacts"]["1"]["deleted"] = true
			f.mu.Unlock()
			if found := r.Locate(r.Her.Person); found["contacts"] != 1 {
				t.Errorf("located %v", found)
			}
			r.Erase(r.Her.Person)
			if left := r.Left(r.Her); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		},
		"the_contact_is_deleted_for_good": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			if asked := r.Asked("DELETE /api/v2/contacts/"); len(asked) != 1 || asked[0].Path != "/api/v2/contacts/1/hard_delete" || asked[0].Query != "force=true" {
				t.Errorf("asked %v", asked)
			}
		},
	},
})

// freshdesk plays lists that go on by a Link header.
type freshdesk struct{ *fake }

func newFreshdesk() vendortest.Vendor {
	f := &freshdesk{newFake(basicAuth(vendortest.SecretValue("FRESHDESK_API_KEY"), "FRESHDESK_PASSWORD"))}
	list := func(kind string, want func(*http.Request, map[string]any) bool) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			page, more := cut(f.list(kind, func(rec map[string]any) bool { return want(r, rec) }), is("id", q.Get("after")), 2)
			if more {
				q.Set("after", fmt.Sprint(page[len(page)-1]["id"]))
				w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, r.Host, r.URL.Path, q.Encode()))
			}
			answer(w, 200, page)
		}
	}
	f.on("GET /api/v2/contacts", list("contacts", func(r *http.Request, rec map[string]any) bool {
		hidden := rec["deleted"] == true
		return lower(rec["email"]) == lower(r.URL.Query().Get("email")) && hidden == (r.URL.Query().Get("state") == "deleted")
	}))
	f.on("GET /api/v2/tickets", list("tickets", func(r *http.Request, rec map[string]any) bool {
		return r.URL.Query().Get("updated_since") != "" && is("requester_id", r.URL.Query().Get("requester_id"))(rec)
	}))
	f.on("PUT /api/v2/contacts/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := f.records["contacts"][r.PathValue("id")]
		maps.Copy(rec, read(r))
		answer(w, 200, rec)
	})
	drop := func(kind string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if f.records[kind][r.PathValue("id")] == nil {
				answer(w, 404, map[string]any{})
				return
			}
			delete(f.records[kind], r.PathValue("id"))
			w.WriteHeader(http.StatusNoContent)
		}
	}
	f.on("DELETE /api/v2/contacts/{id}/hard_delete", drop("contacts"))
	f.on("DELETE /api/v2/tickets/{id}", drop("tickets"))
	return f
}

func (f *freshdesk) Plant(n int) vendortest.Planted {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add("contacts", strconv.Itoa(n), map[string]any{"id": n, "email": email(n), "name": fmt.Sprintf("Name%d-", n)})
	for i := range 3 {
		id := n*10 + i
		f.add("tickets", strconv.Itoa(id), map[string]any{"id": id, "requester_id": n, "subject": fmt.Sprintf("of Name%d-", n)})
	}
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"contacts": 1, "tickets": 3}}
}
