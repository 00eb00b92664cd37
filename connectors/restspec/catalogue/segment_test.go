package catalogue_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("segment", vendortest.Entry{
	New:   newSegment,
	Blind: true,
	Slow:  true,
	Acts:  []string{"POST /regulations"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_partial_success_is_no_success": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			r.Vendor.(*segment).end("PARTIAL_SUCCESS")
			r.Advance(24 * time.Hour)
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
			if len(r.Locate(r.Her.Person)) == 0 {
				t.Error("she is not located any more")
			}
		},
		"an_address_is_not_handed_over": func(t *testing.T, r *vendortest.Rig) {
			if found := r.Locate(byEmail(1)); len(found) > 0 {
				t.Errorf("by an address it found %v", found)
			}
			r.Erase(byEmail(1))
			if n := len(r.Asked("POST /regulations")); n > 0 {
				t.Errorf("%d regulations were made", n)
			}
		},
	},
})

// segment plays regulations.
type segment struct{ *fake }

func newSegment() vendortest.Vendor {
	s := &segment{newFake(bearer("SEGMENT_PUBLIC_API_TOKEN"))}
	s.on("POST /regulations", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		ids := words(body["subjectIds"])
		if body["subjectType"] != "USER_ID" || body["regulationType"] != "SUPPRESS_WITH_DELETE" || len(ids) == 0 || len(ids) > 5000 {
			answer(w, 422, map[string]any{"errors": []any{map[string]any{"type": "validation-error"}}})
			return
		}
		id := s.accept("reg", "INITIALIZED", func() {
			s.remove("events", func(rec map[string]any) bool { return slices.Contains(ids, rec["userId"].(string)) })
		})
		answer(w, 200, map[string]any{"data": map[string]any{"regulateId": id}})
	})
	s.on("GET /regulations/{id}", func(w http.ResponseWriter, r *http.Request) {
		work := s.works[r.PathValue("id")]
		if work == nil {
			answer(w, 404, map[string]any{"errors": []any{map[string]any{"type": "not-found"}}})
			return
		}
		answer(w, 200, map[string]any{"data": map[string]any{"regulation": map[string]any{"id": r.PathValue("id"), "overallStatus": work.state}}})
	})
	return s
}

func (s *segment) Finish() { s.end("FINISHED") }

func (s *segment) Plant(n int) vendortest.Planted {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add("events", userID(n), map[string]any{"userId": userID(n)})
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n)}, Stores: map[string]int64{"users": 1}}
}
