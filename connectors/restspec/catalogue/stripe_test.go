package catalogue_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("stripe", vendortest.Entry{
	New:  newStripe,
	Acts: []string{"DELETE /v1/customers", "POST /v1/customers"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"two_customers_with_one_address_are_both_found_and_deleted": func(t *testing.T, r *vendortest.Rig) {
			r.Vendor.(*stripe).customer("cus_second", 1)
			if n := r.Locate(r.Her.Person)["customers"]; n != 2 {
				t.Errorf("%d customers were found", n)
			}
			r.Erase(r.Her.Person)
			if n := len(r.Asked("DELETE /v1/customers")); n != 2 {
				t.Errorf("%d customers were deleted", n)
			}
		},
		"payments_older_than_the_period_are_not_kept": func(t *testing.T, r *vendortest.Rig) {
			r.Advance(8 * 365 * 24 * time.Hour)
			found, err := r.Connector.Locate(r.InJob(), r.Her.Person)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.Keep != nil {
					t.Errorf("%s is kept after eight years", f.Store)
				}
			}
		},
		"a_deleted_customer_is_still_there_by_id_and_is_nobody": func(t *testing.T, r *vendortest.Rig) {
			person := sdk.NewPerson(sdk.ID("stripe_customer_id", "cus_1"))
			if n := r.Locate(person)["customers"]; n != 1 {
				t.Fatalf("%d customers were found by id", n)
			}
			r.Erase(person)
			if found := r.Locate(person); len(found) > 0 {
				t.Errorf("a deleted customer was found: %v", found)
			}
		},
		"payments_stay": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			if n := len(r.Vendor.(*stripe).records["charges"]); n != 9 {
				t.Errorf("%d of 9 charges are left", n)
			}
		},
	},
})

// stripe plays the part of Stripe's API that the entry uses: lists by
// starting_after and has_more, deletion that leaves the id behind and the
// payments whole.
type stripe struct{ *fake }

func newStripe() vendortest.Vendor {
	s := &stripe{newFake(bearer("STRIPE_SECRET_KEY"))}
	s.on("GET /v1/customers", s.page("customers", func(r *http.Request) func(map[string]any) bool {
		return func(rec map[string]any) bool {
			return rec["email"] == r.URL.Query().Get("email") && rec["deleted"] == nil
		}
	}))
	s.on("GET /v1/customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		if rec := s.records["customers"][r.PathValue("id")]; rec != nil {
			answer(w, 200, rec)
			return
		}
		s.missing(w)
	})
	s.on("GET /v1/customers/{id}/payment_methods", s.page("payment_methods", func(r *http.Request) func(map[string]any) bool {
		return is("customer", r.PathValue("id"))
	}))
	for _, kind := range []string{"charges", "invoices", "subscriptions"} {
		s.on("GET /v1/"+kind, s.page(kind, func(r *http.Request) func(map[string]any) bool {
			return is("customer", r.URL.Query().Get("customer"))
		}))
	}
	s.on("DELETE /v1/customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if rec := s.records["customers"][id]; rec == nil || rec["deleted"] != nil {
			s.missing(w)
			return
		}
		s.records["customers"][id] = map[string]any{"id": id, "object": "customer", "deleted": true}
		s.remove("payment_methods", is("customer", id))
		answer(w, 200, s.records["customers"][id])
	})
	s.on("POST /v1/customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := s.records["customers"][r.PathValue("id")]
		if err := r.ParseForm(); err != nil || rec == nil || rec["deleted"] != nil {
			s.missing(w)
			return
		}
		for k := range r.PostForm {
			rec[k] = r.PostForm.Get(k)
		}
		answer(w, 200, rec)
	})
	return s
}

func (s *stripe) missing(w http.ResponseWriter) {
	answer(w, 404, map[string]any{"error": map[string]any{"type": "invalid_request_error", "code": "resource_missing"}})
}

func (s *stripe) page(kind string, want func(*http.Request) func(map[string]any) bool) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		data, more := cut(s.list(kind, want(r)), is("id", r.URL.Query().Get("starting_after")), 2)
		answer(w, 200, map[string]any{"object": "list", "data": data, "has_more": more})
	}
}

func (s *stripe) customer(id string, n int) {
	s.add("customers", id, map[string]any{
		"id": id, "object": "customer", "email": email(n), "name": fmt.Sprintf("Name of %d", n), "phone": nil, "livemode": true,
	})
}

func (s *stripe) Plant(n int) vendortest.Planted {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("cus_%d", n)
	s.customer(id, n)
	made := time.Now().Add(-24 * time.Hour).Unix()
	for kind, count := range map[string]int{"payment_methods": 3, "charges": 3, "invoices": 1, "subscriptions": 1} {
		for i := range count {
			rec := fmt.Sprintf("%s_%d_%d", kind, n, i)
			s.add(kind, rec, map[string]any{"id": rec, "customer": id, "created": made, "note": fmt.Sprintf("%s of %s", kind, email(n))})
		}
	}
	return vendortest.Planted{
		Person: byEmail(n),
		Traces: []string{email(n), fmt.Sprintf("Name of %d\"", n), fmt.Sprintf("payment_methods_%d_", n)},
		Stores: map[string]int64{"customers": 1, "payment_methods": 3, "charges": 3, "invoices": 1, "subscriptions": 1},
		Kept:   map[string]int64{"charges": 3, "invoices": 1, "subscriptions": 1},
		// The address is in the payments, which stay.
		KeptTraces: []string{email(n)},
	}
}
