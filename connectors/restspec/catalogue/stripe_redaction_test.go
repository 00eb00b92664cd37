package catalogue_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("stripe-redaction", vendortest.Entry{
	New:      newStripeRedaction,
	Settings: map[string]string{"api_version": "2026-06-30.preview"},
	Slow:     true,
	Acts:     []string{"POST /v1/privacy/redaction_jobs"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_validated_job_is_run_once": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			if n := len(r.Asked("POST /v1/privacy/redaction_jobs/prj_1/run")); n != 1 {
				t.Errorf("it was run %d times", n)
			}
		},
		"a_recent_charge_keeps_the_customer": func(t *testing.T, r *vendortest.Rig) {
			s := r.Vendor.(*stripeRedaction)
			s.mu.Lock()
			s.add("charges", "ch_new", map[string]any{"id": "ch_new", "customer": "cus_1", "created": time.Now().Add(-24 * time.Hour).Unix()})
			s.mu.Unlock()
			found, err := r.Connector.Locate(r.InJob(), r.Her.Person)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.Store == "customers" && f.Keep == nil {
					t.Error("the customer is not kept")
				}
			}
			r.Erase(r.Her.Person)
			if n := len(r.Asked("POST /v1/privacy")); n > 0 {
				t.Errorf("%d jobs were made", n)
			}
			r.Advance(121 * 24 * time.Hour)
			r.Erase(r.Her.Person)
			if left := r.Left(r.Her); len(left) > 0 {
				t.Errorf("when the time is over the vendor still holds %q", left)
			}
		},
		"what_stripe_refuses_is_a_failure": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			s := r.Vendor.(*stripeRedaction)
			s.mu.Lock()
			s.works["prj_1"].state = "failed"
			s.mu.Unlock()
			r.Advance(time.Hour)
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
		},
	},
})

// stripeRedaction plays redaction jobs: validated by themselves, run when told,
// and keyed by the idempotency key.
type stripeRedaction struct {
	*stripe
	keys map[string]string
}

func newStripeRedaction() vendortest.Vendor {
	base, ok := newStripe().(*stripe)
	if !ok {
		panic("the fake of Stripe is of another type")
	}
	s := &stripeRedaction{base, map[string]string{}}
	job := func(w http.ResponseWriter, id string) {
		answer(w, 200, map[string]any{"id": id, "object": "privacy.redaction_job", "status": s.works[id].state})
	}
	s.on("POST /v1/privacy/redaction_jobs", func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		customer := r.FormValue("objects[customers][]")
		switch {
		case s.keys[key] != "":
			job(w, s.keys[key])
			return
		case key == "" || s.records["customers"][customer] == nil || r.FormValue("validation_behavior") != "fix":
			s.missing(w)
			return
		}
		id := fmt.Sprintf("prj_%d", len(s.works)+1)
		s.works[id] = &work{state: "validating", run: func() {
			rec := s.records["customers"][customer]
			rec["email"], rec["name"] = nil, nil
			for _, c := range s.list("charges", is("customer", customer)) {
				delete(c, "note")
			}
		}}
		s.keys[key] = id
		job(w, id)
	})
	s.on("GET /v1/privacy/redaction_jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		work := s.works[r.PathValue("id")]
		if work == nil {
			s.missing(w)
			return
		}
		if work.state == "validating" {
			work.state = "ready"
		}
		job(w, r.PathValue("id"))
	})
	s.on("POST /v1/privacy/redaction_jobs/{id}/run", func(w http.ResponseWriter, r *http.Request) {
		work := s.works[r.PathValue("id")]
		if work == nil || work.state != "ready" {
			answer(w, 400, map[string]any{"error": map[string]any{"code": "invalid_state"}})
			return
		}
		work.state = "redacting"
		job(w, r.PathValue("id"))
	})
	return s
}

// Finish ends what is being redacted, and nothing that was not run.
func (s *stripeRedaction) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.works {
		if w.state == "redacting" {
			w.state = "succeeded"
			w.run()
		}
	}
}

func (s *stripeRedaction) Plant(n int) vendortest.Planted {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("cus_%d", n)
	s.customer(id, n)
	for i := range 3 {
		charge := fmt.Sprintf("ch_%d_%d", n, i)
		s.add("charges", charge, map[string]any{"id": charge, "customer": id, "created": time.Now().Add(-200 * 24 * time.Hour).Unix(), "note": email(n)})
	}
	return vendortest.Planted{
		Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name of %d\"", n)},
		Stores: map[string]int64{"customers": 1, "charges": 3},
	}
}
