package catalogue_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("mixpanel", vendortest.Entry{
	New:      newMixpanel,
	Settings: map[string]string{"project_token": "project-1"},
	Blind:    true,
	Slow:     true,
	Acts:     []string{"POST /data-deletions"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_cancelled_deletion_is_a_failure": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			m := r.Vendor.(*mixpanel)
			m.mu.Lock()
			m.works["1"].state = "REVOKED"
			m.mu.Unlock()
			r.Advance(24 * 60 * 60 * 1e9)
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("a deletion that was cancelled ended with %v", err)
			}
			if len(r.Locate(r.Her.Person)) == 0 {
				t.Error("she is not located any more")
			}
		},
		"an_id_from_before_signing_in_is_handed_over_too": func(t *testing.T, r *vendortest.Rig) {
			person := r.Her.Person.With(sdk.ID(sdk.DeviceID, "anonymous-1"))
			r.Erase(person)
			if asked := r.Asked(r.Entry.Acts...); len(asked) != 1 || !strings.Contains(asked[0].Body, "anonymous-1") {
				t.Errorf("%d requests", len(asked))
			}
		},
	},
})

// mixpanel plays the deletions of the GDPR API.
type mixpanel struct{ *fake }

func newMixpanel() vendortest.Vendor {
	m := &mixpanel{newFake(bearer("MIXPANEL_GDPR_TOKEN"))}
	m.on("POST /data-deletions/v3.0/", func(w http.ResponseWriter, r *http.Request) {
		ids := words(read(r)["distinct_ids"])
		if len(ids) == 0 || len(ids) > 1999 || r.URL.Query().Get("token") != "project-1" {
			answer(w, 400, map[string]any{"status": "error"})
			return
		}
		id := m.accept("", "PENDING", func() {
			m.remove("events", func(rec map[string]any) bool { return slices.Contains(ids, rec["distinct_id"].(string)) })
		})
		answer(w, 200, map[string]any{"status": "ok", "results": []any{map[string]any{"status": "PENDING", "tracking_id": id}}})
	})
	m.on("GET /data-deletions/v3.0/{id}", func(w http.ResponseWriter, r *http.Request) {
		work := m.works[r.PathValue("id")]
		if work == nil || r.URL.Query().Get("token") != "project-1" {
			answer(w, 404, map[string]any{"status": "error"})
			return
		}
		answer(w, 200, map[string]any{"status": "ok", "results": map[string]any{"status": work.state}})
	})
	return m
}

func (m *mixpanel) Finish() { m.end("SUCCESS") }

func (m *mixpanel) Plant(n int) vendortest.Planted {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, event := range []string{"opened", "bought"} {
		m.add("events", userID(n)+event, map[string]any{"distinct_id": userID(n), "event": event})
	}
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n)}, Stores: map[string]int64{"users": 1}}
}
