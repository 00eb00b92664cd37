package catalogue_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("shopify", vendortest.Entry{
	New:      newShopify,
	Settings: map[string]string{"shop": "name.myshopify.com"},
	Slow:     true,
	Settles:  true,
	Acts:     []string{`POST /admin/api/2026-10/graphql.json {"query":"mutation`},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"it_waits_for_half_a_year": func(t *testing.T, r *vendortest.Rig) {
			err := r.Eraser().Erase(r.InJob(), r.Her.Person)
			if after, notYet := sdk.AsNotYet(err); !notYet || after < 180*24*time.Hour {
				t.Errorf("it comes back in %s: %v", after, err)
			}
		},
		"a_refusal_that_is_answered_with_200_is_no_success": func(t *testing.T, r *vendortest.Rig) {
			r.Vendor.(*shopify).refuse = "ACCESS_DENIED"
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); sdk.CodeOf(err) != sdk.Denied {
				t.Errorf("it ended with %v", err)
			}
		},
		"a_search_that_finds_more_is_narrowed": func(t *testing.T, r *vendortest.Rig) {
			if found := r.Locate(person("person.1")); len(found) > 0 {
				t.Errorf("by a part of an address it found %v", found)
			}
		},
	},
})

// shopify plays the two GraphQL documents of the entry: a search for terms, and
// an erasure that happens much later.
type shopify struct {
	*fake
	refuse string
}

func newShopify() vendortest.Vendor {
	s := &shopify{fake: newFake(func(r *http.Request) bool {
		return r.Header.Get("X-Shopify-Access-Token") == vendortest.SecretValue("SHOPIFY_ADMIN_TOKEN")
	})}
	s.on("POST /admin/api/2026-10/graphql.json", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		vars, _ := body["variables"].(map[string]any)
		if strings.HasPrefix(fmt.Sprint(body["query"]), "mutation") {
			s.erase(w, fmt.Sprint(vars["id"]))
			return
		}
		field, term, _ := strings.Cut(fmt.Sprint(vars["q"]), ":")
		term = strings.Trim(term, `"`)
		all := s.list("customers", func(rec map[string]any) bool { return strings.Contains(lower(rec[field]), lower(term)) })
		page, more := cut(all, is("id", vars["after"]), 2)
		var end any
		if len(page) > 0 {
			end = page[len(page)-1]["id"]
		}
		answer(w, 200, map[string]any{"data": map[string]any{"customers": map[string]any{
			"nodes": page, "pageInfo": map[string]any{"hasNextPage": more, "endCursor": end},
		}}})
	})
	return s
}

func (s *shopify) erase(w http.ResponseWriter, id string) {
	if s.refuse != "" {
		answer(w, 200, map[string]any{"errors": []any{map[string]any{"extensions": map[string]any{"code": s.refuse}}}})
		return
	}
	errs := []any{}
	if s.records["customers"][id] == nil {
		errs = append(errs, map[string]any{"code": "DOES_NOT_EXIST"})
	} else {
		s.accept("", "asked", func() { delete(s.records["customers"], id) })
	}
	answer(w, 200, map[string]any{"data": map[string]any{"customerRequestDataErasure": map[string]any{"customerId": id, "userErrors": errs}}})
}

func (s *shopify) Finish() { s.end("done") }

func (s *shopify) Plant(n int) vendortest.Planted {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range 3 {
		id := fmt.Sprintf("gid://shopify/Customer/%d%d", n, i)
		s.add("customers", id, map[string]any{"id": id, "email": email(n), "phone": nil, "firstName": fmt.Sprintf("Name%d-", n)})
	}
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"customers": 3}}
}
