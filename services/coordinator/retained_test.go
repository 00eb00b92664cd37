package coordinator

import (
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// What was kept of an erased person may be used for the reason it was kept for,
// in the system that kept it, until that ends, and for nothing else; of others
// nothing is said.
func TestKeptServesItsReasonAlone_DE9(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		room := r.room(nil)
		jane, joe := id("email", "jane@example.com"), id("email", "joe@example.com")
		peppers, err := room.suppression.Peppers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := r.fresh(request.Delete, jane)
		was := *n.Request.Request
		was.Ending = &request.Ending{Result: request.ResultCompleteWithExceptions}
		if n.Request.Request, err = request.Restore(was, request.Delete, request.Closing, request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: simStart, By: "api"}); err != nil {
			t.Fatal(err)
		}
		erased := func(connector, outcome string) store.Job {
			return store.Job{ID: request.NewID(), RequestID: n.Request.ID, Connector: connector, Action: request.ActionErase, State: request.JobRetained, Outcome: []byte(outcome)}
		}
		st := &step{w: &world{now: simStart}, s: &store.Snapshot{Request: n.Request, Jobs: []store.Job{
			erased("billing", `{"retained":{"basis":"D9"},"stores":[{"store":"invoices","locatedCount":"3","keptCount":"3","basis":"D9"}]}`), // asked again since
			erased("billing", `{"retained":{"basis":"D8"},"stores":[{"store":"invoices","locatedCount":"3","keptCount":"1","basis":"D8","untilTime":"2033-01-01T00:00:00Z"}]}`),
			erased("crm", `{"done":{},"stores":[{"store":"contacts","locatedCount":"3"}]}`),
		}}}
		if err := room.suppress(t.Context(), peppers, st); err != nil {
			t.Fatal(err)
		}
		carrier := r.submit(r.fresh(request.OptOutSaleShare, joe))[0] // any request can carry it
		if _, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{carrier}}, false, func(s []*store.Snapshot) error {
			s[0].Suppress, s[0].Retained = st.s.Suppress, st.s.Retained
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := room.suppression.Rotate(t.Context(), simStart.AddDate(100, 0, 0)); err != nil { // the answer stays the same
			t.Fatal(err)
		}
		for _, c := range []struct {
			connector, purpose string
			year               int
			want               suppression.Use
		}{
			{"billing", "D8", 2027, suppression.Allowed}, {"billing", "D8", 2034, suppression.Denied}, {"billing", "marketing", 2027, suppression.Denied},
			{"billing", "D9", 2027, suppression.Denied}, {"crm", "D8", 2027, suppression.Denied}, {"crm", "marketing", 2027, suppression.Denied},
		} {
			at := time.Date(c.year, 6, 1, 0, 0, 0, 0, time.UTC)
			got, err := room.suppression.MayUse(t.Context(), suppression.Purpose{Connector: c.connector, Code: c.purpose, At: at}, []request.Identifier{jane, joe})
			if err != nil || !slices.Equal(got, []suppression.Use{c.want, suppression.Free}) {
				t.Errorf("%s for %s in %d: %v, want %s: %v", c.connector, c.purpose, c.year, got, c.want, err)
			}
		}
	})
}
