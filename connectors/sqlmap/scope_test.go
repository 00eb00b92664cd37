package sqlmap

import (
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// What a job leaves alone stays, with what it refers to; the rest goes.
func TestExcludedCollectionsStay_IN6_DE16(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(60));
CREATE TABLE visits (id INTEGER PRIMARY KEY, email VARCHAR(60), page VARCHAR(20));
CREATE TABLE bought (id INTEGER PRIMARY KEY, email VARCHAR(60), segment VARCHAR(20));
INSERT INTO people VALUES (1, 'a@example.com'), (2, 'b@example.com');
INSERT INTO visits VALUES (10, 'a@example.com', '/x'), (20, 'b@example.com', '/y');
INSERT INTO bought VALUES (30, 'a@example.com', 'runner'), (40, 'b@example.com', 'cook')`)
		c := db.connect(t, `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: visits
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: page, data_categories: [user.behavior]}
      - name: bought
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: segment, data_categories: [user.behavior]}
`)
		person := email("a@example.com").Without("bought")
		if err := c.Erase(t.Context(), person); err != nil {
			t.Fatal(err)
		}
		want(t, "erased", db.dump(t, "people", "visits", "bought"), []string{
			"bought[30 a@example.com runner]", "bought[40 b@example.com cook]", "people[2 b@example.com]", "visits[20 b@example.com /y]",
		})
		found, err := c.Locate(t.Context(), person)
		if err != nil || len(found) != 1 || found[0].Keep == nil || found[0].Count != 1 {
			t.Errorf("located afterwards: %+v, %v", found, err)
		}
		if err := c.Erase(t.Context(), email("a@example.com")); err != nil {
			t.Fatal(err)
		}
		want(t, "once it is reached", db.dump(t, "bought"), []string{"bought[40 b@example.com cook]"})
		if !c.Scopes() {
			t.Error("the connector does not say that it can")
		}
		var _ sdk.Scoped = c
	})
}
