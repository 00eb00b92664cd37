package sqlmap

import (
	"slices"
	"strings"
	"testing"
)

// TestPreview compares what a preview announces with what the erasure then
// does, and the database before it with the one after.
func TestPreview(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(80), name VARCHAR(80));
CREATE TABLE orders (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), paid VARCHAR(20), note VARCHAR(80));
INSERT INTO people VALUES (1, 'ann@example.com', 'Ann'), (2, 'bob@example.com', 'Bob');
INSERT INTO orders VALUES (1, 1, '2026-01-01', 'a'), (2, 1, '2001-01-01', 'b'), (3, 2, '2026-01-01', 'c'), (4, 1, '2002-01-01', 'd')`)
		c := db.connect(t, `dataset:
  - fides_key: shop
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
      - name: orders
        habeas: {retain: [{basis: tax, period: 7 years, from: paid, needs: [paid]}]}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - name: person_id
            fides_meta: {references: [{dataset: shop, field: people.id, direction: from}]}
          - {name: paid, data_categories: [user.transaction]}
          - {name: note, data_categories: [user.content]}
`)
		tables := []string{"people", "orders"}
		before := db.dump(t, tables...)
		p, err := c.Preview(t.Context(), email("ann@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, "the database after a preview", db.dump(t, tables...), before)
		var deleted, changed int64
		for _, s := range p.Statements {
			for _, value := range []string{"ann@", "Ann"} {
				if strings.Contains(s.SQL, value) {
					t.Errorf("a statement holds a value: %s", s.SQL)
				}
			}
			switch {
			case strings.Contains(s.SQL, "DELETE"):
				deleted += s.Rows
			case s.Writes:
				changed += s.Rows
			}
			if writes := strings.Contains(s.SQL, "DELETE") || strings.Contains(s.SQL, "UPDATE"); s.Writes != writes || s.Runs == 0 {
				t.Errorf("%+v", s)
			}
		}
		found := located(t, c, email("ann@example.com"))
		erase(t, c, email("ann@example.com"))
		after := db.dump(t, tables...)
		if gone := int64(len(before) - len(after)); deleted != gone || gone == 0 {
			t.Errorf("the preview says %d rows deleted, and %d were", deleted, gone)
		}
		different := int64(0)
		for _, line := range after {
			if !slices.Contains(before, line) {
				different++
			}
		}
		if changed != different || different == 0 {
			t.Errorf("the preview says %d rows changed, and %d were", changed, different)
		}
		if len(p.Found) != len(found) {
			t.Errorf("the preview found %v, Locate %v", p.Found, found)
		}
		if p, err := c.Preview(t.Context(), email("nobody@example.com")); err != nil || len(p.Found) > 0 {
			t.Errorf("a stranger: %+v, %v", p, err)
		}
	})
}
