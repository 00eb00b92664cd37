package sqlmap

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// shop is a small schema with what goes wrong elsewhere: key 0, a key of two
// parts of which one is 0, a tree, a table without key.
const shop = `
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, name TEXT NOT NULL);
CREATE TABLE orders (a INTEGER NOT NULL, b INTEGER NOT NULL, person_id INTEGER NOT NULL REFERENCES people (id), note TEXT, PRIMARY KEY (a, b));
CREATE TABLE folders (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES folders (id), person_id INTEGER REFERENCES people (id), title TEXT);
CREATE TABLE visits (/*no key*/email TEXT, page TEXT);
INSERT INTO people VALUES (0, 'Zero@Example.com', 'Zero'), (1, 'one@example.com', 'One');
INSERT INTO orders VALUES (1, 0, 0, 'zero'), (1, 11, 1, 'one'), (2, 10, 1, 'one');
INSERT INTO folders VALUES (1, NULL, 0, 'zero root'), (2, 1, NULL, 'zero child'), (3, 2, NULL, 'zero grandchild'), (4, NULL, 1, 'one root'), (5, 4, NULL, 'one child');
INSERT INTO visits VALUES ('zero@example.com', '/a'), ('zero@example.com', '/a'), ('one@example.com', '/a');
`

var shopTables = []string{"people", "orders", "folders", "visits"}

const shopMap = `
dataset:
  - fides_key: shop
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
      - name: orders
        fields:
          - {name: a, fides_meta: {primary_key: true}}
          - {name: b, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: shop, field: people.id, direction: from}]}}
          - {name: note, data_categories: [user.content]}
      - name: folders
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: parent_id, fides_meta: {references: [{dataset: shop, field: folders.id}]}}
          - {name: person_id, fides_meta: {references: [{dataset: shop, field: people.id, direction: from}]}}
          - {name: title, data_categories: [user.content]}
      - name: visits
        fields:
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: page, data_categories: [user.behavior]}
`

func TestKeysTreesAndKeylessTables(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, shop)
		c := db.connect(t, shopMap)
		zero := email("zero@example.com")
		want(t, "located", located(t, c, zero), []string{"people 1", "orders 1", "folders 3", "visits 2"})
		erase(t, c, zero)
		want(t, "left", db.dump(t, shopTables...), []string{
			"folders[4 <nil> 1 one root]", "folders[5 4 <nil> one child]",
			"orders[1 11 1 one]", "orders[2 10 1 one]", "people[1 one@example.com One]", "visits[one@example.com /a]",
		})
		erase(t, c, zero)
		want(t, "located afterwards", located(t, c, zero), nil)
	})
}

func TestEraseManyAtOnce(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, shop)
		c := db.connect(t, shopMap)
		var group sync.WaitGroup
		for i := range 8 {
			person := email([]string{"zero@example.com", "one@example.com"}[i%2])
			group.Go(func() {
				if err := c.Erase(t.Context(), person); err != nil {
					t.Errorf("erasing at once: %v", err)
				}
			})
		}
		group.Wait()
		want(t, "left", db.dump(t, shopTables...), nil)
	})
}

func TestCircleOfForeignKeys(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE accounts (id INTEGER PRIMARY KEY, email TEXT, main_card INTEGER);
CREATE TABLE cards (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), number TEXT)`)
		if strings.HasPrefix(db.address, "postgres") {
			db.exec(t, `ALTER TABLE accounts ADD FOREIGN KEY (main_card) REFERENCES cards (id)`)
		}
		db.exec(t, `
INSERT INTO accounts VALUES (1, 'a@example.com', NULL), (2, 'b@example.com', NULL);
INSERT INTO cards VALUES (10, 1, 'x'), (11, 1, 'y'), (20, 2, 'z');
UPDATE accounts SET main_card = id * 10`)
		c := db.connect(t, `
dataset:
  - fides_key: bank
    collections:
      - name: accounts
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: main_card, fides_meta: {references: [{dataset: bank, field: cards.id, direction: to}]}}
      - name: cards
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: account_id, fides_meta: {references: [{dataset: bank, field: accounts.id, direction: from}]}}
          - {name: number, data_categories: [user.payment]}
`)
		want(t, "located", located(t, c, email("a@example.com")), []string{"accounts 1", "cards 2"})
		erase(t, c, email("a@example.com"))
		want(t, "left", db.dump(t, "accounts", "cards"), []string{"accounts[2 b@example.com 20]", "cards[20 2 z]"})
	})
}

const sharedSchema = `
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE contacts (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts (id), email TEXT, name TEXT);
CREATE TABLE tickets (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts (id), contact_id INTEGER REFERENCES contacts (id), body TEXT);
INSERT INTO accounts VALUES (1, 'Shared Ltd'), (2, 'Alone Ltd');
INSERT INTO contacts VALUES (1, 1, 'ann@example.com', 'Ann'), (2, 1, 'bob@example.com', 'Bob'), (3, 2, 'cid@example.com', 'Cid');
INSERT INTO tickets VALUES (1, 1, 1, 'by Ann'), (2, 1, 2, 'by Bob'), (3, 1, NULL, 'by nobody'), (4, 2, 3, 'by Cid');
`

// sharedMap is the map of sharedSchema, with an owner rule for tickets or
// without.
func sharedMap(owner string) string {
	return strings.Replace(`
dataset:
  - fides_key: desk
    collections:
      - name: accounts
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: name, data_categories: [user.workplace]}
      - name: contacts
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: account_id, fides_meta: {references: [{dataset: desk, field: accounts.id}]}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
      - name: tickets
        habeas: {OWNER}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: account_id, fides_meta: {references: [{dataset: desk, field: accounts.id, direction: from}]}}
          - {name: contact_id, fides_meta: {references: [{dataset: desk, field: contacts.id, direction: from}]}}
          - {name: body, data_categories: [user.content]}
`, "OWNER", owner, 1)
}

func TestSharedRowsAreHeldWithoutOwner(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, sharedSchema)
		c := db.connect(t, sharedMap(""))
		want(t, "located", located(t, c, email("ann@example.com")), []string{"accounts 1 shared-record", "contacts 1 shared-record", "tickets 3 shared-record"})
		want(t, "of one alone", located(t, c, email("cid@example.com")), []string{"accounts 1", "contacts 1", "tickets 1"})
		erase(t, c, email("cid@example.com"))
		erase(t, c, email("ann@example.com"))
		left := db.dump(t, "accounts", "contacts", "tickets")
		want(t, "left", left, []string{
			"accounts[1 Shared Ltd]", "contacts[1 1 <nil> <nil>]", "contacts[2 1 bob@example.com Bob]",
			"tickets[1 1 1 by Ann]", "tickets[2 1 2 by Bob]", "tickets[3 1 <nil> by nobody]",
		})
	})
}

func TestOwnerRule(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, sharedSchema)
		c := db.connect(t, sharedMap("owner: [contact_id]"))
		ann := email("ann@example.com")
		// The ticket of nobody falls to all who reach it; Bob's is his.
		want(t, "located", located(t, c, ann), []string{"accounts 1 shared-record", "contacts 1", "tickets 1", "tickets 1 shared-record"})
		b := &basket{}
		if err := c.Export(t.Context(), ann, b); err != nil {
			t.Fatal(err)
		}
		if copied := strings.Join(b.lines, "\n"); !strings.Contains(copied, "by Ann") || strings.Contains(copied, "Bob") {
			t.Errorf("copy of Ann's:\n%s", copied)
		}
		erase(t, c, ann)
		want(t, "left", db.dump(t, "contacts", "tickets"), []string{
			"contacts[2 1 bob@example.com Bob]", "contacts[3 2 cid@example.com Cid]",
			"tickets[2 1 2 by Bob]", "tickets[3 1 <nil> by nobody]", "tickets[4 2 3 by Cid]",
		})
	})
}

func TestEraseBatch(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, sharedSchema)
		c := db.connect(t, sharedMap("owner: [contact_id]"))
		people := []sdk.Person{email("ann@example.com"), email("bob@example.com"), email("nobody@example.com"), sdk.NewPerson()}
		found, err := c.LocateBatch(t.Context(), people)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range people {
			want(t, "batch", []string{fmt.Sprint(len(found[i]))}, []string{fmt.Sprint(len(located(t, c, p)))})
		}
		if errs := c.EraseBatch(t.Context(), people); errs != nil {
			t.Fatal(errs)
		}
		// What only the two of them shared is nobody's now.
		want(t, "left", db.dump(t, "accounts", "contacts", "tickets"), []string{
			"accounts[2 Alone Ltd]", "contacts[3 2 cid@example.com Cid]", "tickets[4 2 3 by Cid]",
		})
	})
}

func TestRetention(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, no TEXT NOT NULL UNIQUE, email TEXT, name TEXT NOT NULL);
CREATE TABLE invoices (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people (id), paid INTEGER NOT NULL, paid_at TIMESTAMP, total INTEGER, name TEXT NOT NULL);
CREATE TABLE "lines" (id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoices (id), text TEXT);
INSERT INTO people VALUES (1, 'n1', 'a@example.com', 'A'), (2, 'n2', 'b@example.com', 'B');
INSERT INTO invoices VALUES (1, 1, 1, '2026-01-31 10:00:00', 100, 'A'), (2, 1, 1, '2019-11-21 10:00:00', 100, 'A'), (3, 1, 0, NULL, 100, 'A'), (4, 1, 1, NULL, 100, 'A'), (5, 2, 1, '2019-01-01', 1, 'B');
INSERT INTO "lines" VALUES (1, 1, 'for A'), (2, 2, 'for A'), (3, 3, 'for A'), (5, 5, 'for B')`)
		c := db.connect(t, `
dataset:
  - fides_key: shop
    collections:
      - name: people
        habeas: {needs: [no]}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: no, data_categories: [user.unique_id], fides_meta: {identity: customer_id}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
      - name: invoices
        habeas:
          retain: [{basis: ccpa-1798.105(d)(8), period: 7 years, from: paid_at, when: {column: paid, in: [true]}, needs: [total]}]
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: shop, field: people.id, direction: from}]}}
          - {name: paid}
          - {name: paid_at}
          - {name: total, data_categories: [user.transaction]}
          - {name: name, data_categories: [user.name]}
      - name: lines
        habeas: {retain: [{with: invoice_id}]}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: invoice_id, fides_meta: {references: [{dataset: shop, field: invoices.id, direction: from}]}}
          - {name: text, data_categories: [user.content]}
`)
		person := sdk.NewPerson(sdk.ID(sdk.Email, "a@example.com"), sdk.ID(sdk.CustomerID, "n1"))
		found, err := c.Locate(t.Context(), person)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			until := ""
			if f.Keep != nil {
				until = f.Keep.Until.Format(time.DateOnly)
			}
			got = append(got, fmt.Sprint(f.Store, " ", f.Count, " ", until))
		}
		want(t, "located", got, []string{"people 1 2033-11-22", "invoices 2 ", "invoices 1 2033-01-31", "invoices 1 2033-11-22", "lines 2 ", "lines 1 2033-01-31"})
		for range 2 {
			erase(t, c, person)
			want(t, "left", db.dump(t, "people", "lines"), []string{"lines[1 1 <nil>]", "lines[5 5 for B]", "people[1 n1 <nil> [erased]]", "people[2 n2 b@example.com B]"})
			want(t, "located", located(t, c, person), []string{"people 1 ccpa-1798.105(d)(8)", "invoices 1 ccpa-1798.105(d)(8)", "invoices 1 ccpa-1798.105(d)(8)", "lines 1 ccpa-1798.105(d)(8)"})
		}
	})
}

func TestMethods(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE surveys (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), phone VARCHAR(20), city VARCHAR(4) NOT NULL, score INTEGER);
INSERT INTO people VALUES (1, 'a@example.com'), (2, 'b@example.com');
INSERT INTO surveys VALUES (1, 1, '+1 (415) 555-0111', 'Reno', 5), (2, 2, '+1 415', 'Elko', 4)`)
		text := `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: surveys
        habeas: {erase: METHOD}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: phone, data_categories: [user.contact.phone_number]}
          - {name: city, data_categories: [user.contact.address.city]}
          - {name: score}
`
		c := db.connect(t, strings.Replace(text, "METHOD", "mask", 1))
		erase(t, c, email("a@example.com"))
		left := db.dump(t, "surveys")
		if len(left) != 2 || strings.Contains(left[0], "555-0111") || strings.Contains(left[0], "Reno") || !strings.Contains(left[0], "surveys[1 <nil> +") || !strings.Contains(left[0], ") ") {
			t.Errorf("masked: %q", left)
		}
		c = db.connect(t, strings.Replace(text, "METHOD", "deidentify", 1))
		erase(t, c, email("b@example.com"))
		want(t, "deidentified", db.dump(t, "surveys")[1:], []string{"surveys[2 <nil> <nil> [era 4]"})
		want(t, "located", located(t, c, email("b@example.com")), nil)
		db.exec(t, "INSERT INTO people VALUES (3, 'c@example.com');\nINSERT INTO surveys VALUES (3, 3, '+1', 'Lodi', 3)")
		c = db.connect(t, strings.Replace(text, "METHOD", "null", 1))
		erase(t, c, email("c@example.com"))
		want(t, "nulled", db.dump(t, "surveys")[2:], []string{"surveys[3 <nil> <nil> [era 3]"})
	})
}

func TestExport(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, ssn TEXT, password TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), at TIMESTAMP, page TEXT);
INSERT INTO people VALUES (1, 'a@example.com', '078-05-1120', NULL);
INSERT INTO events VALUES (1, 1, '2026-01-01 00:00:00', '/old'), (2, 1, '2026-06-01 00:00:00', '/new'), (3, NULL, '2026-06-01 00:00:00', '/nobody')`)
		c := db.connect(t, `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}, habeas: {hidden: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: ssn, data_categories: [user.government_id.national_identification_number]}
          - {name: password, data_categories: [user.authorization.password]}
      - name: events
        habeas: {time: at}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: at}
          - {name: page, data_categories: [user.behavior]}
`)
		since := email("a@example.com").WithSince(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
		b := &basket{}
		if err := c.Export(t.Context(), since, b); err != nil {
			t.Fatal(err)
		}
		want(t, "copy", b.lines, []string{
			"people email=a@example.com ssn=Social Security or other national identification number password=<nil>",
			"events id=2 person_id=1 at=2026-06-01 00:00:00 +0000 UTC page=/new",
		})
		want(t, "located", located(t, c, since), []string{"people 1", "events 1"})
	})
}

func TestResolve(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE devices (/*no key*/cookie TEXT, device TEXT, email TEXT);
INSERT INTO devices VALUES ('c1', 'd1', 'a@example.com'), ('c1', 'd2', NULL), ('c2', 'd1', 'b@example.com')`)
		c := db.connect(t, `
dataset:
  - fides_key: ads
    collections:
      - name: devices
        fields:
          - {name: cookie, data_categories: [user.device.cookie_id], fides_meta: {identity: cookie_id}}
          - {name: device, data_categories: [user.device], habeas: {yields: device_id}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
`)
		r, ok := c.Able().(sdk.Resolver)
		if !ok {
			t.Fatal("a map that yields makes no Resolver")
		}
		ids, err := r.Resolve(t.Context(), sdk.NewPerson(sdk.ID(sdk.CookieID, "c1")))
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) != 2 || ids[0].Kind != sdk.DeviceID {
			t.Errorf("resolved %v", ids)
		}
	})
}
