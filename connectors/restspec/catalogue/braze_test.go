package catalogue_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("braze", vendortest.Entry{
	New:      newBraze,
	Settings: map[string]string{"cluster": "iad-01"},
	Settles:  true,
	Acts:     []string{"POST /users/delete"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"two_profiles_with_one_address_are_counted_before_they_go": func(t *testing.T, r *vendortest.Rig) {
			b := r.Vendor.(*braze)
			b.mu.Lock()
			b.add("users", "b-anon", map[string]any{"braze_id": "b-anon", "email": email(1)})
			b.mu.Unlock()
			if n := r.Locate(r.Her.Person)["profiles"]; n != 2 {
				t.Errorf("%d profiles were found", n)
			}
		},
		"nothing_is_deleted_by_address": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			for _, a := range r.Asked("POST /users/delete") {
				if strings.Contains(a.Body, "@") || !strings.Contains(a.Body, "braze_ids") {
					t.Errorf("it asked with %s", a.Body)
				}
			}
		},
	},
})

// braze plays export by identifiers, which answers 201 and leaves out whom it
// does not know, and deletion that takes effect later.
type braze struct{ *fake }

func newBraze() vendortest.Vendor {
	b := &braze{newFake(bearer("BRAZE_API_KEY"))}
	b.on("POST /users/export/ids", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		ids := words(body["external_ids"])
		if body["fields_to_export"] == nil || len(ids) > 50 || len(ids) > 0 && body["email_address"] != nil {
			answer(w, 400, map[string]any{"message": "invalid"})
			return
		}
		users := b.list("users", func(rec map[string]any) bool {
			return slices.Contains(ids, fmt.Sprint(rec["external_id"])) || body["email_address"] != nil && lower(rec["email"]) == lower(body["email_address"])
		})
		answer(w, 201, map[string]any{"message": "success", "users": users, "invalid_user_ids": []any{}})
	})
	b.on("POST /users/delete", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		ids := words(body["braze_ids"])
		if len(body) != 1 || len(ids) == 0 || len(ids) > 50 {
			answer(w, 400, map[string]any{"message": "invalid"})
			return
		}
		b.accept("", "queued", func() {
			b.remove("users", func(rec map[string]any) bool { return slices.Contains(ids, fmt.Sprint(rec["braze_id"])) })
		})
		answer(w, 201, map[string]any{"message": "success", "deleted": len(ids)})
	})
	return b
}

func (b *braze) Finish() { b.end("done") }

func (b *braze) Plant(n int) vendortest.Planted {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := fmt.Sprintf("b-%d-", n)
	b.add("users", id, map[string]any{"braze_id": id, "external_id": userID(n), "email": email(n), "first_name": fmt.Sprintf("First%d-", n)})
	return vendortest.Planted{
		Person: byUser(n).With(sdk.ID(sdk.Email, email(n))),
		Traces: []string{email(n), userID(n), fmt.Sprintf("First%d-", n)}, Stores: map[string]int64{"profiles": 1},
	}
}
