package catalogue_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

var _ = register("mailchimp", vendortest.Entry{
	New:      newMailchimp,
	Settings: map[string]string{"datacenter": "us21"},
	Acts:     []string{"POST /lists", "PATCH /lists"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"every_audience_is_gone_through": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			if n := len(r.Asked("POST /lists")); n != 2 {
				t.Errorf("%d deletions in two audiences", n)
			}
		},
		"a_member_is_named_by_the_md5_of_the_lower_case_address": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			for _, a := range r.Asked("POST /lists") {
				if !strings.Contains(a.Path, "/members/"+subscriber(email(1))+"/") {
					t.Errorf("it asked %s", a.Path)
				}
			}
		},
		"nobody_is_archived": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			if n := len(r.Asked("DELETE ")); n > 0 {
				t.Errorf("%d members were archived", n)
			}
		},
	},
})

func subscriber(address string) string {
	sum := md5.Sum([]byte(strings.ToLower(address)))
	return hex.EncodeToString(sum[:])
}

// mailchimp plays the search, whose full matches are looser than the exact
// ones, and permanent deletion by audience.
type mailchimp struct{ *fake }

func newMailchimp() vendortest.Vendor {
	m := &mailchimp{newFake(basicAuth("habeas", "MAILCHIMP_API_KEY"))}
	m.on("GET /search-members", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query().Get("query")
		exact := m.list("members", func(rec map[string]any) bool { return lower(rec["email_address"]) == lower(query) })
		full := m.list("members", func(rec map[string]any) bool { return strings.Contains(lower(rec["email_address"]), "@example.com") })
		answer(w, 200, map[string]any{
			"exact_matches": map[string]any{"members": exact, "total_items": len(exact)},
			"full_search":   map[string]any{"members": full, "total_items": len(full)},
		})
	})
	m.on("POST /lists/{list}/members/{hash}/actions/delete-permanent", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("list") + "/" + r.PathValue("hash")
		if m.records["members"][id] == nil {
			answer(w, 404, map[string]any{"title": "Resource Not Found"})
			return
		}
		delete(m.records["members"], id)
		w.WriteHeader(http.StatusNoContent)
	})
	m.on("PATCH /lists/{list}/members/{hash}", func(w http.ResponseWriter, r *http.Request) {
		rec := m.records["members"][r.PathValue("list")+"/"+r.PathValue("hash")]
		if rec == nil {
			answer(w, 404, map[string]any{"title": "Resource Not Found"})
			return
		}
		rec["merge_fields"] = read(r)["merge_fields"]
		answer(w, 200, rec)
	})
	return m
}

func (m *mailchimp) Plant(n int) vendortest.Planted {
	m.mu.Lock()
	defer m.mu.Unlock()
	address := strings.ToUpper(email(n)[:1]) + email(n)[1:]
	for _, list := range []string{"aud1", "aud2"} {
		m.add("members", list+"/"+subscriber(address), map[string]any{
			"id": subscriber(address), "contact_id": fmt.Sprintf("%s-%d", list, n), "email_address": address, "list_id": list,
		})
	}
	return vendortest.Planted{
		Person: byEmail(n), Traces: []string{address, subscriber(address)}, Stores: map[string]int64{"members": 2},
	}
}
