package coordinator

import (
	"slices"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// supplied is a company with a service provider, a buyer, and what it has in crm
// from others.
func supplied(t *testing.T) *disclosure.Book {
	t.Helper()
	f, err := tenant.Parse("company.yaml", []byte(`
vendors:
  - {name: Mailer, id: mailer, role: service_provider, contract: DPA-1, tell: {email: a@mailer.example, identifiers: [email]},
     gets: [{from: crm, categories: [A, B], purpose: newsletters, as: business_purpose, since: 2024-01-01}]}
  - {name: Buyer, id: buyer, role: third_party, contract: TPA-2, tell: {email: a@buyer.example, identifiers: [email]},
     gets: [{from: crm, categories: [B], purpose: market studies, as: sold, since: 2024-01-01}]}
  - {name: Enricher, id: enricher, role: third_party, tell: {email: a@enricher.example, identifiers: [email], acknowledge_days: 20},
     gives: [{to: crm, categories: [A, I], fields: [user.contact.address, employer], since: 2024-01-01, until: 2025-06-30}]}
  - {name: Scorer, id: scorer, role: third_party, tell: {webhook: "https://scorer.example/privacy", identifiers: [email]},
     gives: [{to: crm, stores: [scores], categories: [K], since: 2024-01-01}]}
  - {name: Registry, id: registry, role: third_party,
     gives: [{to: crm, categories: [B], since: 2024-01-01}]}
  - {name: Tomorrow, id: tomorrow, role: third_party, tell: {email: a@tomorrow.example, identifiers: [email]},
     gives: [{to: crm, categories: [A], since: 2030-01-01}]}
  - {name: Elsewhere, id: elsewhere, role: third_party, tell: {email: a@elsewhere.example, identifiers: [email]},
     gives: [{to: billing, categories: [A], since: 2024-01-01}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return disclosure.NewBook(&f.Tenant, time.UTC)
}

func correctionSim(t *testing.T, disputed ...string) *sim {
	t.Helper()
	m := newSim(t, request.Correct, email, connector("billing", "email"), connector("crm", "email"))
	m.w.book = supplied(t)
	m.s.Request.Case.Disputed = disputed
	m.step()
	return m
}

func righted(storeName string) *habeasv1.Outcome {
	o := done(2)
	o.Stores = []*habeasv1.StoreCount{{Store: storeName, LocatedCount: 2, RemainingCount: 2}}
	return o
}

// A corrected value's sources are told that it was wrong, those that can't be told
// are named, and service providers are told to correct it too. The answer waits
// for the providers and not for the sources.
func TestSourceIsTold_CO1(t *testing.T) {
	m := correctionSim(t, "employer")
	m.ends("crm", righted("contacts"))
	m.tells()
	m.ends("billing", noMatch())
	m.tells("mailer waiting email AB", "enricher waiting email AI", "registry excused  B")
	for _, o := range m.s.Onward {
		if source := o.Recipient != "mailer"; source != (o.Basis == request.BasisSource) {
			t.Errorf("%s has basis %q", o.Recipient, o.Basis)
		}
	}
	if by := m.s.Onward[1].Deadline.Sub(m.s.Onward[1].DecidedAt); by != 20*24*time.Hour {
		t.Errorf("the source has %s", by)
	}
	m.state(request.Running)
	m.acknowledge("mailer")
	m.closes(request.ResultComplete)
	want := []string{"recipient_to_tell mailer", "source_to_tell enricher", "source_named registry"}
	if got := m.decisions(); !slices.Equal(got, want) {
		t.Errorf("on record %q, want %q", got, want)
	}
}

// Who can't have given the disputed field, or gave nothing to where it was wrong,
// is not told.
func TestOnlyTheSourceIsTold_CO1(t *testing.T) {
	for name, c := range map[string]struct {
		disputed []string
		store    string
		want     []string
	}{
		"a field of none that says its fields": {[]string{"nickname"}, "contacts", []string{"registry"}},
		"a finer field":                        {[]string{"user.contact.address.street"}, "contacts", []string{"enricher", "registry"}},
		"a field with a like name":             {[]string{"user.contact.addressee"}, "contacts", []string{"registry"}},
		"inferred":                             {[]string{"score"}, "scores", []string{"scorer", "registry"}},
		"several":                              {[]string{"nickname", "employer"}, "contacts", []string{"enricher", "registry"}},
	} {
		m := correctionSim(t, c.disputed...)
		m.ends("crm", righted(c.store))
		m.ends("billing", noMatch())
		var got []string
		for _, o := range m.s.Onward {
			if o.Basis == request.BasisSource {
				got = append(got, o.Recipient)
			}
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
}

// Where nothing was corrected nobody gave anything wrong; and a deletion or an
// opt-out tells no source.
func TestNoSourceIsToldOfAnythingElse_CO1(t *testing.T) {
	m := correctionSim(t, "employer")
	o := noMatch()
	o.Stores = []*habeasv1.StoreCount{{Store: "contacts", LocatedCount: 2}}
	m.ends("crm", o)
	m.ends("billing", noMatch())
	m.tells()
	m.closes(request.ResultComplete)
	for _, right := range []request.Right{request.Delete, request.OptOutSaleShare} {
		m := newSim(t, right, email, connector("crm", "email"))
		m.w.book = supplied(t)
		m.step()
		m.ends("crm", done(2))
		for _, o := range m.s.Onward {
			if o.Basis == request.BasisSource {
				t.Errorf("of %s the source %s is told", right, o.Recipient)
			}
		}
	}
}

// Over a real bus and store, what is told is a row before anything is sent, once
// however often it is decided, and on record.
func TestSourceFromEndToEnd_CO1(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		book := supplied(t)
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
			return standin.Reply{Located: 2, Outcome: righted("contacts")}
		}})
		r.start(func(c *Config) {
			c.Ledger = &disclosure.Ledger{Book: book, Store: r.store.(store.Disclosures), Keys: &suppression.List{Store: r.store, Vault: r.vault}}
		})
		r.known("crm")
		n := r.fresh(request.Correct, id("email", "jane@example.com"))
		key, err := r.vault.Unwrap(t.Context(), n.Request.WrappedKey)
		if err != nil {
			t.Fatal(err)
		}
		n.Request.Case.Disputed = []string{"employer"}
		due := &n.Request.Terms.Due // the room's clock is the machine's
		due.Respond, due.Extended = request.DateOf(time.Now().AddDate(0, 0, 45), time.UTC), request.DateOf(time.Now().AddDate(0, 0, 90), time.UTC)
		n.Request.Corrections = key.SealCorrections(n.Request.ID, []request.Correction{{Field: "employer", Value: request.NewSecret("Right & Sons")}})
		rid := r.submit(n)[0]
		rows := func() []store.Onward {
			t.Helper()
			all, err := r.store.(store.Onwards).OnwardOf(t.Context(), rid)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		r.until("the companies to be told are written down", func() bool { return len(rows()) == 3 })
		_, err = r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{rid}}, true, func(snaps []*store.Snapshot) error {
			for i := range snaps[0].Onward {
				if o := &snaps[0].Onward[i]; o.Recipient == "mailer" {
					o.State, o.AcknowledgedAt, o.AcknowledgedBy, o.NextAt = request.OnwardAcknowledged, time.Now(), "recipient", time.Time{}
					snaps[0].TouchOnward(i)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.hint([]request.ID{rid})
		r.closed(request.ResultComplete, rid)
		sources := 0
		for _, o := range rows() {
			if o.Basis == request.BasisSource {
				sources++
			}
		}
		said := 0
		for _, rec := range r.audit.Records(string(rid), wire.RecordDecision) {
			if d, ok := rec.Predicate.(*habeasv1.DecisionRecord); ok && strings.HasPrefix(d.GetDecision(), "source_") {
				said++
			}
			if strings.Contains(string(rec.Envelope), "Right & Sons") {
				t.Error("a record holds the right value")
			}
		}
		if sources != 2 || said != 2 {
			t.Errorf("%d sources, %d on record; want 2 and 2", sources, said)
		}
	})
}
