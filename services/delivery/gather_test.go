package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

const companyFile = `
tenant: clientary
name: Clientary
vendors:
  - {name: Paylane, id: paylane, kind: payment processors, role: service_provider, contract: DPA-1,
     gets: [{from: billing, categories: [A, D], purpose: collecting payments, as: business_purpose, since: 2023-01-01}]}
  - {name: Brightfield, id: brightfield, kind: advertising networks, role: third_party, contract: TPA-1,
     gets: [{from: analytics, categories: [F, K], purpose: advertising across sites, as: shared, since: 2023-01-01}]}
  - {name: Handshake, id: handshake, kind: friends of the house, role: service_provider,
     gets: [{from: crm, categories: [A], as: business_purpose, since: 2023-01-01}]}
practices:
  - {category: A, sources: [you], purposes: [to run your account]}
  - {category: F, sources: [your browser], purposes: [to measure use]}
names_others:
  - {store: desk/tickets, fields: [handled_by]}
withhold:
  - {store: billing/notes, field: body, when: {kind: privileged}, what: advice of our lawyers, code: E-priv, facts: {assessment: weighed on 2026-11-02}}
  - {store: billing/notes, field: kind, what: something else, code: D8, facts: {legal_ref: none}}
  - {store: billing/notes, field: kind, what: something else, code: E-priv}
translations:
  es:
    you: usted
    payment processors: procesadores de pagos
    advertising networks: redes publicitarias
    advice of our lawyers: consejo de nuestros abogados
`

// withCompany configures a queue with the company's file and its ledger.
func withCompany(t *testing.T) func(*delivery.QueueConfig) {
	t.Helper()
	file, err := tenant.Parse("company.yaml", []byte(companyFile))
	if err != nil {
		t.Fatal(err)
	}
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	return func(c *delivery.QueueConfig) {
		c.Company, c.Regimes = &file.Tenant, set
		c.Ledger = &disclosure.Ledger{
			Book: disclosure.NewBook(&file.Tenant, time.UTC), Store: c.Store.(store.Disclosures), Keys: &suppression.List{Store: c.Store, Vault: c.Vault},
		}
	}
}

const hers = "jane.planted@example.com"

// person gives a request its person: an address, and the digest by which her
// other requests are found.
func person(n *store.New, key vault.DataKey) {
	n.Request.Sealed = key.SealIdentifiers(n.Request.ID, []request.Identifier{request.NewIdentifier(request.Email, hers)})
	n.People = [][]byte{[]byte("digest of the planted person 123")}
}

func (d *counter) announce(t *testing.T, m *habeasv1.Manifest) {
	t.Helper()
	text, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.store.PutConnector(t.Context(), store.Connector{Name: m.GetName(), Manifest: text, Key: []byte(m.GetName()), SeenAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func located(store, letter string, n int64) *habeasv1.StoreCount {
	return &habeasv1.StoreCount{Store: store, Category: letter, LocatedCount: n}
}

func gave(o delivery.Order) []string {
	var out []string
	for _, d := range o.Disclosures {
		out = append(out, fmt.Sprintf("%s %s %s %v", d.Category, d.Sense, d.To, d.ThirdParty))
	}
	return out
}

// KN-1, KN-2, VN-2: to whom data went follows from what was found of this
// person, and who has no contract is a third party that was sold to.
func TestDisclosuresOfThisPerson_KN2(t *testing.T) {
	for name, c := range map[string]struct {
		jobs []store.Job
		want []string
	}{
		"billing": {
			[]store.Job{job(t, "billing", request.ActionLocate, request.JobDone, done(located("invoices", "D", 2), located("customers", "A", 0)))},
			[]string{"D business_purpose payment processors false"},
		},
		"analytics and crm": {
			[]store.Job{
				job(t, "analytics", request.ActionLocate, request.JobDone, done(located("events", "F", 9))),
				job(t, "crm", request.ActionLocate, request.JobDone, done(located("contacts", "A", 1))),
			},
			[]string{"F shared advertising networks true", "A sold friends of the house true"},
		},
		"nothing": {[]store.Job{job(t, "crm", request.ActionLocate, request.JobNoMatch, done(located("contacts", "A", 0)))}, nil},
	} {
		d := newCounterWith(t, request.KnowCategories, withCompany(t), person, c.jobs...)
		o := d.next(t)
		if diff := cmp.Diff(c.want, gave(o)); diff != "" || !o.Recorded {
			t.Errorf("%s: recorded %v, disclosures (-want +got):\n%s", name, o.Recorded, diff)
		}
	}
}

// What is shared all the time was not of somebody who had opted out before the
// range began; what the ledger says of her in person was.
func TestOptedOutWasNotShared_KN2(t *testing.T) {
	jobs := []store.Job{job(t, "analytics", request.ActionLocate, request.JobDone, done(located("events", "F", 9)))}
	d := newCounterWith(t, request.KnowCategories, withCompany(t), func(n *store.New, key vault.DataKey) {
		person(n, key)
		n.Request.Terms.Since = request.Date{Year: 2026, Month: 3, Day: 1}
	}, jobs...)
	d.opted(t, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	o := d.next(t)
	if got := gave(o); len(got) != 0 {
		t.Errorf("she had opted out, and the report says %v", got)
	}
	later := newCounterWith(t, request.KnowCategories, withCompany(t), func(n *store.New, key vault.DataKey) {
		person(n, key)
		n.Request.Terms.Since = request.Date{Year: 2026, Month: 3, Day: 1}
	}, jobs...)
	later.opted(t, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	if got := gave(later.next(t)); len(got) != 1 {
		t.Errorf("she opted out within the range, and the report says %v", got)
	}
}

// opted stores an opt-out of the same person that was answered.
func (d *counter) opted(t *testing.T, at time.Time) {
	t.Helper()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := set.Terms("us-ca-ccpa", at, request.OptOutSaleShare, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	id := request.NewID()
	r, err := request.New(id, request.Submission{Regime: "us-ca-ccpa", Right: request.OptOutSaleShare, Channel: "web"}, terms)
	if err != nil {
		t.Fatal(err)
	}
	n := store.New{Request: store.Request{Request: r, Commitment: make([]byte, 32), CreatedAt: at, UpdatedAt: at, RespondBy: at}, People: [][]byte{[]byte("digest of the planted person 123")}}
	if _, err := d.store.Create(t.Context(), []store.New{n}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		s.Changed = true
		for _, to := range []request.State{request.Accepted, request.Running} {
			if err := s.Request.Move(to); err != nil {
				return err
			}
		}
		return s.Request.Close(request.Ending{Result: request.ResultComplete})
	}); err != nil {
		t.Fatal(err)
	}
}

// KN-7: what a store holds that was not searched is told in the words of its
// declaration, with its categories and the rule.
func TestUnsearchedIsDescribed_KN7(t *testing.T) {
	d := newCounterWith(t, request.KnowCategories, nil, func(n *store.New, _ vault.DataKey) {
		n.Request.Plan = []byte(`{"omissions": [
			{"connector": "crm", "reason": "not_searched:tapes+microfilm", "described": ["backups of invoices until 2019", "letters of before 1999"]},
			{"connector": "adtech", "reason": "needs_identifier", "kinds": ["cookie_id"]}]}`)
	}, job(t, "crm", request.ActionLocate, request.JobDone, done(located("contacts", "A", 1))))
	d.announce(t, &habeasv1.Manifest{Name: "crm", Stores: []*habeasv1.Store{{Name: "tapes", Categories: []*habeasv1.Category{{Letter: "D", Data: "user.transaction"}}}}})
	o := d.next(t)
	if got := o.Finer[delivery.Place{Connector: "crm", Store: "tapes", Category: "D"}]; len(got) != 1 || got[0] != "user.transaction" {
		t.Errorf("the finer categories are %v", o.Finer)
	}
	if len(o.Notes) != 3 {
		t.Fatalf("notes are %+v", o.Notes)
	}
	if n := o.Notes[0]; n.Kind != delivery.NoteNotSearched || n.Store != "tapes" || n.Basis != "11 CCR 7024(c)" || !strings.Contains(n.Reason, "backups of invoices until 2019") || len(n.Categories) != 1 || n.Categories[0] != "D" {
		t.Errorf("the note is %+v", n)
	}
	if n := o.Notes[1]; n.Store != "microfilm" || !strings.Contains(n.Reason, "letters of before 1999") {
		t.Errorf("the note is %+v", n)
	}
	result, err := d.room.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.queue.Done(t.Context(), o.RequestID, result); err != nil {
		t.Fatal(err)
	}
	page := d.download(t)["report.html"]
	for _, want := range []string{"Held, but not in this answer", "letters of before 1999", "nothing you gave us identifies you", "11 CCR 7024(c)"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}

// KN-3: a refusal to go back further is told with its facts; otherwise the
// person is told that she may ask for more.
func TestRangeIsTold_KN3(t *testing.T) {
	jobs := []store.Job{job(t, "crm", request.ActionLocate, request.JobDone, done(located("contacts", "A", 1)))}
	d := newCounterWith(t, request.KnowCategories, nil, func(n *store.New, _ vault.DataKey) {
		if err := n.Request.Narrow(map[string]string{"explanation": "older mail is on 4000 tapes", "hours": "900", "cost": "US$ 120,000"}); err != nil {
			t.Fatal(err)
		}
	}, jobs...)
	o := d.next(t)
	r, _, err := d.store.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	los, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	if !o.Since.Equal(r.Terms.Due.LookBackFrom.Start(los)) || len(o.Notes) != 1 || o.Notes[0].Kind != delivery.NoteOutOfRange || !strings.Contains(o.Notes[0].Reason, "4000 tapes") {
		t.Errorf("since %v with notes %+v, want twelve months and why", o.Since, o.Notes)
	}
	all := newCounter(t, request.KnowCategories, jobs...).next(t)
	if want := time.Date(2022, 1, 1, 0, 0, 0, 0, los); !all.Since.Equal(want) || len(all.Notes) != 0 {
		t.Errorf("everything begins %v with notes %+v, want %v", all.Since, all.Notes, want)
	}
}

// DE-13: what is held for a customer is the customer's to answer for. It is left
// out, and the person is told where and how much.
func TestHeldForACustomer_DE13_KN6(t *testing.T) {
	exported := part("run/0")
	exported.Parts = append(exported.Parts, &habeasv1.ExportPart{Object: "run/1", Store: "workspaces", RecordCount: 4, Size: 10, Sha256: make([]byte, 32)})
	d := newCounterWith(t, request.KnowSpecific, withCompany(t), person, job(t, "crm", request.ActionExport, request.JobDone, exported))
	d.announce(t, &habeasv1.Manifest{Name: "crm", Stores: []*habeasv1.Store{{Name: "workspaces", Role: habeasv1.Role_ROLE_SERVICE_PROVIDER}, {Name: "contacts"}}})
	o := d.next(t)
	if len(o.Parts) != 1 || o.Parts[0].Store != "contacts" {
		t.Errorf("parts are %+v", o.Parts)
	}
	if len(o.Notes) != 1 || o.Notes[0].Kind != delivery.NoteKept || o.Notes[0].Count != 4 || o.Notes[0].Store != "workspaces" || o.Notes[0].Basis != "11 CCR 7050" {
		t.Errorf("notes are %+v", o.Notes)
	}
}

// KN-6: of what the company's file leaves out only what has a basis for copies,
// with its facts, is left out.
func TestExceptionsOfTheCompany_KN6(t *testing.T) {
	d := newCounterWith(t, request.KnowSpecific, withCompany(t), func(n *store.New, key vault.DataKey) {
		person(n, key)
		n.Request.Case.Language = "es"
	}, job(t, "billing", request.ActionExport, request.JobDone, part("run/0")))
	o := d.next(t)
	want := []delivery.Withholding{{
		Connector: "billing", Store: "notes", Field: "body", When: map[string]string{"kind": "privileged"}, What: "consejo de nuestros abogados",
		Reason: "Está protegido por un privilegio probatorio, como el que existe entre abogado y cliente.", Basis: "Civ. Code 1798.145(b)",
	}}
	if diff := cmp.Diff(want, o.Withholdings); diff != "" {
		t.Error(diff)
	}
	if len(o.Own) != 1 || o.Own[0].Reveal() != hers || o.Language != "es" {
		t.Errorf("the order is of %d identifiers in %q", len(o.Own), o.Language)
	}
	if text := fmt.Sprintf("%v %+v", o, o); strings.Contains(text, hers) {
		t.Error("an order that is printed shows who it is about")
	}
}

// KN-10: fields that the company's file says name others come with the order.
func TestNamesOthersOfTheCompany_KN10(t *testing.T) {
	d := newCounterWith(t, request.KnowSpecific, withCompany(t), person, job(t, "billing", request.ActionExport, request.JobDone, part("run/0")))
	want := []delivery.NamesOthers{{Connector: "desk", Store: "tickets", Fields: []string{"handled_by"}}}
	if diff := cmp.Diff(want, d.next(t).NamesOthers); diff != "" {
		t.Error(diff)
	}
}

// CO-2: a statement made with one request is in the copy that another asks for.
func TestStatementOfAnotherRequest_CO2(t *testing.T) {
	d := newCounterWith(t, request.KnowSpecific, nil, person, job(t, "crm", request.ActionExport, request.JobNoMatch, done()))
	key, wrapped, err := d.vault.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC()
	terms, err := set.Terms("us-ca-ccpa", at, request.Correct, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	id := request.NewID()
	r, err := request.New(id, request.Submission{Regime: "us-ca-ccpa", Right: request.Correct, Channel: "web"}, terms)
	if err != nil {
		t.Fatal(err)
	}
	r.Case.Stated = true
	stated := store.Request{Request: r, WrappedKey: wrapped, Commitment: make([]byte, 32), CreatedAt: at, UpdatedAt: at, RespondBy: at}
	stated.Statements = key.SealStatements(id, []request.Correction{{Field: "diagnosis", Value: secret("It was an allergy.")}})
	if _, err := d.store.Create(t.Context(), []store.New{{Request: stated, People: [][]byte{[]byte("digest of the planted person 123")}}}); err != nil {
		t.Fatal(err)
	}
	o := d.next(t)
	if len(o.Statements) != 1 || o.Statements[0].Field != "diagnosis" || o.Statements[0].Text.Reveal() != "It was an allergy." {
		t.Errorf("statements are %+v", o.Statements)
	}
}

// KN-4: an answer that is to come by mail ends nothing until somebody mailed it;
// it is made once, can be printed meanwhile, and saying twice that it was mailed
// is saying it once.
func TestAnswerByMail_KN4(t *testing.T) {
	d := newCounterWith(t, request.KnowCategories, nil, func(n *store.New, _ vault.DataKey) {
		n.Request.Case.Answer = request.AnswerByMail
	}, job(t, "crm", request.ActionLocate, request.JobDone, done(located("contacts", "A", 3))))
	if err := d.queue.Posted(t.Context(), d.id, request.Mailed{}); !errors.Is(err, delivery.ErrNotForMail) {
		t.Errorf("before it was made it counts as mailed: %v", err)
	}
	o := d.next(t)
	result, err := d.room.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.queue.Done(t.Context(), o.RequestID, result); err != nil {
		t.Fatal(err)
	}
	state := func() store.Request {
		t.Helper()
		r, _, err := d.store.Get(t.Context(), d.id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := state(); r.State() != request.Packaging || r.Attention != store.AttentionMail || r.Ending != nil {
		t.Errorf("the request is %s with attention %q and ending %+v", r.State(), r.Attention, r.Ending)
	}
	if page := d.download(t)["report.html"]; !strings.Contains(page, "crm") {
		t.Error("there is nothing to print")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.queue.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it was handed out again: %v", err)
	}
	post := func(body string) int {
		w := httptest.NewRecorder()
		d.room.Handler(d.queue).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/requests/"+string(d.id)+"/package", strings.NewReader(body)))
		return w.Code
	}
	today := time.Now().UTC().Format(time.DateOnly)
	for body, want := range map[string]int{
		`{"on": "2001-01-01"}`: http.StatusUnprocessableEntity, `{"on": "2999-01-01"}`: http.StatusUnprocessableEntity, `{"on": "x"}`: http.StatusBadRequest,
		`{"tracking": "` + strings.Repeat("1", 101) + `"}`: http.StatusUnprocessableEntity, `{"tracking": "a\u0007b"}`: http.StatusUnprocessableEntity, `{"other": 1}`: http.StatusBadRequest,
	} {
		if code := post(body); code != want {
			t.Errorf("%s: status %d, want %d", body, code, want)
		}
	}
	if r := state(); r.State() != request.Packaging {
		t.Errorf("what was refused ended the request: %s", r.State())
	}
	for _, body := range []string{`{"on": "` + today + `", "tracking": " 1Z999 "}`, `{"tracking": "another"}`, ""} {
		if code := post(body); code != http.StatusNoContent {
			t.Errorf("status %d", code)
		}
	}
	if m := state().Case.Mailed; m == nil || m.On.String() != today || m.Tracking != "1Z999" {
		t.Errorf("mailed %+v", m)
	}
	if reason := state().Ending.Reason; !strings.Contains(reason, today) || strings.Contains(reason, "1Z999") {
		t.Errorf("the ending says %q", reason)
	}
	if r := state(); r.State() != request.Closing || r.Attention != "" || r.Ending.Result != request.ResultComplete || r.Ending.Code != delivery.CodeMailed {
		t.Errorf("the request is %s with attention %q and ending %+v", r.State(), r.Attention, r.Ending)
	}
	other := newCounter(t, request.KnowCategories)
	if err := other.queue.Posted(t.Context(), other.id, request.Mailed{}); !errors.Is(err, delivery.ErrNotForMail) {
		t.Errorf("an answer to fetch counts as mailed: %v", err)
	}
	if err := other.queue.Posted(t.Context(), request.NewID(), request.Mailed{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a request that is not there: %v", err)
	}
}
