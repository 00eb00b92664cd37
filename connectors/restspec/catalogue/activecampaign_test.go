package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("activecampaign", vendortest.Entry{
	New:      newActiveCampaign,
	Settings: map[string]string{"host": "account.api-us1.com"},
	Acts:     []string{"DELETE /", "PUT /"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_contact_that_is_not_there_for_the_deletion_is_fine": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.On(vendortest.Lost, "DELETE /api/3/contacts/"))
			r.Erase(r.Her.Person)
			if left := r.Left(r.Her); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		},
		"a_wrong_account_is_no_missing_person": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.On(vendortest.Answer(404), "GET /api/3/contacts"))
			if _, err := r.Connector.Locate(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
		},
	},
})

// activeCampaign plays a list by offset.
type activeCampaign struct{ *fake }

func newActiveCampaign() vendortest.Vendor {
	a := &activeCampaign{newFake(func(r *http.Request) bool {
		return r.Header.Get("Api-Token") == vendortest.SecretValue("ACTIVECAMPAIGN_API_KEY")
	})}
	a.on("GET /api/3/contacts", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		all := a.list("contacts", func(rec map[string]any) bool { return lower(rec["email"]) == lower(q.Get("email")) })
		from, _ := strconv.Atoi(q.Get("offset")) // none is 0
		total := len(all)
		all = all[min(from, total):]
		answer(w, 200, map[string]any{"contacts": all[:min(2, len(all))], "meta": map[string]any{"total": strconv.Itoa(total)}})
	})
	a.on("PUT /api/3/contacts/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := a.records["contacts"][r.PathValue("id")]
		fields, _ := read(r)["contact"].(map[string]any)
		maps.Copy(rec, fields)
		answer(w, 200, map[string]any{"contact": rec})
	})
	a.on("DELETE /api/3/contacts/{id}", func(w http.ResponseWriter, r *http.Request) {
		if a.records["contacts"][r.PathValue("id")] == nil {
			answer(w, 404, map[string]any{"message": "No Result found"})
			return
		}
		delete(a.records["contacts"], r.PathValue("id"))
		answer(w, 200, map[string]any{})
	})
	return a
}

func (a *activeCampaign) Plant(n int) vendortest.Planted {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range 3 {
		id := strconv.Itoa(n*10 + i)
		a.add("contacts", id, map[string]any{"id": id, "email": email(n), "firstName": fmt.Sprintf("Name%d-", n)})
	}
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"contacts": 3}}
}
