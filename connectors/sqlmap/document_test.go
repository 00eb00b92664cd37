package sqlmap

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// profiles is a table whose people and orders are inside documents: an address
// in an array, an identifier deeper down, an order's number in an array of
// objects.
const profiles = `
CREATE TABLE profiles (id INTEGER PRIMARY KEY, doc JSON, tags JSON);
CREATE TABLE orders (no VARCHAR(20) PRIMARY KEY, note TEXT);
CREATE TABLE lists (id INTEGER PRIMARY KEY, name TEXT, members JSON);
INSERT INTO profiles VALUES
	(1, '{"contact": {"emails": ["Ann@Example.com", "ann@work.example.com"], "city": "Reno"}, "orders": [{"no": "o1"}, {"no": "o2"}], "score": 5}', '["vip"]'),
	(2, '{"contact": {"emails": ["bob@example.com"]}, "orders": [{"no": "o3"}, {"no": "it''s"}]}', '[]'),
	(3, '{"contact": {"emails": "cid@example.com", "city": null}, "orders": {"no": 7}}', NULL),
	(4, NULL, NULL), (5, '{}', '[]');
INSERT INTO orders VALUES ('o1', 'for Ann'), ('o2', 'for Ann'), ('o3', 'for Bob'), ('it''s', 'for Bob'), ('7', 'for Cid'), ('o9', 'for nobody');
INSERT INTO lists VALUES (1, 'one', '[1, 2]'), (2, 'two', '[1]'), (3, 'three', '[2, 3]'), (4, 'four', '[]')`

const profilesMap = `
dataset:
  - fides_key: docs
    collections:
      - name: profiles
        habeas: {METHOD}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - name: doc
            fides_meta: {data_type: object}
            fields:
              - name: contact
                fields:
                  - {name: emails, data_categories: [user.contact.email], fides_meta: {identity: email, data_type: 'string[]'}}
                  - {name: city, data_categories: [user.contact.address.city]}
              - name: orders
                fides_meta: {data_type: 'object[]'}
                fields:
                  - {name: no, fides_meta: {references: [{dataset: docs, field: orders.no, direction: to}]}}
              - {name: score}
      - name: orders
        fields:
          - {name: no, fides_meta: {primary_key: true}}
          - {name: note, data_categories: [user.content]}
      - name: lists
        habeas: {owner: [any]}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: name, data_categories: [user.content]}
          - {name: members, fides_meta: {data_type: 'integer[]', references: [{dataset: docs, field: profiles.id, direction: from}]}}
`

func TestDocuments(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, profiles)
		c := db.connect(t, strings.Replace(profilesMap, "METHOD", "", 1))
		for person, found := range map[string][]string{
			"ann@example.com":      {"profiles 1", "orders 2", "lists 2"},
			"ann@work.example.com": {"profiles 1", "orders 2", "lists 2"},
			"bob@example.com":      {"profiles 1", "orders 2", "lists 2"},
			"cid@example.com":      {"profiles 1", "orders 1", "lists 1"},
			"example.com":          nil,
			"emails":               nil,
		} {
			want(t, person, located(t, c, email(person)), found)
		}
		erase(t, c, email("ann@work.example.com"))
		want(t, "left", db.dump(t, "orders", "lists"), []string{
			"lists[3 three [2, 3]]", "lists[4 four []]",
			"orders[7 for Cid]", "orders[it's for Bob]", "orders[o3 for Bob]", "orders[o9 for nobody]",
		})
		want(t, "located", located(t, c, email("ann@example.com")), nil)
	})
}

func TestDocumentsAreEmptiedByPart(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, profiles)
		c := db.connect(t, strings.Replace(profilesMap, "METHOD", "erase: deidentify", 1))
		erase(t, c, email("ann@example.com"))
		var text string
		if err := db.plain.QueryRowContext(t.Context(), "SELECT doc FROM profiles WHERE id = 1").Scan(&text); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		wanted := map[string]any{
			"contact": map[string]any{"city": nil, "emails": []any{nil, nil}},
			"orders":  []any{map[string]any{"no": "o1"}, map[string]any{"no": "o2"}},
			"score":   float64(5),
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
		want(t, "located", located(t, c, email("ann@example.com")), nil)
		want(t, "others", located(t, c, email("bob@example.com")), []string{"profiles 1", "orders 2", "lists 1"})
	})
}

func TestDocumentsAreCopiedWithoutWhatIsWithheld(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, doc JSON);
INSERT INTO people VALUES (1, '{"email": "a@example.com", "cards": [{"no": "4111", "brand": "visa"}, {"no": null}], "inner": "x"}')`)
		c := db.connect(t, `
dataset:
  - fides_key: d
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - name: doc
            fields:
              - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
              - name: cards
                fides_meta: {data_type: 'object[]'}
                fields: [{name: no, data_categories: [user.financial.credit_card]}, {name: brand}]
              - {name: inner, habeas: {hidden: true}}
`)
		b := &documents{}
		if err := c.Export(t.Context(), email("a@example.com"), b); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(b.last, &got); err != nil {
			t.Fatal(err)
		}
		wanted := map[string]any{
			"email": "a@example.com", "inner": nil,
			"cards": []any{map[string]any{"no": "payment card number", "brand": "visa"}, map[string]any{"no": nil}},
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("copy (-want +got):\n%s", diff)
		}
	})
}

func TestOnlyJSONColumnsLeadOnFromInside(t *testing.T) {
	db := newSQLite(t)
	db.exec(t, "CREATE TABLE profiles (id INTEGER PRIMARY KEY, doc BLOB, tags TEXT);\nCREATE TABLE orders (no TEXT PRIMARY KEY, note TEXT);\nCREATE TABLE lists (id INTEGER PRIMARY KEY, name TEXT, members JSON)")
	_, err := db.try(t, strings.Replace(profilesMap, "METHOD", "", 1))
	if err == nil || !strings.Contains(err.Error(), "test.map.yaml:14: collection profiles: field doc.contact.emails is inside column doc, which is of type BLOB") {
		t.Errorf("got error %v", err)
	}
}

// documents keeps the last document of a copy.
type documents struct{ last json.RawMessage }

// Write implements [sdk.RecordWriter].
func (d *documents) Write(_ context.Context, r sdk.Record) error {
	for _, f := range r.Fields {
		if doc, ok := f.Value.(json.RawMessage); ok {
			d.last = doc
		}
	}
	return nil
}

// TestRewriteTouchesNothingElse replaces one field of random documents.
func TestRewriteTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := map[string]any{}
		for i := range rapid.IntRange(0, 5).Draw(t, "fields") {
			doc[fmt.Sprint("f", i)] = rapid.OneOf(rapid.String().AsAny(), rapid.Float64Range(-1e6, 1e6).AsAny(), rapid.Just[any](nil)).Draw(t, "value")
		}
		doc["gone"] = rapid.String().Draw(t, "gone")
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		f := &field{way: []node{{name: "doc"}, {name: "gone"}}}
		var got map[string]any
		if err := json.Unmarshal([]byte(rewrite(string(text), map[*field]func(any) any{f: func(any) any { return nil }})), &got); err != nil {
			t.Fatal(err)
		}
		doc["gone"] = nil
		if diff := cmp.Diff(doc, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
