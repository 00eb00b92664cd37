package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("klaviyo", vendortest.Entry{
	New:     newKlaviyo,
	Settles: true,
	Acts:    []string{"POST /api/data-privacy", "PATCH /api/profiles"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"nothing_is_deleted_by_address": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			for _, a := range r.Asked("POST /api/data-privacy") {
				if strings.Contains(a.Body, "@") {
					t.Errorf("it asked with %s", a.Body)
				}
			}
		},
		"a_number_two_people_share_deletes_neither_by_mistake": func(t *testing.T, r *vendortest.Rig) {
			k := r.Vendor.(*klaviyo)
			k.mu.Lock()
			for _, id := range []string{"01P1-0", "01P2-0"} {
				k.records["profiles"][id]["attributes"].(map[string]any)["phone_number"] = "+12095550111"
			}
			k.mu.Unlock()
			_, err := r.Connector.Locate(r.InJob(), sdk.NewPerson(sdk.ID(sdk.Phone, "+12095550111")))
			if sdk.CodeOf(err) != sdk.Ambiguous {
				t.Errorf("by the number alone: %v", err)
			}
			both := r.Her.Person.With(sdk.ID(sdk.Phone, "+12095550111"))
			if n := r.Locate(both)["profiles"]; n != 3 {
				t.Errorf("with her address it found %d profiles", n)
			}
		},
		"a_quote_in_an_address_stays_in_the_filter": func(t *testing.T, r *vendortest.Rig) {
			if n := len(r.Locate(person(`"),any(email,"`))); n > 0 {
				t.Errorf("an address that is a filter found %d stores", n)
			}
		},
	},
})

// klaviyo plays JSON:API pages of two and deletion jobs that take exactly one
// identifier and never tell.
type klaviyo struct{ *fake }

var klaviyoFilter = regexp.MustCompile(`^equals\((email|phone_number),"((?:[^"\\]|\\.)*)"\)$`)

func newKlaviyo() vendortest.Vendor {
	k := &klaviyo{newFake(func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "Klaviyo-API-Key "+vendortest.SecretValue("KLAVIYO_API_KEY") && r.Header.Get("Revision") == "2026-07-15"
	})}
	k.on("GET /api/profiles", func(w http.ResponseWriter, r *http.Request) {
		m := klaviyoFilter.FindStringSubmatch(r.URL.Query().Get("filter"))
		if m == nil {
			answer(w, 400, map[string]any{"errors": []any{map[string]any{"code": "invalid"}}})
			return
		}
		value := strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\'`, `'`).Replace(m[2])
		found := k.list("profiles", func(rec map[string]any) bool {
			return lower(rec["attributes"].(map[string]any)[m[1]]) == lower(value)
		})
		page, more := cut(found, is("id", r.URL.Query().Get("page[cursor]")), 2)
		links := map[string]any{"next": nil}
		if more {
			next := url.Values{"filter": {r.URL.Query().Get("filter")}, "page[cursor]": {page[len(page)-1]["id"].(string)}}
			links["next"] = "/api/profiles?" + next.Encode()
		}
		answer(w, 200, map[string]any{"data": page, "links": links})
	})
	k.on("POST /api/data-privacy-deletion-jobs", func(w http.ResponseWriter, r *http.Request) {
		id, _, _ := strings.Cut(strings.TrimPrefix(fmt.Sprint(read(r)["data"]), "map[attributes:map[profile:map[data:map[id:"), " ")
		if k.records["profiles"][id] == nil {
			answer(w, 404, map[string]any{"errors": []any{map[string]any{"code": "not_found"}}})
			return
		}
		k.accept("", "accepted", func() { k.remove("profiles", is("id", id)) })
		w.WriteHeader(http.StatusAccepted)
	})
	k.on("PATCH /api/profiles/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := k.records["profiles"][r.PathValue("id")]
		data, _ := read(r)["data"].(map[string]any)
		attributes, _ := data["attributes"].(map[string]any)
		if rec == nil || data["id"] != r.PathValue("id") {
			answer(w, 404, map[string]any{})
			return
		}
		maps.Copy(rec["attributes"].(map[string]any), attributes)
		answer(w, 200, map[string]any{"data": rec})
	})
	return k
}

func (k *klaviyo) Finish() { k.end("done") }

func (k *klaviyo) Plant(n int) vendortest.Planted {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range 3 {
		id := fmt.Sprintf("01P%d-%d", n, i)
		k.add("profiles", id, map[string]any{"type": "profile", "id": id, "attributes": map[string]any{
			"email": email(n), "first_name": fmt.Sprintf("First%d-", n),
		}})
	}
	return vendortest.Planted{
		Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("First%d-", n)}, Stores: map[string]int64{"profiles": 3},
	}
}
