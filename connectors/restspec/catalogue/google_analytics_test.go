package catalogue_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("google-analytics", vendortest.Entry{
	New:      newAnalytics,
	Settings: map[string]string{"property": "42", "client_id": "app-1", "token_url": "BASE/token"},
	Blind:    true,
	Slow:     true,
	Settles:  true,
	Acts:     []string{"POST /v1alpha"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"it_takes_two_months": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			r.Advance(50 * 24 * time.Hour)
			err := r.Eraser().Erase(r.InJob(), r.Her.Person)
			if after, notYet := sdk.AsNotYet(err); !notYet || after < 12*24*time.Hour {
				t.Errorf("after fifty days it comes back in %s: %v", after, err)
			}
		},
		"addresses_are_written_as_google_compares_them": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), person("Ada.Love Lace@GoogleMail.com")) // accepted, not finished
			if asked := r.Asked("POST /v1alpha"); len(asked) != 1 || asked[0].Body != `{"userProvidedData":"adalovelace@googlemail.com"}` {
				t.Errorf("asked %v", asked)
			}
		},
		"a_wrong_property_is_no_missing_person": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.On(vendortest.Answer(404), "POST /v1alpha"))
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); sdk.CodeOf(err) != sdk.Configuration {
				t.Errorf("it ended with %v", err)
			}
		},
	},
})

// analytics plays the one method, which takes exactly one identifier.
type analytics struct{ *fake }

// google plays tokens for the refresh grant before another vendor's routes.
func google(f *fake) *fake {
	allowed := bearer("TOKEN")
	f.allowed = func(r *http.Request) bool { return r.URL.Path == "/token" || allowed(r) }
	f.on("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.PostForm.Get("grant_type") != "refresh_token" || r.PostForm.Get("client_id") != "app-1" ||
			r.PostForm.Get("refresh_token") != vendortest.SecretValue("GOOGLE_REFRESH_TOKEN") {
			answer(w, 400, map[string]any{"error": "invalid_grant"})
			return
		}
		answer(w, 200, map[string]any{"access_token": vendortest.SecretValue("TOKEN"), "expires_in": 3600, "token_type": "Bearer"})
	})
	return f
}

func newAnalytics() vendortest.Vendor {
	a := &analytics{google(newFake(nil))}
	a.on("POST /v1alpha/properties/{call}", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		if r.PathValue("call") != "42:submitUserDeletion" || len(body) != 1 {
			answer(w, 400, map[string]any{"error": map[string]any{"status": "INVALID_ARGUMENT"}})
			return
		}
		a.accept("", "accepted", func() { a.remove("events", is("user", body["userId"])) })
		answer(w, 200, map[string]any{"deletionRequestTime": "2030-01-01T00:00:00Z"})
	})
	return a
}

func (a *analytics) Finish() { a.end("done") }

func (a *analytics) Plant(n int) vendortest.Planted {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add("events", userID(n), map[string]any{"user": userID(n)})
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n)}, Stores: map[string]int64{"users": 1}}
}
