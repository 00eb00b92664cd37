package intake

import (
	"net/http"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// A year without calendar data, or a law nobody has confirmed, turns no request
// away: it is on record, dated, acknowledged by the answer, and shown to a
// person; no date and no level is made up.
func TestUnknownRulesAreLogged_RG3(t *testing.T) {
	for name, field := range map[string]string{
		"before the calendars' data": `"received_at":"2025-06-02T19:00:00Z"`,
		"a law nobody confirmed":     `"regime":"us-va"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			v := r.post("/v1/requests", strings.TrimSuffix(waiting, "}")+","+field+"}").view(http.StatusCreated)
			if v.State != request.AwaitingVerification || v.Attention != AttentionNoRules {
				t.Errorf("it is %s, attention %q", v.State, v.Attention)
			}
			if v.AnswerBy != "" || len(v.Due) != 0 {
				t.Errorf("dates were made up: answer by %q, due %v", v.AnswerBy, v.Due)
			}
			got, _, err := r.store.Get(t.Context(), v.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got.Terms.Due.Received.IsZero() || got.Terms.Level != "" || got.Terms.DeleteScope != "" || !got.RespondBy.Equal(store.NoDeadline) {
				t.Errorf("stored with %+v, respond by %s", got.Terms, got.RespondBy)
			}
			if len(got.RecordDigests) != 32 {
				t.Errorf("%d bytes of record digests: its arrival is not on record", len(got.RecordDigests))
			}
			// Nobody can say what would be enough.
			r.post("/v1/requests/"+string(v.ID)+"/verification", `{"method":"account_login","level":"reasonably_high"}`).want(http.StatusConflict)
		})
	}
}

// An opt-out needs no date to be honoured: it goes on at once.
func TestUnknownRulesHoldUpNoOptOut_RG3(t *testing.T) {
	r := newRig(t)
	v := r.post("/v1/requests", `{"right":"opt_out_sale_share","regime":"us-va","identifiers":[{"kind":"email","value":"ada@example.com"}]}`).view(http.StatusCreated)
	if v.State != request.Accepted || v.Attention != AttentionNoRules || v.AnswerBy != "" {
		t.Errorf("it is %s, attention %q, answer by %q", v.State, v.Attention, v.AnswerBy)
	}
}

// Vouching for somebody along with the request does not lose the request.
func TestUnknownRulesWithAnAttestation_RG3(t *testing.T) {
	r := newRig(t)
	v := r.post("/v1/requests", strings.TrimSuffix(waiting, "}")+`,"regime":"us-va","verification":{"method":"account_login","level":"reasonably_high"}}`).view(http.StatusCreated)
	if v.State != request.AwaitingVerification || v.Attention != AttentionNoRules {
		t.Errorf("it is %s, attention %q", v.State, v.Attention)
	}
}
