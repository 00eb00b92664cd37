package catalogue_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("heap", vendortest.Entry{
	New:      newHeap,
	Settings: map[string]string{"app_id": "42", "token_url": "BASE/api/public/v0/auth_token"},
	Blind:    true,
	Slow:     true,
	Acts:     []string{"POST /api/public/v0/user_deletion"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_state_nobody_knows_is_no_success": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			h := r.Vendor.(*heap)
			h.mu.Lock()
			for _, w := range h.works {
				w.state = "postponed"
			}
			h.mu.Unlock()
			r.Advance(24 * time.Hour)
			err := r.Eraser().Erase(r.InJob(), r.Her.Person)
			if _, notYet := sdk.AsNotYet(err); err == nil || notYet {
				t.Errorf("it ended with %v", err)
			}
		},
	},
})

// heap plays tokens and deletions of many users.
type heap struct{ *fake }

func newHeap() vendortest.Vendor {
	h := &heap{newFake(nil)}
	token, login := bearer("TOKEN"), basicAuth("42", "HEAP_API_KEY")
	h.allowed = func(r *http.Request) bool {
		if r.URL.Path == "/api/public/v0/auth_token" {
			return login(r)
		}
		return token(r)
	}
	h.on("POST /api/public/v0/auth_token", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"access_token": vendortest.SecretValue("TOKEN")})
	})
	h.on("POST /api/public/v0/user_deletion", func(w http.ResponseWriter, r *http.Request) {
		var ids []string
		users, _ := read(r)["users"].([]any)
		for _, u := range users {
			fields, _ := u.(map[string]any)
			ids = append(ids, fmt.Sprint(fields["identity"]))
		}
		if len(ids) == 0 || len(ids) > 10000 {
			answer(w, 400, map[string]any{"err": "users"})
			return
		}
		id := h.accept("", "pending", func() {
			h.remove("users", func(rec map[string]any) bool { return slices.Contains(ids, fmt.Sprint(rec["identity"])) })
		})
		answer(w, 201, map[string]any{"deletion_request_id": id, "status": "pending"})
	})
	h.on("GET /api/public/v0/deletion_status/{id}", func(w http.ResponseWriter, r *http.Request) {
		if work := h.works[r.PathValue("id")]; work != nil {
			answer(w, 200, map[string]any{"deletion_request_id": r.PathValue("id"), "status": work.state})
			return
		}
		answer(w, 404, map[string]any{"err": "not found"})
	})
	return h
}

func (h *heap) Finish() { h.end("complete") }

func (h *heap) Plant(n int) vendortest.Planted {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add("users", userID(n), map[string]any{"identity": userID(n)})
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n)}, Stores: map[string]int64{"users": 1}}
}
