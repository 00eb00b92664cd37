package sqlmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// TestFidesDefects has every known defect of the peer come out right.
func TestFidesDefects(t *testing.T) {
	tests := map[string]func(*testing.T){
		"D1": partsOfKeys, "D2": falseKeys, "D3": segments, "D4": untypedFields, "D5": categoriesOfCollections,
		"D6": afterOthers, "D7": circles, "D8": personalKeys, "D9": otherPeoplesRows,
	}
	for _, d := range loadVectors(t).Defects {
		if tests[d.ID] == nil {
			t.Errorf("no test for %s: %s", d.ID, d.What)
			continue
		}
		t.Run(d.ID, tests[d.ID])
		delete(tests, d.ID)
	}
	for id := range tests {
		t.Errorf("the vectors have no %s", id)
	}
}

const compositeMap = `
  - fides_key: more
    collections:
      - name: composite_pk_test
        fields:
          - {name: id_a, fides_meta: {primary_key: true}}
          - {name: id_b, fides_meta: {primary_key: true}}
          - {name: description, data_categories: [user.content]}
          - {name: customer_id, fides_meta: {references: [{dataset: postgres_example_test_dataset, field: customer.id, direction: from}]}}
`

// partsOfKeys: a key of several parts of which one is 0.
func partsOfKeys(t *testing.T) {
	rows := func(t *testing.T) (*testDB, *Map) {
		db := peerDatabase(t)
		db.exec(t, "DELETE FROM composite_pk_test;\nINSERT INTO composite_pk_test VALUES (1,0,'linked to customer 1',1),(1,11,'linked to customer 2',2),(2,10,'linked to customer 3',3)")
		m, err := readMap("dataset.yml", append(vectors(t, peerDataset), compositeMap...))
		if err != nil {
			t.Fatal(err)
		}
		return db, m
	}
	for _, how := range []struct {
		erase Method
		left  string
	}{{"", ""}, {Null, "composite_pk_test[1 0 <nil> <nil>]"}} {
		db, m := rows(t)
		m.Datasets[1].Collections[0].Habeas.Erase = how.erase
		erase(t, db.with(t, m), email("customer-1@example.com"))
		wanted := []string{"composite_pk_test[1 11 linked to customer 2 2]", "composite_pk_test[2 10 linked to customer 3 3]"}
		if how.left != "" {
			wanted = append([]string{how.left}, wanted...)
		}
		want(t, "rows", db.dump(t, "composite_pk_test"), wanted)
	}
}

// falseKeys: a reference by the value 0.
func falseKeys(t *testing.T) {
	db := peerDatabase(t)
	db.exec(t, "INSERT INTO customer VALUES (0, 'zero@example.com', 'Zero', NULL, NULL);\nINSERT INTO orders VALUES ('ord_zero', 0, NULL, NULL), ('', 0, NULL, NULL)")
	c := db.connect(t, string(vectors(t, peerDataset)))
	want(t, "located", located(t, c, email("zero@example.com")), []string{"customer 1", "orders 2"})
}

// segments: categories match by dotted segment.
func segments(t *testing.T) {
	for category, in := range map[string]bool{"user.device.cookie": true, "user.device.cookie.first_party": true, "user.device.cookie_id": false, "user.device": false} {
		if within(category, "user.device.cookie") != in {
			t.Errorf("%s within user.device.cookie: want %t", category, in)
		}
	}
}

// untypedFields: masking where the map gives no data_type empties the columns
// all the same, or says at plan time that it can't.
func untypedFields(t *testing.T) {
	db := peerDatabase(t)
	db.exec(t, "UPDATE customer SET address_id = 3 WHERE id = 1;\nUPDATE employee SET address_id = NULL")
	masked := func(m *Map, names ...string) *Map {
		d := &m.Datasets[0]
		i := slices.IndexFunc(d.Collections, func(c Collection) bool { return c.Name == "address" })
		for j := range d.Collections[i].Fields {
			if f := &d.Collections[i].Fields[j]; slices.Contains(names, f.Name) {
				f.FidesMeta = &FieldMeta{Masking: &MaskingOverride{Strategy: "hmac"}}
			}
		}
		d.Collections[i].Habeas.Erase = Deidentify
		d.Collections[i].Habeas.Owner = []string{"any"}
		return m
	}
	load := func() *Map {
		m, err := readMap("dataset.yml", vectors(t, peerDataset))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	_, err := db.tryMap(t, masked(load(), "house"))
	var wrong *MapError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "field house has the strategy hmac") || wrong.Line == 0 {
		t.Errorf("a strategy that the column can't take: %v", err)
	}
	c := db.with(t, masked(load(), "city", "street", "state", "zip"))
	erase(t, c, email("customer-1@example.com"))
	left := strings.Join(db.dump(t, "address"), "\n")
	for _, gone := range []string{"[3 555 ", "Example Ave", "Example City", "12000"} {
		if strings.Contains(left, gone) {
			t.Errorf("%q is still in the addresses", gone)
		}
	}
	// Where nobody says whose a shared row is, what was not erased is reported.
	db = peerDatabase(t)
	want(t, "located", located(t, db.connect(t, string(vectors(t, peerDataset))), email("customer-2@example.com"))[:1], []string{"address 2 shared-record"})
}

// categoriesOfCollections: what a collection says goes for copies and for
// erasure alike.
func categoriesOfCollections(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, "CREATE TABLE notes (id INTEGER PRIMARY KEY, email TEXT, body TEXT, kind TEXT);\nINSERT INTO notes VALUES (1, 'a@example.com', 'b', 'k'), (2, 'b@example.com', 'b', 'k')")
		text := `
dataset:
  - fides_key: d
    collections:
      - name: notes
        data_categories: [user.content]
        habeas: {erase: METHOD}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, fides_meta: {identity: email}}
          - {name: body}
          - {name: kind, data_categories: [system.operations]}
`
		c := db.connect(t, strings.Replace(text, "METHOD", "null", 1))
		b := &basket{}
		if err := c.Export(t.Context(), email("a@example.com"), b); err != nil {
			t.Fatal(err)
		}
		want(t, "copied", b.lines, []string{"notes id=1 email=a@example.com body=b kind=k"})
		erase(t, c, email("a@example.com"))
		erase(t, db.connect(t, strings.Replace(text, "METHOD", "delete", 1)), email("b@example.com"))
		want(t, "left", db.dump(t, "notes"), []string{"notes[1 <nil> <nil> k]"})
	})
}

// afterOthers: after decides the order in which collections are read.
func afterOthers(t *testing.T) {
	text := strings.Replace(string(vectors(t, peerDataset)), "- name: customer\n", "- name: customer\n        fides_meta: {after: [postgres_example_test_dataset.visit, postgres_example_test_dataset.report]}\n", 1)
	m, err := ParseMap("dataset.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	g, err := compile(m)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) int {
		return slices.IndexFunc(g.reading, func(c *collection) bool { return c.spec.Name == name })
	}
	if len(g.reading) != len(g.collections) || at("customer") < at("visit") || at("customer") < at("report") {
		t.Errorf("customer is read %d., visit %d., report %d.", at("customer"), at("visit"), at("report"))
	}
	// Whole datasets, too.
	two := `
dataset:
  - {fides_key: a, fides_meta: {after: [b]}, collections: [{name: x, fields: [{name: id, fides_meta: {identity: email}}]}]}
  - {fides_key: b, collections: [{name: y, fields: [{name: id, fides_meta: {identity: email}}]}]}
`
	if m, err = ParseMap("two.yml", []byte(two)); err != nil {
		t.Fatal(err)
	}
	if g, err = compile(m); err != nil || at("x") < at("y") {
		t.Errorf("dataset a is read before b (%v)", err)
	}
	for text, wrong := range map[string]string{
		strings.Replace(two, "after: [b]", "after: [c]", 1):                                                                       "two.yml:3: after: there is no dataset c",
		strings.Replace(two, "{fides_key: b,", "{fides_key: b, fides_meta: {after: [a]},", 1):                                     "make a circle",
		strings.Replace(two, "name: y,", "name: y, fides_meta: {after: [a.x]},", 1):                                               "make a circle",
		strings.Replace(two, "{identity: email}", "{identity: email, references: [{dataset: b, field: z.id, direction: to}]}", 1): "referenced object b:z does not exist",
	} {
		if _, err := ParseMap("two.yml", []byte(text)); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("got error %v, want %q", err, wrong)
		}
	}
}

// circles: references that come back to where they began are followed until
// nothing new is found.
func circles(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE ds_1 (f1 INTEGER PRIMARY KEY, f2 TEXT, f3 INTEGER);
CREATE TABLE ds_2 (f1 INTEGER PRIMARY KEY, f2 INTEGER);
CREATE TABLE ds_3 (f2 INTEGER PRIMARY KEY, f3 INTEGER);
INSERT INTO ds_1 VALUES (1, 'a@example.com', 10), (2, NULL, 11), (3, NULL, 10), (4, 'b@example.com', 12);
INSERT INTO ds_2 VALUES (1, 100), (2, 101), (4, 102);
INSERT INTO ds_3 VALUES (100, 11), (101, 10), (102, 12)`)
		c := db.connect(t, fidesMaps["circular A->B->C->A"])
		p, err := c.bound(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		person := email("a@example.com")
		reaches, err := newWalk(p, c.db, person.Kinds(), false).run(t.Context(), []sdk.Person{person})
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, v := range reaches[0].order {
			counts[v.row.c.spec.Name]++
		}
		if fmt.Sprint(counts) != "map[ds_1:3 ds_2:2 ds_3:2]" {
			t.Errorf("reached %v", counts)
		}
	})
}

// personalKeys: what can't be emptied is refused before anything is touched.
func personalKeys(t *testing.T) {
	db := peerDatabase(t)
	before := db.dump(t, "customer", "orders", "login", "payment_card", "address", "visit")
	_, err := db.tryMap(t, targeting(t, string(vectors(t, peerDataset)), "user"))
	var wrong *MapError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "is part of the primary key") || wrong.Line == 0 {
		t.Errorf("got error %v, want a refusal at plan time", err)
	}
	want(t, "tables", db.dump(t, "customer", "orders", "login", "payment_card", "address", "visit"), before)
}

// otherPeoplesRows: what other people reach as well is held, and reported.
func otherPeoplesRows(t *testing.T) {
	db := peerDatabase(t)
	c := db.connect(t, string(vectors(t, peerDataset)))
	customer := email("customer-1@example.com")
	want(t, "located", located(t, c, customer), []string{
		"address 2 shared-record", "customer 1", "login 6", "orders 3", "order_item 4", "payment_card 1", "service_request 1 shared-record", "visit 1",
	})
	tables := []string{"address", "customer", "employee", "login", "orders", "order_item", "payment_card", "product", "report", "service_request", "visit", "composite_pk_test"}
	others := slices.DeleteFunc(db.dump(t, tables...), func(line string) bool {
		return strings.HasPrefix(line, "customer[1 ") || strings.HasPrefix(line, "visit[customer-1@") ||
			strings.HasPrefix(line, "payment_card[pay_aaa") || strings.HasPrefix(line, "orders[ord_aaa") || strings.HasPrefix(line, "orders[ord_ccc") || strings.HasPrefix(line, "orders[ord_ddd-ddd") ||
			strings.HasPrefix(line, "order_item[ord_aaa") || strings.HasPrefix(line, "order_item[ord_ccc") || strings.HasPrefix(line, "order_item[ord_ddd-ddd") ||
			strings.HasPrefix(line, "login[") && strings.Contains(line, " 1 2021")
	})
	erase(t, c, customer)
	want(t, "everybody else", db.dump(t, tables...), others)
	erase(t, c, customer)
	// An owner rule says otherwise.
	m, err := readMap("dataset.yml", vectors(t, peerDataset))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Datasets[0].Collections {
		if col := &m.Datasets[0].Collections[i]; col.Name == "address" {
			col.Habeas.Owner = []string{"customer.address_id"}
		}
	}
	db = peerDatabase(t)
	want(t, "by owner", located(t, db.with(t, m), customer)[:1], []string{"address 1"})
}
