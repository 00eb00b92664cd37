package coordinator

import (
	"slices"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
)

// company is a file with one recipient of each sort, all of which get data from
// crm, but for adnet, which gets it from ads.
func company(t *testing.T) *disclosure.Book {
	t.Helper()
	f, err := tenant.Parse("company.yaml", []byte(`
vendors:
  - {name: Mailer, id: mailer, role: service_provider, contract: DPA-1, tell: {email: a@mailer.example, identifiers: [email]},
     gets: [{from: crm, categories: [A, B], purpose: newsletters, as: business_purpose, since: 2024-01-01}]}
  - {name: Host, id: host, role: contractor, contract: DPA-2, tell: {connector: billing, webhook: "https://host.example/privacy", identifiers: [email]},
     gets: [{from: crm, categories: [A], purpose: hosting, as: business_purpose, since: 2024-01-01}]}
  - {name: Adnet, id: adnet, role: third_party, contract: TPA-1, tell: {email: a@adnet.example, identifiers: [email], acknowledge_days: 3},
     gets: [{from: ads, categories: [F], purpose: advertising, as: shared, since: 2024-01-01}]}
  - {name: Broker, id: broker, role: third_party, contract: TPA-2, tell: {cannot: {why: impossible, explanation: It got the data without any name or number that it or we could find it by again.}},
     gets: [{from: crm, categories: [B], purpose: market studies, as: sold, since: 2024-01-01, until: 2025-12-31}]}
  - {name: Auditor, id: auditor, role: third_party, contract: TPA-3, tell: {email: a@auditor.example, identifiers: [email]},
     gets: [{from: crm, categories: [A], purpose: audits, as: business_purpose, since: 2024-01-01}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return disclosure.NewBook(&f.Tenant, time.UTC)
}

func onwardSim(t *testing.T, right request.Right, connectors ...string) *sim {
	t.Helper()
	all := make([]Connector, len(connectors))
	for i, name := range connectors {
		all[i] = connector(name, "email")
	}
	m := newSim(t, right, email, all...)
	m.w.book = company(t)
	m.step()
	return m
}

// recipients writes who is to be told, as "recipient state channel letters".
func (m *sim) recipients() (out []string) {
	for _, o := range m.s.Onward {
		out = append(out, strings.Join([]string{o.Recipient, string(o.State), o.Channel, o.Letters}, " "))
	}
	return out
}

func (m *sim) tells(want ...string) {
	m.t.Helper()
	if got := m.recipients(); !slices.Equal(got, want) {
		m.t.Errorf("recipients %q, want %q", got, want)
	}
}

// acknowledge is what happens when a recipient says that it did its part.
func (m *sim) acknowledge(recipient string) {
	m.t.Helper()
	m.run(func(st *step) {
		for i := range st.s.Onward {
			if o := &st.s.Onward[i]; o.Recipient == recipient {
				o.State, o.AcknowledgedAt, o.AcknowledgedBy = request.OnwardAcknowledged, st.w.now, "recipient"
				st.s.TouchOnward(i)
			}
		}
	})
}

// Service providers and contractors are told of a deletion and the request is
// open until they acknowledge; one behind a connector was told by it.
func TestServiceProvidersAreTold_DE3(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm", "billing")
	m.ends("crm", done(2))
	m.tells() // billing may still find something
	m.ends("billing", noMatch())
	m.tells("broker excused  B", "host acknowledged connector A", "mailer waiting email AB")
	m.state(request.Running)
	m.acknowledge("mailer")
	m.closes(request.ResultCompleteWithExceptions) // for the third party that can't be told
	want := []string{"recipient_excused broker", "recipient_acknowledged host", "recipient_to_tell mailer"}
	if got := m.decisions(); !slices.Equal(got, want) {
		t.Errorf("on record %q, want %q", got, want)
	}
}

// A service provider that never acknowledges keeps a request open until its time
// is over; then the answer is partial and says why, and never complete.
func TestNobodyAcknowledges_DE3(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm", "billing")
	m.ends("crm", done(2))
	m.ends("billing", noMatch())
	m.pass(9 * 24 * time.Hour)
	m.state(request.Running)
	m.pass(25 * time.Hour)
	m.closes(request.ResultPartial)
	if e := m.s.Request.Ending; e.Code != request.EndUnacknowledged || !strings.Contains(e.Reason, "1 of the 3 companies") {
		t.Errorf("ending %+v", e)
	}
	if got := m.decisions(); !slices.Contains(got, "recipients_overdue recipients_unacknowledged") {
		t.Errorf("on record %q", got)
	}
	m.acknowledge("mailer") // late, and taken
	m.state(request.Closing)
}

// The time a recipient has ends before the answer is due, however late the
// systems were.
func TestAnswerIsNotLateForARecipient_DE3(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm")
	m.pass(43 * 24 * time.Hour)
	m.ends("crm", done(2))
	m.state(request.Running)
	if by := m.s.Onward[len(m.s.Onward)-1].Deadline; !by.Before(m.s.Request.RespondByLatest()) {
		t.Errorf("it may acknowledge until %s, the answer is due at %s", by, m.s.Request.RespondByLatest())
	}
}

// Third parties that were sold or shared data are told, those that got it for a
// business purpose need not be, and for one that can't be told the person gets
// the explanation.
func TestThirdPartiesAreTold_DE4(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm", "ads", "billing")
	m.given = []disclosure.Entry{
		{Recipient: disclosure.Recipient{ID: "gone", Role: tenant.ThirdParty}, Categories: []string{"K"}, As: tenant.Sold, From: simStart.AddDate(-1, 0, 0)},
		{Recipient: disclosure.Recipient{ID: "lawyer", Role: tenant.ThirdParty, Contract: "C-1"}, Categories: []string{"A"}, As: tenant.ForBusiness, From: simStart},
	}
	m.ends("crm", noMatch())
	m.ends("ads", done(3))
	m.ends("billing", noMatch())
	m.tells("adnet waiting email F", "gone waiting  K") // nobody knows how to reach the second: a person has to
	if o := m.s.Onward[0]; o.Deadline.Sub(o.DecidedAt) != 3*24*time.Hour {
		t.Errorf("it has %s", o.Deadline.Sub(o.DecidedAt))
	}
}

// What a person is told of a third party that can't be told is the company's
// explanation.
func TestExplanationIsKept_DE4(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm", "billing")
	m.ends("crm", done(1))
	m.ends("billing", done(0))
	o := m.s.Onward[0]
	if o.Recipient != "broker" || o.Code != "impossible" || !strings.Contains(o.Explanation, "without any name or number") {
		t.Errorf("%+v", o)
	}
	mustNot(t, !o.NextAt.IsZero(), "somebody is excused and is to be sent something")
}

// Records that had to be kept are no reason to have anybody delete theirs.
func TestKeptRecordsTellNobody_DE3(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm")
	m.ends("crm", &habeasv1.Outcome{
		Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: "D8"}},
		Stores: []*habeasv1.StoreCount{{Store: "t", LocatedCount: 2, KeptCount: 2, Basis: "D8"}},
	})
	m.tells()
	m.closes(request.ResultCompleteWithExceptions)
}

// A third party that received data between an opt-out and its effect is told;
// what went out before is not part of an opt-out.
func TestInterimRecipientsAreTold_OO3(t *testing.T) {
	sale := func(id string, at time.Time) disclosure.Entry {
		return disclosure.Entry{
			Recipient:  disclosure.Recipient{ID: id, Role: tenant.ThirdParty, Contract: "TPA-9", Tell: tenant.Tell{Email: "a@b.example"}},
			Categories: []string{"F"}, As: tenant.Sold, From: at,
		}
	}
	m := onwardSim(t, request.OptOutSaleShare, "crm", "ads")
	m.given = []disclosure.Entry{sale("before", simStart.Add(-time.Hour)), sale("meanwhile", simStart.Add(time.Hour))}
	m.w.now = simStart.Add(2 * time.Hour)
	m.ends("crm", done(0))
	m.ends("ads", done(0))
	// Its flow from ads was on until ads took the opt-out; the broker's ended before.
	m.tells("adnet waiting email F", "meanwhile waiting email F")
	m.acknowledge("adnet")
	m.state(request.Running)
	m.acknowledge("meanwhile")
	m.closes(request.ResultComplete)
}

// Somebody who opts out by a cookie is not made known to a recipient that knows
// people by their addresses alone.
func TestOptOutTellsWhoKnowsThem_OO3(t *testing.T) {
	m := newSim(t, request.OptOutSaleShare, []string{"cookie_id"}, connector("ads", "cookie_id"))
	m.w.book = company(t)
	m.step()
	m.ends("ads", done(0))
	m.tells()
	m.closes(request.ResultComplete)
}

// A ledger that does not answer is asked again, and nothing is said before.
func TestSilentLedgerIsAskedAgain_OO3(t *testing.T) {
	m := onwardSim(t, request.Delete, "crm")
	m.silent = true
	m.ends("crm", done(2))
	m.state(request.Running)
	wake := m.s.Request.Wake()
	if wake.IsZero() || wake.After(m.w.now.Add(lookAgain)) {
		t.Fatalf("it wakes at %s", wake)
	}
	m.tells()
	m.silent = false
	m.pass(wake.Sub(m.w.now))
	m.tells("broker excused  B", "host waiting webhook A", "mailer waiting email AB")
	for range 3 { // and once is enough
		m.step()
	}
	m.tells("broker excused  B", "host waiting webhook A", "mailer waiting email AB")
}

// Without a book, and for rights that concern nobody else, nothing changes.
func TestNobodyToTell_DE3(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	m.ends("crm", done(2))
	m.tells()
	m.closes(request.ResultComplete)
	m = onwardSim(t, request.LimitSPI, "crm")
	m.ends("crm", done(2))
	m.tells()
	m.closes(request.ResultComplete)
}
