package sqlmap

import (
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// shopSide and helpSide are the maps of two databases that refer to each other.
// Everything is declared in one of them.
const shopSide = `
dataset:
  - fides_key: shop
    collections:
      - name: customers
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: chats
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: body, data_categories: [user.content]}
`

const helpSide = `
dataset:
  - fides_key: help
    HABEAS
    collections:
      - name: tickets
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: customer, data_categories: [user.unique_id], fides_meta: {data_type: integer, references: [{dataset: shop, field: customers.id, direction: from}]}}
          - {name: chat, fides_meta: {references: [{dataset: shop, field: chats.id, direction: to}]}}
`

func TestReferencesAcrossConnectors(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE chats (id INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE tickets (id INTEGER PRIMARY KEY, customer INTEGER, chat INTEGER);
INSERT INTO customers VALUES (0, 'zero@example.com'), (1, 'one@example.com');
INSERT INTO chats VALUES (50, 'with zero'), (51, 'with one');
INSERT INTO tickets VALUES (7, 0, 50), (8, 1, 51), (9, 1, NULL)`)
		help, err := readMap("help.map.yaml", []byte(strings.Replace(helpSide, "HABEAS", "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		shop, err := ParseMap("shop.map.yaml", []byte(shopSide), help)
		if err != nil {
			t.Fatal(err)
		}
		theirs := db.with(t, shop)
		ours := db.connect(t, strings.Replace(helpSide, "HABEAS", "habeas: {beside: [shop]}", 1))
		for _, m := range []struct {
			c               *Connector
			accepts, yields []sdk.Kind
		}{
			{theirs, []sdk.Kind{"email", "shop_chats_id"}, []sdk.Kind{"shop_customers_id"}},
			{ours, []sdk.Kind{"shop_customers_id"}, []sdk.Kind{"shop_chats_id"}},
		} {
			manifest, err := m.c.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			if err := manifest.Validate(); err != nil || !slices.Equal(manifest.Accepts, m.accepts) || !slices.Equal(manifest.Yields, m.yields) {
				t.Errorf("accepts %v, yields %v (%v), want %v and %v", manifest.Accepts, manifest.Yields, err, m.accepts, m.yields)
			}
		}
		// What the coordinator does: hand on what each yields.
		person := email("zero@example.com")
		for range 2 {
			for _, c := range []*Connector{theirs, ours} {
				ids, err := c.Able().(sdk.Resolver).Resolve(t.Context(), person)
				if err != nil {
					t.Fatal(err)
				}
				person = person.With(ids...)
			}
		}
		want(t, "shop", located(t, theirs, person), []string{"customers 1", "chats 1"})
		want(t, "help", located(t, ours, person), []string{"tickets 1"})
		erase(t, theirs, person)
		erase(t, ours, person)
		want(t, "left", db.dump(t, "customers", "chats", "tickets"), []string{"chats[51 with one]", "customers[1 one@example.com]", "tickets[8 1 51]", "tickets[9 1 <nil>]"})
	})
}

func TestReferencesToNowhere(t *testing.T) {
	_, err := ParseMap("m.yaml", []byte(strings.Replace(helpSide, "HABEAS", "", 1)))
	if err == nil || !strings.Contains(err.Error(), "m.yaml:9: referenced object shop:customers:id does not exist: no dataset shop; if another connector has it, name it under habeas.beside") {
		t.Errorf("got error %v", err)
	}
	help, err := readMap("help.map.yaml", []byte(strings.NewReplacer("HABEAS", "", "chats.id", "chats.gone").Replace(helpSide)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParseMap("m.yaml", []byte(shopSide), help)
	if err == nil || !strings.Contains(err.Error(), "help.map.yaml: field chat of collection help:tickets refers to shop:chats.gone, which m.yaml does not have") {
		t.Errorf("got error %v", err)
	}
}

func TestNamesOfLeavingKinds(t *testing.T) {
	seen := map[sdk.Kind]bool{}
	for _, ref := range []Reference{
		{Dataset: "Shop-1", Field: "Customer.ID"}, {Dataset: "1", Field: "2.3"}, {Dataset: "x", Field: strings.Repeat("long", 20) + ".a"}, {Dataset: "x", Field: strings.Repeat("long", 20) + ".b"},
	} {
		k := leavingKind(ref)
		m := sdk.Manifest{Name: "a", Version: "1", Accepts: []sdk.Kind{k}, Stores: []sdk.Store{{Name: "s", Categories: []sdk.Category{{Letter: "A"}}}}}
		if err := m.Validate(); err != nil || seen[k] {
			t.Errorf("kind %s: %v, twice: %t", k, err, seen[k])
		}
		seen[k] = true
	}
}
