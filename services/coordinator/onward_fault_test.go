package coordinator

import (
	"slices"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// Who has to be told is decided once for each recipient, from the file and from
// the ledger, also when commits fail and answers to them are lost.
func TestRecipientsAreFoundOnce_DE3_DE4(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: []string{"email"}, Do: func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
			return standin.Reply{Outcome: done(2)}
		}})
		kept := r.store.(interface { //nolint:forcetypeassert // both stores do
			store.Disclosures
			store.Onwards
		})
		ledger := &disclosure.Ledger{Store: kept, Keys: &suppression.List{Store: r.store, Vault: r.vault}, Book: disclosure.NewBook(&tenant.Tenant{Vendors: []tenant.Vendor{
			{ID: "mailer", Name: "Mailer", Role: tenant.ServiceProvider, Contract: "DPA-1", Tell: tenant.Tell{Email: "a@mailer.example", Identifiers: []string{"email"}},
				Gets: []tenant.Flow{{From: "crm", Categories: []string{"A"}, Purpose: "newsletters", As: tenant.ForBusiness, Since: request.Date{Year: 2024, Month: time.January, Day: 1}}}},
			{ID: "host", Name: "Host", Role: tenant.Contractor, Contract: "DPA-2", Tell: tenant.Tell{Connector: "crm"},
				Gets: []tenant.Flow{{From: "crm", Categories: []string{"B"}, Purpose: "hosting", As: tenant.ForBusiness, Since: request.Date{Year: 2024, Month: time.January, Day: 1}}}},
			{ID: "buyer", Name: "Buyer", Role: tenant.ThirdParty, Contract: "TPA-1", Tell: tenant.Tell{Email: "a@buyer.example", Identifiers: []string{"email"}}},
		}}, time.UTC)}
		sold, other := id("email", "sold@example.com"), id("email", "other@example.com")
		if _, err := ledger.Add(t.Context(), []disclosure.Given{{
			ID: "s-1", At: simStart.AddDate(-1, 0, 0), Recipient: "buyer", Categories: []string{"A"}, As: tenant.Sold,
			Identifiers: []disclosure.Identifier{{Kind: "email", Value: "sold@example.com"}},
		}}, time.Now()); err != nil {
			t.Fatal(err)
		}
		f := &faultyStore{Store: r.store, faults: &faults{}}
		r.start(func(c *Config) { c.Store, c.Ledger = f, ledger })
		r.known("crm")
		for how, share := range map[fault]int{didNot: 20, answerLost: 30} {
			f.set(sometimes(share, how))
			ids := r.submit(r.fresh(request.Delete, sold), r.fresh(request.Delete, other))
			// Their answers were due long ago, so nobody is waited for.
			r.closed(request.ResultPartial, ids...)
			for i, want := range [][]string{{"buyer waiting email A", "host acknowledged connector B", "mailer waiting email A"}, {"host acknowledged connector B", "mailer waiting email A"}} {
				rows, err := kept.OnwardOf(t.Context(), ids[i])
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, o := range rows {
					got = append(got, strings.Join([]string{o.Recipient, string(o.State), o.Channel, o.Letters}, " "))
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("recipients %q, want %q", got, want)
				}
			}
		}
	})
}
