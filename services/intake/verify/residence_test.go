package verify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

// VE-18: an address that a system holds in California keeps anybody from
// refusing her for living elsewhere. None, or one elsewhere, is held against
// nobody: nothing is remembered of it, nothing more is asked, and where she
// lives is no data point.
func TestHeldAddressHelps_VE18(t *testing.T) {
	elsewhere := intake.Denial{Code: "not_resident", Reason: "What we know says that you live elsewhere.", Evidence: map[string]string{"facts": "she said so"}}
	for _, c := range []struct {
		name, anchor, state string
		resident            bool
	}{
		{"California", planted, "California", true},
		{"its letters", planted, "ca", true},
		{"Texas", planted, "TX", false},
		{"no address", planted, "", false},
		{"somebody unknown", stranger, "CA", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.systems.state = c.state
			id := r.open(request.KnowCategories, c.anchor, verify.Claimed{Points: points("postal_code", "94110")})
			r.work()
			r.want(id, request.AwaitingVerification) // one point: where she lives is none
			req, err := r.intake.Lookup(t.Context(), id)
			if err != nil || req.Case.Resident != c.resident {
				t.Fatalf("held in the state: %v, %v; want %v", req.Case.Resident, err, c.resident)
			}
			err = r.intake.Deny(request.WithActor(t.Context(), "dana"), id, elsewhere)
			switch {
			case c.resident && (!errors.Is(err, request.ErrNotYet) || !strings.Contains(err.Error(), "holds an address")):
				t.Errorf("refusing her for living elsewhere: %v", err)
			case !c.resident && err != nil:
				t.Errorf("without an address in the state people decide: %v", err)
			}
			if c.resident {
				r.want(id, request.AwaitingVerification)
			} else if r.state(id) == request.AwaitingVerification {
				t.Error("the refusal left nothing behind")
			}
		})
	}
	r := newRig(t)
	r.systems.state = "CA"
	r.open(request.KnowCategories, planted, verify.Claimed{})
	r.work()
	if r.systems.claims != 0 {
		t.Errorf("who gave nothing to compare was asked about by %d claims", r.systems.claims)
	}
}
