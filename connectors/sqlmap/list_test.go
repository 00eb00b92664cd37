package sqlmap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// roster has two tables of people: one by number with names and births, one by
// text with what has no number of the company's.
const roster = `
CREATE TABLE members (id INTEGER PRIMARY KEY, number VARCHAR(40), email VARCHAR(80), first VARCHAR(40), last VARCHAR(40), born VARCHAR(40), zip VARCHAR(10), vin VARCHAR(20));
CREATE TABLE leads (code VARCHAR(40) PRIMARY KEY, number VARCHAR(40), phone VARCHAR(40));
INSERT INTO members VALUES (-1, 'c-1', 'ada@example.com', 'Ada', 'King', '1985-07-04 00:00:00', '91790', NULL),
	(0, 'c-2', NULL, 'Bo', 'Li', NULL, '94110', NULL), (7, 'c-3', NULL, 'Cy', 'Oh', NULL, NULL, '1HGCM82633A004352'),
	(8, 'c-4', NULL, NULL, NULL, NULL, NULL, NULL), (9, NULL, ' eve@example.com ', NULL, NULL, NULL, NULL, NULL);
INSERT INTO leads VALUES ('a', 'c-1', '+14155550100'), ('B', 'c-9', NULL), ('c', NULL, '+14155550101');
`

const rosterMap = `
dataset:
  - fides_key: roster
    collections:
      - name: members
        habeas:
          list: {key: number, identifiers: {customer_id: number}, emails: [email], names: [{first: first, last: last}], births: [born], zips: [zip], vins: [vin]}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: number, data_categories: [user.unique_id], fides_meta: {identity: customer_id}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: first, data_categories: [user.name.first]}
          - {name: last, data_categories: [user.name.last]}
          - {name: born, data_categories: [user.demographic.date_of_birth]}
          - {name: zip, data_categories: [user.contact.address.postal_code]}
          - {name: vin, data_categories: [user.unique_id]}
      - name: leads
        habeas: {list: {key: number, identifiers: {customer_id: number}, phones: [phone]}}
        fields:
          - {name: code, fides_meta: {primary_key: true}}
          - {name: number, data_categories: [user.unique_id], fides_meta: {identity: customer_id}}
          - {name: phone, data_categories: [user.contact.phone_number], fides_meta: {identity: phone}}
`

// shown is a person of a list as one line.
func shown(h sdk.Held) string {
	parts := []string{h.Key.Reveal()}
	if strings.HasPrefix(parts[0], "leads:") { // which SQLite numbers
		parts[0] = "leads:?"
	}
	for _, of := range [][]sdk.Secret{h.Emails, h.Phones, h.Births, h.ZIPs, h.VINs} {
		for _, v := range of {
			parts = append(parts, v.Reveal())
		}
	}
	for _, n := range h.Names {
		parts = append(parts, n.First.Reveal()+" "+n.Last.Reveal())
	}
	for _, id := range h.Identifiers {
		parts = append(parts, string(id.Kind)+"="+id.Value.Reveal())
	}
	return strings.Join(parts, " ")
}

func listed(t *testing.T, c *Connector, most int) (all []string) {
	t.Helper()
	for after, pages := []byte(nil), 0; pages == 0 || len(after) > 0; pages++ {
		l, err := c.List(t.Context(), after, most)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.People) > most || pages > 50 {
			t.Fatalf("page %d has %d people of %d at most", pages, len(l.People), most)
		}
		for _, h := range l.People {
			all = append(all, shown(h))
		}
		after = l.Next
	}
	slices.Sort(all)
	return all
}

// Nobody whom a list can name is left out, whoever can't be named is; a row
// without the company's number is nobody else's.
func TestList_DR4(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, roster)
		c := db.connect(t, rosterMap)
		people := []string{
			"c-1 +14155550100 customer_id=c-1",
			"c-1 ada@example.com 1985-07-04 91790 Ada King customer_id=c-1",
			"c-3 1HGCM82633A004352 Cy Oh customer_id=c-3",
			"leads:? +14155550101",
			"members:9 eve@example.com",
		}
		for _, most := range []int{1, 2, 3, 100} {
			want(t, fmt.Sprintf("listed by %d", most), listed(t, c, most), people)
		}
		// Rows that come and go between pages make nobody else be passed over.
		l, err := c.List(t.Context(), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		db.exec(t, "DELETE FROM members WHERE id = -1;\nINSERT INTO members VALUES (-5, 'c-0', 'new@example.com', NULL, NULL, NULL, NULL, NULL)")
		rest, err := c.List(t.Context(), l.Next, 100)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "the second page", []string{shown(rest.People[0]), shown(rest.People[1])}, []string{people[2], people[4]})
	})
}

func TestListRefuses(t *testing.T) {
	for change, wrong := range map[[2]string]string{
		{"key: number, identifiers: {customer_id: number}, phones: [phone]", "key: number, phones: [phone]"}:                                 "identifiers",
		{"phones: [phone]", "phones: [telephone]"}:                                                                                           "no column telephone",
		{"phones: [phone]}", "zips: [phone]}"}:                                                                                               "can name somebody by",
		{"habeas: {list: {key: number", "habeas: {role: service_provider, list: {key: number"}:                                               "the customer's",
		{"names: [{first: first, last: last}]", "names: [{first: first, last: surname}]"}:                                                    "no column surname",
		{"list: {key: number, identifiers: {customer_id: number}, emails", "list: {key: nobody, identifiers: {customer_id: number}, emails"}: "no column nobody",
	} {
		if !strings.Contains(rosterMap, change[0]) {
			t.Fatalf("the map has no %q", change[0])
		}
		_, err := ParseMap("roster.map.yaml", []byte(strings.Replace(rosterMap, change[0], change[1], 1)))
		if err == nil || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "roster.map.yaml:") {
			t.Errorf("%s: %v; want %q with its line", change[1], err, wrong)
		}
	}
	db := newSQLite(t)
	db.exec(t, roster)
	c := db.connect(t, rosterMap)
	if _, err := c.List(t.Context(), []byte("what is this"), 1); !sdk.IsPermanent(err) {
		t.Errorf("a place that was never given out: %v", err)
	}
	db.exec(t, shop)
	if db.connect(t, shopMap).Lists() {
		t.Error("a map without list says that it lists")
	}
}

// Rows that can't be told apart for good can't be read on from.
func TestListWantsAKey(t *testing.T) {
	db := newPostgres(t)
	db.exec(t, strings.Replace(roster, "code VARCHAR(40) PRIMARY KEY", "code VARCHAR(40)", 1))
	m, err := ParseMap("roster.map.yaml", []byte(strings.Replace(rosterMap, "{name: code, fides_meta: {primary_key: true}}", "{name: code}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Name: "roster", Version: "1", Database: db.address, Map: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // only read from
	if _, err := c.List(t.Context(), nil, 1); err == nil || !strings.Contains(err.Error(), "one column") {
		t.Errorf("a table without a key: %v", err)
	}
}
