package delivery_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/request"
)

func secret(text string) request.Secret { return request.NewSecret(text) }

// CO-2: what a person had said about a disputed item goes with the item, in
// every form the copy has, and what may never be disclosed not even then.
func TestStatementTravels_CO2(t *testing.T) {
	f := newFixture(t)
	f.part("clinic", "results", fields{"diagnosis", "asthma", "on", "2024-05-02"})
	f.part("clinic", "visits", fields{"on", "2024-05-02"})
	f.order.Statements = []delivery.Statement{
		{Field: "diagnosis", Text: secret("It was an allergy, <b>not</b> asthma.")},
		{Field: "results.on", Text: secret("It was in June. My number is 078-05-1120.")},
	}
	p := f.build()
	page := p.files["report.html"]
	checkHTML(t, page)
	results, visits, ok := strings.Cut(page, "<bdi>clinic</bdi>: <bdi>visits</bdi>")
	if !ok || !strings.Contains(results, "It was an allergy, &lt;b&gt;not&lt;/b&gt; asthma.") || !strings.Contains(results, "Your statement about &#34;diagnosis&#34;") {
		t.Errorf("the statement does not stand with its item: %s", page)
	}
	if held, _, _ := strings.Cut(visits, `id="statements"`); strings.Contains(held, "Your statement about") {
		t.Error("a statement stands with an item it is not about")
	}
	want := "\ufefffield,statement\r\ndiagnosis,\"It was an allergy, <b>not</b> asthma.\"\r\nresults.on,[withheld: Social Security number]\r\n"
	if d := cmp.Diff(want, strings.ReplaceAll(p.files["statements.csv"], `"[withheld: Social Security number]"`, "[withheld: Social Security number]")); d != "" {
		t.Error(d)
	}
	if data := p.files["data.json"]; !strings.Contains(data, `"statements":[{"field":"diagnosis","text":"It was an allergy, <b>not</b> asthma.","stores":["clinic: results"]}`) {
		t.Errorf("data.json: %.2000s", data)
	}
	for name, text := range p.files {
		if strings.Contains(text, "078-05-1120") {
			t.Errorf("%s has the number", name)
		}
	}
	if files := newFixture(t).build().files; files["statements.csv"] != "" {
		t.Error("a package without statements has a file for them")
	}
}

// CO-2: what the portal calls a disputed item finds the columns that hold it.
func TestStatementFindsItsItem_CO2(t *testing.T) {
	for _, c := range []struct {
		disputed, column string
		want             bool
	}{
		{"phone", "Phone", true}, {"contacts.phone", "phone", true}, {"deals.phone", "phone", false},
		{"user.contact.phone_number", "phone", true}, {"user.contact.phone_number", "homePhoneNumber", true}, {"user.contact.phone_number", "number_of_seats", false},
		{"user.contact.address.city", "bill_city", true}, {"user.name", "email", false}, {"as_described", "name", false}, {"user.name", "", false},
	} {
		if got := delivery.IsAbout(c.disputed, "contacts", c.column); got != c.want {
			t.Errorf("that %s is about %q is %v", c.disputed, c.column, got)
		}
	}
}

// KN-10: an address of somebody else in the person's records stays theirs; her
// own and those of offices are left.
func TestOthersStayTheirs_KN10(t *testing.T) {
	f := newFixture(t)
	f.order.Own = []request.Identifier{request.NewIdentifier(request.Email, "jane@example.com"), request.NewIdentifier(request.Phone, "+14155550100")}
	f.part("crm", "threads", fields{
		"owner_email", "second@example.com",
		"to", `Bob Marsh <bob@other.example>, "Jane" <Jane@Example.com>`,
		"body", "Jane (jane@example.com) wrote to bob@other.example and support@clientary.example.",
		"thread", map[string]any{"participants": []string{"jane@example.com", "eve@third.example"}, "count": 2},
	})
	p := f.build()
	record := p.data(t).Stores[0].Records[0].Fields
	for field, want := range map[string]string{
		"owner_email": `"second@example.com"`,
		"to":          `"[another person's e-mail address], \"Jane\" <Jane@Example.com>"`,
		"body":        `"Jane (jane@example.com) wrote to [another person's e-mail address] and support@clientary.example."`,
		"thread":      `{"count":2,"participants":["jane@example.com","[another person's e-mail address]"]}`,
	} {
		if d := cmp.Diff(want, string(record[field])); d != "" {
			t.Errorf("%s: %s", field, d)
		}
	}
	var kinds []string
	for _, w := range p.result.Withheld {
		kinds = append(kinds, w.Field+" "+w.Kind+" "+w.Basis)
	}
	want := []string{
		"body another person's e-mail address Civ. Code 1798.145(k)", "thread another person's e-mail address Civ. Code 1798.145(k)",
		"to another person's e-mail address Civ. Code 1798.145(k)",
	}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Error(d)
	}
	for name, text := range p.files {
		for _, other := range []string{"bob@other", "Bob Marsh", "eve@third"} {
			if strings.Contains(text, other) {
				t.Errorf("%s has %q", name, other)
			}
		}
	}
}

// KN-6: what is privileged is left out with its basis and reason; the rest of
// the record, and the records it does not concern, are disclosed.
func TestPartialDenial_KN6(t *testing.T) {
	f := newFixture(t)
	f.part("billing", "notes",
		fields{"kind", "privileged", "written", "2026-03-01", "body", "Counsel thinks that we lose."},
		fields{"kind", "call", "written", "2026-03-02", "body", "Asked for a refund."},
		fields{"kind", withheld("account secret"), "body", "Nobody knows what this is."},
	)
	f.order.Withholdings = []delivery.Withholding{{
		Connector: "billing", Store: "notes", Field: "body", When: map[string]string{"kind": "privileged"},
		What: "advice of our lawyers", Reason: "It is protected by an evidentiary privilege.", Basis: "Civ. Code 1798.145(b)",
	}}
	p := f.build()
	records := p.data(t).Stores[0].Records
	if got := string(records[0].Fields["body"]); got != `{"collected":true,"withheld":"Civ. Code 1798.145(b)","kind":"advice of our lawyers"}` {
		t.Errorf("the privileged note: %s", got)
	}
	if string(records[0].Fields["written"]) != `"2026-03-01"` || string(records[1].Fields["body"]) != `"Asked for a refund."` {
		t.Errorf("the rest is not there: %s", p.files["data.json"])
	}
	if got := string(records[2].Fields["body"]); !strings.Contains(got, "advice of our lawyers") {
		t.Errorf("a note whose kind can't be read was disclosed: %s", got)
	}
	for name, text := range p.files {
		if strings.Contains(text, "Counsel thinks") {
			t.Errorf("%s has the note", name)
		}
	}
	var shown bool
	for _, w := range p.result.Withheld {
		shown = shown || w.Kind == "advice of our lawyers" && w.FoundBy == "exception" && w.Count == 2 && w.Reason != ""
	}
	if page := p.files["report.html"]; !shown || !strings.Contains(page, "Civ. Code 1798.145(b): It is protected by an evidentiary privilege.") || !strings.Contains(page, "advice of our lawyers") {
		t.Errorf("the person does not learn what is withheld and why: %+v", p.result.Withheld)
	}
}
