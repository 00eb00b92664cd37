package sqlmap

import (
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestCorrected_CO1(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(60), name VARCHAR(20), born INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), ship_to VARCHAR(20));
INSERT INTO people VALUES (1, 'a@example.com', 'Ann Wong', 1980), (2, 'b@example.com', 'Bob Wong', 1990);
INSERT INTO orders VALUES (10, 1, 'Ann Wong'), (11, 1, NULL), (20, 2, 'Bob Wong')`)
		c := db.connect(t, `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
          - {name: born, data_categories: [user.demographic.date_of_birth], fides_meta: {data_type: integer}}
      - name: orders
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: ship_to, data_categories: [user.name]}
`)
		looks := func(field, value string, wantHeld, wantWrong int64) {
			t.Helper()
			held, wrong, err := c.Corrected(t.Context(), email("a@example.com"), []sdk.Correction{{Field: field, Value: sdk.Secret(value)}})
			if err != nil || held != wantHeld || wrong != wantWrong {
				t.Errorf("%s: %d held and %d wrong, %v; want %d and %d", field, held, wrong, err, wantHeld, wantWrong)
			}
		}
		looks("user.name", "Ann Wang", 2, 2)
		looks("user.name", "Ann Wong", 2, 0)
		looks("born", "1981", 1, 1)
		looks("born", "long ago", 1, 1)
		looks("orders.ship_to", "Ann Wong", 2, 1) // named in full, it is to be filled in as well
		looks("user.phone", "1", 0, 0)
		if err := c.Correct(t.Context(), email("a@example.com"), []sdk.Correction{{Field: "user.name", Value: "Ann Wang"}}); err != nil {
			t.Fatal(err)
		}
		looks("user.name", "Ann Wang", 2, 0)
		if held, wrong, err := c.Corrected(t.Context(), email("nobody@example.com"), []sdk.Correction{{Field: "user.name", Value: "X"}}); held+wrong != 0 || err != nil {
			t.Errorf("a stranger: %d, %d, %v", held, wrong, err)
		}
	})
}
