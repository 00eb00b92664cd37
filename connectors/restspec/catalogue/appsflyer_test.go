package catalogue_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("appsflyer", vendortest.Entry{
	New:      newAppsFlyer,
	Settings: map[string]string{"app_id": "id42"},
	Blind:    true,
	Slow:     true,
	Acts:     []string{"POST /api/gdpr"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_request_that_is_sent_again_is_the_same_one": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.On(vendortest.Lost, "POST /api/gdpr"))
			r.Erase(r.Her.Person)
			a := r.Vendor.(*appsFlyer)
			if n := len(a.works); n != 1 {
				t.Errorf("%d requests are there, want 1", n)
			}
		},
		"an_id_of_the_app_is_handed_over_as_what_it_is": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(byUser(1))
			if types := r.Vendor.(*appsFlyer).types; len(types) != 1 || types[0] != "customer_user_id" {
				t.Errorf("handed over as %v", types)
			}
		},
	},
})

// appsFlyer plays OpenDSR: a request is known by the id its sender gave it.
type appsFlyer struct {
	*fake
	types []string
}

var uuidV4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func newAppsFlyer() vendortest.Vendor {
	a := &appsFlyer{fake: newFake(bearer("APPSFLYER_API_TOKEN"))}
	a.on("POST /api/gdpr/v1/opendsr_requests", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		id := fmt.Sprint(body["subject_request_id"])
		identities, _ := body["subject_identities"].([]any)
		if !uuidV4.MatchString(id) || body["property_id"] != "id42" || body["subject_request_type"] != "erasure" || body["submitted_time"] == "" || len(identities) != 1 {
			answer(w, 400, map[string]any{"error": map[string]any{"code": 400}})
			return
		}
		identity, _ := identities[0].(map[string]any)
		if a.works[id] == nil {
			a.types = append(a.types, fmt.Sprint(identity["identity_type"]))
			a.works[id] = &work{state: "pending", run: func() { a.remove("devices", is("id", identity["identity_value"])) }}
		}
		answer(w, 201, map[string]any{"subject_request_id": id, "received_time": "2030-01-01T00:00:00Z"})
	})
	a.on("GET /api/gdpr/v1/opendsr_requests/{id}", func(w http.ResponseWriter, r *http.Request) {
		work := a.works[r.PathValue("id")]
		if work == nil {
			answer(w, 404, map[string]any{"error": map[string]any{"code": 404}})
			return
		}
		answer(w, 200, map[string]any{"subject_request_id": r.PathValue("id"), "request_status": work.state})
	})
	return a
}

func (a *appsFlyer) Finish() { a.end("completed") }

func (a *appsFlyer) Plant(n int) vendortest.Planted {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := fmt.Sprintf("1600000000000-%d", 1000+n)
	a.add("devices", id, map[string]any{"id": id})
	return vendortest.Planted{Person: sdk.NewPerson(sdk.ID(sdk.DeviceID, id)), Traces: []string{id}, Stores: map[string]int64{"devices": 1}}
}
