package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of billing.db
)

// BillingSchema makes billing's tables and indexes, in SQLite and in
// PostgreSQL.
const BillingSchema = billingTables + billingIndexes

const billingTables = `
CREATE TABLE companies (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, tax_no TEXT, street TEXT, city TEXT, zip TEXT
);
CREATE TABLE addresses (
	id INTEGER PRIMARY KEY, street TEXT NOT NULL, city TEXT NOT NULL, zip TEXT NOT NULL, state TEXT NOT NULL
);
CREATE TABLE customers (
	id INTEGER PRIMARY KEY, account_no TEXT NOT NULL UNIQUE, email TEXT, name TEXT NOT NULL, phone TEXT,
	company_id INTEGER REFERENCES companies (id), address_id INTEGER REFERENCES addresses (id), joined_at TIMESTAMP NOT NULL
);
CREATE TABLE contacts (
	id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id), company_id INTEGER REFERENCES companies (id),
	email TEXT NOT NULL, name TEXT NOT NULL, title TEXT
);
CREATE TABLE subscriptions (
	id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), plan TEXT NOT NULL, seats INTEGER NOT NULL,
	started_at TIMESTAMP NOT NULL, cancelled_at TIMESTAMP
);
CREATE TABLE payment_methods (
	id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), brand TEXT, card_last4 TEXT, card_token TEXT,
	bank_account TEXT, added_at TIMESTAMP NOT NULL
);
CREATE TABLE invoices (
	id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, customer_id INTEGER NOT NULL REFERENCES customers (id),
	contact_id INTEGER REFERENCES contacts (id), status TEXT NOT NULL CHECK (status IN ('open', 'paid', 'void')),
	issued_at TIMESTAMP NOT NULL, paid_at TIMESTAMP, total_cents INTEGER NOT NULL, tax_cents INTEGER NOT NULL,
	bill_name TEXT NOT NULL, bill_email TEXT, bill_street TEXT, bill_city TEXT, bill_zip TEXT, bill_state TEXT, memo TEXT
);
CREATE TABLE invoice_lines (
	id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoices (id), description TEXT NOT NULL,
	quantity INTEGER NOT NULL, amount_cents INTEGER NOT NULL
);
CREATE TABLE payments (
	id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoices (id), method_id INTEGER REFERENCES payment_methods (id),
	amount_cents INTEGER NOT NULL, paid_at TIMESTAMP NOT NULL, payer TEXT, card_last4 TEXT
);
CREATE TABLE tickets (
	id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), subject TEXT NOT NULL, opened_at TIMESTAMP NOT NULL
);
CREATE TABLE notes (
	id INTEGER PRIMARY KEY, ticket_id INTEGER REFERENCES tickets (id), parent_id INTEGER REFERENCES notes (id),
	author TEXT, body TEXT NOT NULL, written_at TIMESTAMP NOT NULL
);
`

// billingIndexes come last: filling a table is quicker without.
const billingIndexes = `
CREATE INDEX customers_email ON customers (lower(email));
CREATE INDEX customers_company ON customers (company_id);
CREATE INDEX customers_address ON customers (address_id);
CREATE INDEX contacts_email ON contacts (lower(email));
CREATE INDEX contacts_customer ON contacts (customer_id);
CREATE INDEX contacts_company ON contacts (company_id);
CREATE INDEX subscriptions_customer ON subscriptions (customer_id);
CREATE INDEX payment_methods_customer ON payment_methods (customer_id);
CREATE INDEX invoices_customer ON invoices (customer_id);
CREATE INDEX invoices_contact ON invoices (contact_id);
CREATE INDEX invoice_lines_invoice ON invoice_lines (invoice_id);
CREATE INDEX payments_invoice ON payments (invoice_id);
CREATE INDEX payments_method ON payments (method_id);
CREATE INDEX tickets_customer ON tickets (customer_id);
CREATE INDEX notes_ticket ON notes (ticket_id);
CREATE INDEX notes_parent ON notes (parent_id);
`

// BillingTables are billing's tables, parents before children.
var BillingTables = []string{"companies", "addresses", "customers", "contacts", "subscriptions", "payment_methods", "invoices", "invoice_lines", "payments", "tickets", "notes"}

// BillingRecord is one row of one of billing's tables, its columns in order.
type BillingRecord struct {
	Table  string
	Values []any
}

// BillingCompanies are the company accounts that customers share.
func BillingCompanies() []BillingRecord {
	var records []BillingRecord
	for i, name := range companies {
		records = append(records, BillingRecord{"companies", []any{i + 1, name, fmt.Sprintf("94-%07d", 1000001+i*7919), fmt.Sprintf("%d Market Street", 100+i), "San Francisco", "94105"}})
	}
	return records
}

// householdAddress is the address the two namesakes share.
const householdAddress = 1

// BillingOf makes all rows of one person. One of the invoices at least is
// paid, and one may be open.
func BillingOf(p Person) []BillingRecord {
	h := mix(uint64(p.N) ^ 0xb111)
	id := func(k int) int { return 1000 + p.N*100 + k }
	name := p.First + " " + p.Last
	var records []BillingRecord
	add := func(table string, values ...any) { records = append(records, BillingRecord{table, values}) }

	address := id(0)
	if p.N == Namesake || p.N == OtherNamesake {
		address = householdAddress
	}
	if p.N != OtherNamesake {
		add("addresses", address, p.Street, p.City, p.Zip, "CA")
	}
	var company any
	for i, c := range companies {
		if c == p.Company && h%3 == 0 {
			company = i + 1
		}
	}
	customer := id(0)
	add("customers", customer, p.CustomerID, p.Email, name, p.Phone, company, address, p.Joined)
	add("contacts", id(0), customer, company, p.Email, name, p.Title)
	add("subscriptions", id(0), customer, []string{"solo", "studio", "agency"}[h%3], int(1+h%5), p.Joined, nil)
	last4 := fmt.Sprintf("%04d", mix(h^1)%10000)
	add("payment_methods", id(0), customer, "visa", last4, fmt.Sprintf("tok_%016x", mix(h^2)), nil, p.Joined)
	add("payment_methods", id(1), customer, nil, nil, nil, fmt.Sprintf("%012d", mix(h^3)%1_000_000_000_000), p.Joined.AddDate(0, 1, 0))
	n := 2 + int(mix(h^4)%3)
	for i := range n {
		issued := p.Joined.AddDate(0, i, 0)
		var paid any = issued.AddDate(0, 0, 5)
		status := "paid"
		if i == n-1 && h%2 == 0 {
			paid, status = nil, "open"
		}
		cents := 1900 + int(mix(h^uint64(10+i))%20000)
		add("invoices", id(i), fmt.Sprintf("INV-%06d-%02d", p.N, i), customer, id(0), status, issued, paid, cents, cents*8/100,
			name, p.Email, p.Street, p.City, p.Zip, "CA", "For the attention of "+name)
		add("invoice_lines", id(2*i), id(i), "Subscription, one month", 1, cents-500)
		add("invoice_lines", id(2*i+1), id(i), "Extra seats", 1, 500)
		if status == "paid" {
			add("payments", id(i), id(i), id(0), cents, paid, name, last4)
		}
	}
	add("tickets", id(0), customer, "Question by "+name, p.Joined.AddDate(0, 2, 0))
	add("notes", id(0), id(0), nil, name, "Please call me at "+p.Phone, p.Joined.AddDate(0, 2, 0))
	add("notes", id(1), nil, id(0), "support", "Called "+p.First+" "+p.Last+" back.", p.Joined.AddDate(0, 2, 1))
	add("notes", id(2), nil, id(1), name, "Thank you! Write to "+p.Email+" next time.", p.Joined.AddDate(0, 2, 2))
	return records
}

// SeedBilling makes billing's SQLite database at path with the first n people
// of the demo company. A database that is there already is replaced at once
// and whole.
func SeedBilling(ctx context.Context, path string, n int) (err error) {
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("seeding billing: %w", err)
	}
	if err := seedBilling(ctx, unfinished, n); err != nil {
		return fmt.Errorf("seeding billing: %w", err)
	}
	if err := os.Rename(unfinished, path); err != nil {
		return fmt.Errorf("seeding billing: %w", err)
	}
	return nil
}

func seedBilling(ctx context.Context, path string, n int) (err error) {
	settings := url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings.Encode()}).String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, billingTables); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	s := &seeder{tx: tx, inserts: map[string]*sql.Stmt{}}
	if err := s.fill(ctx, n); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// seeder inserts rows by prepared statements.
type seeder struct {
	tx      *sql.Tx
	inserts map[string]*sql.Stmt
}

func (s *seeder) add(ctx context.Context, r BillingRecord) error {
	insert := s.inserts[r.Table]
	if insert == nil {
		var err error
		insert, err = s.tx.PrepareContext(ctx, "INSERT INTO "+r.Table+" VALUES (?"+strings.Repeat(", ?", len(r.Values)-1)+")") //nolint:gosec // the tables are our own
		if err != nil {
			return err
		}
		s.inserts[r.Table] = insert
	}
	for i, v := range r.Values {
		if at, ok := v.(time.Time); ok {
			r.Values[i] = at.UTC().Format(time.DateTime)
		}
	}
	_, err := insert.ExecContext(ctx, r.Values...)
	return err
}

// fill inserts the first n people and the company accounts.
func (s *seeder) fill(ctx context.Context, n int) error {
	for _, r := range BillingCompanies() {
		if err := s.add(ctx, r); err != nil {
			return err
		}
	}
	for p := range People(n) {
		if !p.InBilling {
			continue
		}
		for _, r := range BillingOf(p) {
			if err := s.add(ctx, r); err != nil {
				return err
			}
		}
	}
	for _, insert := range s.inserts {
		if err := insert.Close(); err != nil {
			return err
		}
	}
	_, err := s.tx.ExecContext(ctx, billingIndexes)
	return err
}
