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

var _ = register("auth0", vendortest.Entry{
	New:      newAuth0,
	Settings: map[string]string{"domain": "tenant", "audience": "https://tenant/api/v2/", "client_id": "app-1", "token_url": "BASE/oauth/token"},
	Acts:     []string{"DELETE /", "PATCH /"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"all_users_of_an_address_go": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(byEmail(1))
			if n := len(r.Asked("DELETE /api/v2/users/")); n != 2 {
				t.Errorf("%d users were deleted, want 2", n)
			}
		},
		"an_id_with_a_bar_is_one_segment": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(sdk.NewPerson(sdk.ID(sdk.UserID, "auth0|1")))
			if asked := r.Asked("DELETE /"); len(asked) != 1 || asked[0].Path != "/api/v2/users/auth0%7C1" {
				t.Errorf("asked %v", asked)
			}
		},
		"addresses_are_asked_for_in_lower_case": func(t *testing.T, r *vendortest.Rig) {
			if found := r.Locate(person(strings.ToUpper(email(1)))); found["users"] != 2 {
				t.Errorf("located %v", found)
			}
		},
	},
})

// auth0 plays a tenant: an exact search, and tokens for the right audience.
type auth0 struct{ *fake }

func newAuth0() vendortest.Vendor {
	a := &auth0{newFake(nil)}
	allowed := bearer("TOKEN")
	a.allowed = func(r *http.Request) bool { return r.URL.Path == "/oauth/token" || allowed(r) }
	a.on("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("audience") != "https://tenant/api/v2/" ||
			r.PostForm.Get("client_id") != "app-1" || r.PostForm.Get("client_secret") != vendortest.SecretValue("AUTH0_CLIENT_SECRET") {
			answer(w, 401, map[string]any{"error": "access_denied"})
			return
		}
		answer(w, 200, map[string]any{"access_token": vendortest.SecretValue("TOKEN"), "expires_in": 86400, "token_type": "Bearer"})
	})
	a.on("GET /api/v2/users-by-email", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, a.list("users", is("email", r.URL.Query().Get("email"))))
	})
	a.on("/api/v2/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := a.records["users"][r.PathValue("id")]
		switch {
		case rec == nil && r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case rec == nil:
			answer(w, 404, map[string]any{"statusCode": 404, "errorCode": "inexistent_user"})
		case r.Method == http.MethodDelete:
			delete(a.records["users"], r.PathValue("id"))
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodPatch:
			maps.Copy(rec, read(r))
			answer(w, 200, rec)
		default:
			answer(w, 200, rec)
		}
	})
	return a
}

func (a *auth0) Plant(n int) vendortest.Planted {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range []string{fmt.Sprintf("auth0|%d", n), fmt.Sprintf("google-oauth2|%d", n)} {
		a.add("users", id, map[string]any{"user_id": id, "email": email(n), "name": fmt.Sprintf("Name%d-", n)})
	}
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"users": 2}}
}
