package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

var _ = register("hubspot", vendortest.Entry{
	New:  newHubspot,
	Acts: []string{"POST /crm/v3/objects/contacts/gdpr-delete", "PATCH /crm"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"an_unknown_address_is_never_block_listed": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(byEmail(99))
			r.Erase(r.Her.Person)
			r.Erase(r.Her.Person) // she is unknown by now
			if n := len(r.Vendor.(*hubspot).records["blocked"]); n > 0 {
				t.Errorf("%d addresses are block-listed", n)
			}
		},
		"a_second_address_finds_her_and_a_similar_one_does_not": func(t *testing.T, r *vendortest.Rig) {
			h := r.Vendor.(*hubspot)
			h.mu.Lock()
			h.records["contacts"]["c1-0"]["hs_additional_emails"] = "old@example.com;older@example.com"
			h.records["contacts"]["c2-0"]["hs_additional_emails"] = "very.old@example.com"
			h.mu.Unlock()
			if n := r.Locate(person("old@example.com"))["contacts"]; n != 1 {
				t.Errorf("%d contacts were found by her second address", n)
			}
		},
	},
})

// hubspot plays search with pages of two, and the GDPR delete that answers 204
// to everything and block-lists what it does not know.
type hubspot struct{ *fake }

func newHubspot() vendortest.Vendor {
	h := &hubspot{newFake(bearer("HUBSPOT_TOKEN"))}
	h.on("POST /crm/v3/objects/contacts/search", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		raw := fmt.Sprint(body["filterGroups"])
		found := h.list("contacts", func(rec map[string]any) bool {
			extra := fmt.Sprint(rec["hs_additional_emails"])
			for word := range strings.FieldsSeq(strings.NewReplacer("[", " ", "]", " ", "value:", " ").Replace(raw)) {
				// CONTAINS_TOKEN finds by words, so it finds more than it is asked for.
				if strings.EqualFold(word, fmt.Sprint(rec["email"])) || strings.Contains(word, "@") && strings.Contains(extra, word) {
					return true
				}
			}
			return false
		})
		page, more := cut(found, is("id", body["after"]), 2)
		results := []any{}
		for _, rec := range page {
			results = append(results, map[string]any{"id": rec["id"], "properties": rec})
		}
		out := map[string]any{"total": len(found), "results": results}
		if more {
			out["paging"] = map[string]any{"next": map[string]any{"after": page[len(page)-1]["id"]}}
		}
		answer(w, 200, out)
	})
	h.on("POST /crm/v3/objects/contacts/gdpr-delete", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		id := fmt.Sprint(body["objectId"])
		if body["idProperty"] == "email" || h.records["contacts"][id] == nil && strings.Contains(id, "@") {
			h.add("blocked", id, map[string]any{"email": id})
		}
		delete(h.records["contacts"], id)
		w.WriteHeader(http.StatusNoContent)
	})
	h.on("PATCH /crm/v3/objects/contacts/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := h.records["contacts"][r.PathValue("id")]
		properties, ok := read(r)["properties"].(map[string]any)
		if rec == nil || !ok {
			answer(w, 404, map[string]any{"category": "OBJECT_NOT_FOUND"})
			return
		}
		maps.Copy(rec, properties)
		answer(w, 200, map[string]any{"id": r.PathValue("id"), "properties": rec})
	})
	return h
}

func (h *hubspot) Plant(n int) vendortest.Planted {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range 3 { // the same address on three contacts: two pages
		id := fmt.Sprintf("c%d-%d", n, i)
		h.add("contacts", id, map[string]any{"id": id, "email": strings.ToUpper(email(n)[:1]) + email(n)[1:], "firstname": fmt.Sprintf("First%d-", n)})
	}
	return vendortest.Planted{
		Person: byEmail(n), Traces: []string{email(n)[1:], fmt.Sprintf("First%d-", n)}, Stores: map[string]int64{"contacts": 3},
	}
}
