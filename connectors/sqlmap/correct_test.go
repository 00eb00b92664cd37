package sqlmap

import (
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestCorrect(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(60), name VARCHAR(20), born INTEGER, nick TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), ship_to TEXT);
INSERT INTO people VALUES (1, 'a@example.com', 'Ann Wong', 1980, NULL), (2, 'b@example.com', 'Bob Wong', 1990, NULL);
INSERT INTO orders VALUES (10, 1, 'Ann Wong'), (11, 1, NULL), (20, 2, 'Bob Wong')`)
		c := db.connect(t, `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name], fides_meta: {length: 12}}
          - {name: born, data_categories: [user.demographic.date_of_birth], fides_meta: {data_type: integer}}
          - {name: nick, data_categories: [user.content], fides_meta: {read_only: true}}
      - name: orders
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: ship_to, data_categories: [user.name]}
`)
		correct := func(field, value string) error {
			return c.Correct(t.Context(), email("a@example.com"), []sdk.Correction{{Field: field, Value: sdk.Secret(value)}})
		}
		for field, value := range map[string]string{"user.name": "Ann Wang", "born": "1981"} {
			for range 2 {
				if err := correct(field, value); err != nil {
					t.Fatal(err)
				}
			}
		}
		// A category fills nothing in; a column named in full does.
		want(t, "corrected", db.dump(t, "people", "orders"), []string{
			"orders[10 1 Ann Wang]", "orders[11 1 <nil>]", "orders[20 2 Bob Wong]",
			"people[1 a@example.com Ann Wang 1981 <nil>]", "people[2 b@example.com Bob Wong 1990 <nil>]",
		})
		before := db.dump(t, "people", "orders")
		for field, wrong := range map[string][2]string{
			"name":             {"Annabella Quintessence", "longer than the 12 characters"},
			"born":             {"long ago", "not of the column's type"},
			"people.id":        {"3", "it is a key or a reference"},
			"orders.person_id": {"2", "it is a key or a reference"},
			"nick":             {"Anny", "read_only"},
			"user.phone":       {"1", "no collection has"},
		} {
			err := correct(field, wrong[0])
			if err == nil || !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Rejected || !strings.Contains(err.Error(), wrong[1]) || strings.Contains(err.Error(), wrong[0]) {
				t.Errorf("%s: error %v, want a rejection with %q", field, err, wrong[1])
			}
		}
		if err := c.Correct(t.Context(), email("nobody@example.com"), []sdk.Correction{{Field: "user.name", Value: "X"}}); err != nil {
			t.Errorf("correcting a stranger: %v", err)
		}
		want(t, "after what was refused", db.dump(t, "people", "orders"), before)
		if err := correct("orders.ship_to", "Ann"); err != nil {
			t.Fatal(err)
		}
		if err := correct("email", "Ann@new.example.com"); err != nil {
			t.Fatal(err)
		}
		want(t, "in full", db.dump(t, "orders"), []string{"orders[10 1 Ann]", "orders[11 1 Ann]", "orders[20 2 Bob Wong]"})
		want(t, "by the new address", located(t, c, email("ann@new.example.com")), []string{"people 1", "orders 2"})
	})
}

func TestCorrectLeavesSharedRowsAlone(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, sharedSchema)
		c := db.connect(t, sharedMap("owner: [contact_id]"))
		before := db.dump(t, "accounts")
		if err := c.Correct(t.Context(), email("ann@example.com"), []sdk.Correction{{Field: "name", Value: "Anne"}}); err != nil {
			t.Fatal(err)
		}
		want(t, "shared", db.dump(t, "accounts"), before)
		want(t, "own", db.dump(t, "contacts")[:1], []string{"contacts[1 1 ann@example.com Anne]"})
	})
}

func TestCasts(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want value
		ok   bool
	}{
		"integer": {" 007 ", int64(7), true}, "integer[]": {"x", int64(0), false}, "float": {"1.50", 1.5, true},
		"boolean": {"TRUE", "true", true}, "string": {"007", "007", true}, "": {"007", "007", true},
		"object_id": {"507F1F77BCF86CD799439011", "507f1f77bcf86cd799439011", true}, "object_id[]": {"507f", "507f", false},
	} {
		f := &field{meta: FieldMeta{DataType: name}}
		if got, ok := f.cast(test.in); ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %v, %t", name, got, ok)
		}
	}
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, "CREATE TABLE logs (id INTEGER PRIMARY KEY, person INTEGER, label TEXT);\nINSERT INTO logs VALUES (1, 7, 'x'), (2, 8, 'y')")
		c := db.connect(t, strings.Replace(mapOf("fields:", "  - {name: person, data_categories: [user.unique_id], fides_meta: {identity: user_id, data_type: integer}}"), "people", "logs", 1))
		user := func(id string) sdk.Person { return sdk.NewPerson(sdk.ID(sdk.UserID, id)) }
		want(t, "cast", located(t, c, user("007")), []string{"logs 1"})
		for _, id := range []string{"7.5", "seven", "99999999999999999999", "7 OR 1=1", "7\x00"} {
			want(t, id, located(t, c, user(id)), nil)
		}
	})
}
