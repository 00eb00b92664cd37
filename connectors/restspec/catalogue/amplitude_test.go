package catalogue_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("amplitude", vendortest.Entry{
	New:  newAmplitude,
	Slow: true,
	Acts: []string{"POST /api/2/deletions"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"it_does_not_ask_before_the_waiting_period_is_over": func(t *testing.T, r *vendortest.Rig) {
			err := r.Eraser().Erase(r.InJob(), r.Her.Person)
			if after, notYet := sdk.AsNotYet(err); !notYet || after < 9*24*time.Hour {
				t.Errorf("it comes back in %s: %v", after, err)
			}
			if n := len(r.Asked("GET /api/2/deletions")); n > 0 {
				t.Errorf("it asked %d times", n)
			}
		},
		"the_search_takes_an_amplitude_id_for_a_user_id": func(t *testing.T, r *vendortest.Rig) {
			// 20 is the Amplitude id of somebody else.
			if found := r.Locate(sdk.NewPerson(sdk.ID(sdk.UserID, "20"))); len(found) > 0 {
				t.Errorf("it found %v", found)
			}
		},
		"ids_are_numbers": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			if asked := r.Asked(r.Entry.Acts...); len(asked) != 1 || asked[0].Body != `{"amplitude_ids":[10,11],"ignore_invalid_id":"True","requester":"habeas"}` {
				t.Errorf("asked %v", asked)
			}
		},
	},
})

// amplitude plays the search, which finds by any kind of id, and deletion jobs
// that gather requests by the day they run.
type amplitude struct{ *fake }

const amplitudeDay = "2030-01-14"

func newAmplitude() vendortest.Vendor {
	a := &amplitude{newFake(basicAuth(vendortest.SecretValue("AMPLITUDE_API_KEY"), "AMPLITUDE_SECRET_KEY"))}
	a.on("GET /api/2/usersearch", func(w http.ResponseWriter, r *http.Request) {
		user := r.URL.Query().Get("user")
		matches := a.list("users", func(rec map[string]any) bool {
			return rec["user_id"] == user || fmt.Sprint(rec["amplitude_id"]) == user
		})
		answer(w, 200, map[string]any{"matches": matches, "type": "match_user_or_device_id"})
	})
	a.on("POST /api/2/deletions/users", func(w http.ResponseWriter, r *http.Request) {
		ids := words(read(r)["amplitude_ids"])
		if len(ids) == 0 || len(ids) > 100 {
			answer(w, 400, map[string]any{"error": "bad ids"})
			return
		}
		a.accept("", "staging", func() {
			a.remove("users", func(rec map[string]any) bool { return slices.Contains(ids, fmt.Sprint(rec["amplitude_id"])) })
		})
		answer(w, 200, map[string]any{"day": amplitudeDay, "status": "staging", "amplitude_ids": []any{}})
	})
	a.on("GET /api/2/deletions/users", func(w http.ResponseWriter, r *http.Request) {
		jobs := []any{map[string]any{"day": "2029-12-01", "status": "done", "amplitude_ids": []any{}}}
		if len(a.works) > 0 && r.URL.Query().Get("start_day") <= amplitudeDay && amplitudeDay <= r.URL.Query().Get("end_day") {
			status := "done"
			for _, w := range a.works {
				if w.state != "done" {
					status = w.state
				}
			}
			jobs = append(jobs, map[string]any{"day": amplitudeDay, "status": status, "amplitude_ids": []any{}})
		}
		answer(w, 200, jobs)
	})
	return a
}

func (a *amplitude) Finish() { a.end("done") }

func (a *amplitude) Plant(n int) vendortest.Planted {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range 2 { // two devices before she signed in
		id := n*10 + i
		a.add("users", strconv.Itoa(id), map[string]any{"amplitude_id": id, "user_id": userID(n)})
	}
	return vendortest.Planted{Person: byUser(n), Traces: []string{userID(n)}, Stores: map[string]int64{"users": 2}}
}
