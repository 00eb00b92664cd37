package sqlmap

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// benchSchema has twelve and a half rows for each of $people people, who live
// two to an address.
const benchSchema = `
CREATE TABLE addresses (id BIGINT PRIMARY KEY, street TEXT NOT NULL);
CREATE TABLE people (id BIGINT PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL, address_id BIGINT REFERENCES addresses (id));
CREATE TABLE orders (id BIGINT PRIMARY KEY, person_id BIGINT NOT NULL REFERENCES people (id), total INTEGER NOT NULL, note TEXT);
CREATE TABLE order_items (order_id BIGINT NOT NULL REFERENCES orders (id), no INTEGER NOT NULL, product TEXT NOT NULL, PRIMARY KEY (order_id, no));
CREATE TABLE logins (id BIGINT PRIMARY KEY, person_id BIGINT NOT NULL REFERENCES people (id), at TIMESTAMPTZ NOT NULL, ip TEXT NOT NULL);
INSERT INTO addresses SELECT i, i || ' Main Street' FROM generate_series(0, %[1]d / 2) AS i;
INSERT INTO people SELECT i, 'Person' || i || '@example.com', 'Person ' || i, i / 2 FROM generate_series(0, %[1]d - 1) AS i;
INSERT INTO orders SELECT i, i / 3, 100, 'note of ' || i FROM generate_series(0, %[1]d * 3 - 1) AS i;
INSERT INTO order_items SELECT i / 2, i %% 2, 'product ' || i FROM generate_series(0, %[1]d * 6 - 1) AS i;
INSERT INTO logins SELECT i, i / 2, now(), '192.0.2.1' FROM generate_series(0, %[1]d * 2 - 1) AS i;
CREATE INDEX ON people (lower(email));
CREATE INDEX ON people (address_id);
CREATE INDEX ON orders (person_id);
CREATE INDEX ON logins (person_id);
VACUUM ANALYZE`

const benchMap = `
dataset:
  - fides_key: bench
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
          - {name: address_id, fides_meta: {references: [{dataset: bench, field: addresses.id, direction: to}]}}
      - name: addresses
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: street, data_categories: [user.contact.address.street]}
      - name: orders
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: bench, field: people.id, direction: from}]}}
          - {name: note, data_categories: [user.content]}
      - name: order_items
        fields:
          - {name: order_id, fides_meta: {primary_key: true, references: [{dataset: bench, field: orders.id, direction: from}]}}
          - {name: no, fides_meta: {primary_key: true}}
          - {name: product, data_categories: [user.behavior.purchase_history]}
      - name: logins
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: bench, field: people.id, direction: from}]}}
          - {name: ip, data_categories: [user.device.ip_address]}
`

// byHand is the sequence somebody would write for one person: find and lock,
// delete children first, keep an address somebody else lives at.
var byHand = []string{
	"DELETE FROM order_items USING orders WHERE order_items.order_id = orders.id AND orders.person_id = $1",
	"DELETE FROM orders WHERE person_id = $1",
	"DELETE FROM logins WHERE person_id = $1",
	"DELETE FROM people WHERE id = $1",
}

func eraseByHand(ctx context.Context, db *sql.DB, who int) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var id int64
	var address sql.NullInt64
	if err := tx.QueryRowContext(ctx, "SELECT id, address_id FROM people WHERE lower(email) = $1 FOR UPDATE", benchEmail(who)).Scan(&id, &address); err != nil {
		return err
	}
	for _, statement := range byHand {
		if _, err := tx.ExecContext(ctx, statement, id); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM addresses AS a WHERE id = $1 AND NOT EXISTS (SELECT FROM people WHERE address_id = a.id)", address); err != nil {
		return err
	}
	return tx.Commit()
}

// byHandMany is the same for many people, set by set.
var byHandMany = []string{
	"DELETE FROM order_items USING orders WHERE order_items.order_id = orders.id AND orders.person_id = ANY ($1)",
	"DELETE FROM orders WHERE person_id = ANY ($1)",
	"DELETE FROM logins WHERE person_id = ANY ($1)",
	"DELETE FROM people WHERE id = ANY ($1)",
}

func eraseManyByHand(ctx context.Context, db *sql.DB, from, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var emails []string
	for who := from; who < to; who++ {
		emails = append(emails, benchEmail(who))
	}
	var ids, addresses []int64
	rows, err := query(ctx, tx, "SELECT id, address_id FROM people WHERE lower(email) = ANY ($1) FOR UPDATE", emails)
	if err != nil {
		return err
	}
	for _, r := range rows {
		ids, addresses = append(ids, r[0].(int64)), append(addresses, r[1].(int64))
	}
	for _, statement := range byHandMany {
		if _, err := tx.ExecContext(ctx, statement, ids); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM addresses AS a WHERE id = ANY ($1) AND NOT EXISTS (SELECT FROM people WHERE address_id = a.id)", addresses); err != nil {
		return err
	}
	return tx.Commit()
}

func benchEmail(who int) string { return fmt.Sprintf("person%d@example.com", who) }

// BenchmarkErase erases people from a database of a million rows, one at a time
// and in batches, beside the same deletes written by hand, turn by turn in the
// same run. HABEAS_BENCH_PEOPLE sets how many people there are.
func BenchmarkErase(b *testing.B) {
	people, err := strconv.Atoi(cmp.Or(os.Getenv("HABEAS_BENCH_PEOPLE"), "100000"))
	if err != nil {
		b.Fatal(err)
	}
	db := newPostgres(b)
	db.exec(b, fmt.Sprintf(benchSchema, people))
	c := db.connect(b, benchMap)
	plain, err := sql.Open("pgx", db.address)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := plain.Close(); err != nil {
			b.Error(err)
		}
	}()
	next := 0
	ctx := b.Context()
	compare := func(name string, turns, size int, ours, byHand func(from int) error) {
		b.Run(name, func(b *testing.B) {
			var spent [2]time.Duration
			for b.Loop() {
				// The first turn warms up what both need and is not counted.
				for turn := range turns + 1 {
					for i, erase := range []func(int) error{byHand, ours} {
						start := time.Now()
						if err := erase(next); err != nil {
							b.Fatal(err)
						}
						if next += size; turn > 0 {
							spent[i] += time.Since(start)
						}
					}
				}
			}
			done := float64(turns * size * b.N)
			b.ReportMetric(done/spent[0].Seconds(), "by-hand/s")
			b.ReportMetric(done/spent[1].Seconds(), "people/s")
			b.ReportMetric(spent[1].Seconds()/spent[0].Seconds(), "times-by-hand")
			b.ReportMetric(0, "ns/op")
		})
	}
	compare("one", 300, 1,
		func(who int) error { return c.Erase(ctx, email(benchEmail(who))) },
		func(who int) error { return eraseByHand(ctx, plain, who) })
	compare("batch", 10, batch,
		func(from int) error {
			var group []sdk.Person
			for who := from; who < from+batch; who++ {
				group = append(group, email(benchEmail(who)))
			}
			for _, err := range c.EraseBatch(ctx, group) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		func(from int) error { return eraseManyByHand(ctx, plain, from, from+batch) })
	left, err := query(ctx, plain, "SELECT count(*) FROM people")
	if err != nil || left[0][0] != int64(people-next) {
		b.Errorf("%v people are left of %d after erasing %d (%v)", left, people, next, err)
	}
}
