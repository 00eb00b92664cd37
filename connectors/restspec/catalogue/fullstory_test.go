package catalogue_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("fullstory", vendortest.Entry{
	New:  newFullstory,
	Slow: true,
	Acts: []string{"DELETE /users/"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_failed_operation_is_told": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			f := r.Vendor.(*fullstory)
			f.mu.Lock()
			for _, w := range f.works {
				w.state = "FAILED"
			}
			f.mu.Unlock()
			r.Advance(2 * time.Hour)
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
		},
		"an_address_finds_nobody": func(t *testing.T, r *vendortest.Rig) {
			if found := r.Locate(byEmail(1)); len(found) > 0 {
				t.Errorf("by an address it found %v", found)
			}
		},
	},
})

// fullstory plays users by id and deletions that are operations.
type fullstory struct{ *fake }

func newFullstory() vendortest.Vendor {
	f := &fullstory{newFake(func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "Basic "+vendortest.SecretValue("FULLSTORY_API_KEY")
	})}
	f.on("GET /users/v1/individual/{uid}", func(w http.ResponseWriter, r *http.Request) {
		if rec := f.records["users"][r.PathValue("uid")]; rec != nil {
			answer(w, 200, rec)
			return
		}
		answer(w, 404, map[string]any{"code": "not_found"})
	})
	f.on("DELETE /users/v1/individual/{uid}", func(w http.ResponseWriter, r *http.Request) {
		uid := r.PathValue("uid")
		if f.records["users"][uid] == nil {
			answer(w, 404, map[string]any{"code": "not_found"})
			return
		}
		answer(w, 200, map[string]any{"id": f.accept("op", "PENDING", func() { delete(f.records["users"], uid) })})
	})
	f.on("GET /operations/v1/{id}", func(w http.ResponseWriter, r *http.Request) {
		if work := f.works[r.PathValue("id")]; work != nil {
			answer(w, 200, map[string]any{"id": r.PathValue("id"), "type": "DELETE_USER", "state": work.state})
			return
		}
		answer(w, 404, map[string]any{"code": "not_found"})
	})
	return f
}

func (f *fullstory) Finish() { f.end("COMPLETED") }

func (f *fullstory) Plant(n int) vendortest.Planted {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add("users", userID(n), map[string]any{"uid": userID(n), "displayName": "Ada"})
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n)}, Stores: map[string]int64{"users": 1}}
}
