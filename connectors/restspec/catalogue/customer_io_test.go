package catalogue_test

import (
	"net/http"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("customer-io", vendortest.Entry{
	New:   newCustomerIO,
	Blind: true,
	Acts:  []string{"POST /api/v1/customers/"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_phone_number_is_not_sent": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(sdk.NewPerson(sdk.ID(sdk.Phone, "+15550100001")))
			if n := len(r.Asked(r.Entry.Acts...)); n > 0 {
				t.Errorf("%d requests", n)
			}
		},
		"an_address_is_one_segment": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(person("a/b?c@example.com"))
			if asked := r.Asked(r.Entry.Acts...); len(asked) != 1 || asked[0].Path != "/api/v1/customers/a%2Fb%3Fc@example.com/suppress" {
				t.Errorf("asked %v", asked)
			}
		},
	},
})

// customerIO plays suppression, which succeeds for anybody.
type customerIO struct{ *fake }

func newCustomerIO() vendortest.Vendor {
	c := &customerIO{newFake(basicAuth(vendortest.SecretValue("CUSTOMERIO_SITE_ID"), "CUSTOMERIO_API_KEY"))}
	c.on("POST /api/v1/customers/{id}/suppress", func(w http.ResponseWriter, r *http.Request) {
		c.remove("people", func(rec map[string]any) bool {
			return rec["id"] == r.PathValue("id") || rec["email"] == r.PathValue("id")
		})
		answer(w, 200, map[string]any{})
	})
	return c
}

func (c *customerIO) Plant(n int) vendortest.Planted {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add("people", userID(n), map[string]any{"id": userID(n), "email": email(n)})
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n), email(n)}, Stores: map[string]int64{"people": 1}}
}
