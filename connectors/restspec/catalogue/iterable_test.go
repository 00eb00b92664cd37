package catalogue_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

var _ = register("iterable", vendortest.Entry{
	New:     newIterable,
	Settles: true,
	Acts:    []string{"POST /api/users/forget"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"an_unknown_user_may_be_an_empty_object": func(t *testing.T, r *vendortest.Rig) {
			r.Vendor.(*iterable).empty = true
			if found := r.Locate(byEmail(77)); len(found) > 0 {
				t.Errorf("it found %v", found)
			}
		},
		"it_is_given_ten_minutes": func(t *testing.T, r *vendortest.Rig) {
			if r.Manifest.Settle.Minutes() < 10 {
				t.Errorf("it settles in %s", r.Manifest.Settle)
			}
		},
	},
})

// iterable plays users by address, and forgetting that shows later.
type iterable struct {
	*fake
	empty bool // an unknown user is answered with {} and not with 404
}

func newIterable() vendortest.Vendor {
	i := &iterable{fake: newFake(func(r *http.Request) bool {
		return r.Header.Get("Api-Key") == vendortest.SecretValue("ITERABLE_API_KEY")
	})}
	i.on("GET /api/users/{email}", func(w http.ResponseWriter, r *http.Request) {
		rec := i.records["users"][r.PathValue("email")]
		switch {
		case rec != nil:
			answer(w, 200, map[string]any{"user": rec})
		case i.empty:
			answer(w, 200, map[string]any{})
		default:
			answer(w, 404, map[string]any{"code": "error.users.noUserWithEmailExists"})
		}
	})
	i.on("POST /api/users/forget", func(w http.ResponseWriter, r *http.Request) {
		address := fmt.Sprint(read(r)["email"])
		i.accept("", "asked", func() { delete(i.records["users"], address) })
		answer(w, 202, map[string]any{"code": "Success"})
	})
	return i
}

func (i *iterable) Finish() { i.end("done") }

func (i *iterable) Plant(n int) vendortest.Planted {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.add("users", email(n), map[string]any{"email": email(n), "dataFields": map[string]any{"firstName": fmt.Sprintf("Name%d-", n)}})
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"users": 1}}
}
