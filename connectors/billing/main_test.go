package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/internal/mariatest"
	"github.com/habeas-data/habeas/connectors/internal/pgtest"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

const mapFile = "../../deploy/demo/billing.map.yaml"

func TestPromisesOnSQLite(t *testing.T) { sdktest.Run(t, newSQLite) }

func TestPromisesOnPostgreSQL(t *testing.T) { sdktest.Run(t, newPostgres) }

func TestPromisesOnMariaDB(t *testing.T) { sdktest.Run(t, newMariaDB) }

// system is a billing database.
type system struct {
	address string
	plain   *sql.DB
	numeric bool // whether parameters are written $1
}

func newSQLite(t testing.TB) sdktest.System {
	t.Helper()
	path := filepath.Join(t.TempDir(), "billing.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return newSystem(t, &system{address: "sqlite://" + path, plain: open(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")}, demo.BillingSchema)
}

func newPostgres(t testing.TB) sdktest.System {
	t.Helper()
	address := pgtest.New(t)
	return newSystem(t, &system{address: address, numeric: true, plain: open(t, "pgx", address)}, demo.BillingSchema)
}

func newMariaDB(t testing.TB) sdktest.System {
	t.Helper()
	s := &system{}
	s.address, s.plain = mariatest.New(t)
	// MariaDB has no indexes of expressions, and another type for a moment of
	// any year.
	schema := strings.NewReplacer("(lower(email))", "(email(60))", " TIMESTAMP", " DATETIME").Replace(demo.BillingSchema)
	return newSystem(t, s, schema)
}

func open(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	plain, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plain.Close(); err != nil {
			t.Error(err)
		}
	})
	return plain
}

// newSystem makes the tables, the company accounts, and on each account a
// customer who is there before anybody is planted.
func newSystem(t testing.TB, s *system, schema string) *system {
	t.Helper()
	for statement := range strings.SplitSeq(strings.TrimSpace(schema), ";\n") {
		if _, err := s.plain.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	companies := demo.BillingCompanies()
	for i, r := range companies {
		s.insert(t, r)
		s.insert(t, demo.BillingRecord{Table: "customers", Values: []any{i + 1, fmt.Sprint("cus_first_", i), nil, "First Customer", nil, i + 1, nil, demo.Epoch}})
	}
	return s
}

func (s *system) insert(t testing.TB, r demo.BillingRecord) {
	t.Helper()
	marks := make([]string, len(r.Values))
	args := make([]any, len(r.Values))
	for i, v := range r.Values {
		marks[i], args[i] = "?", v
		if s.numeric {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		if at, ok := v.(time.Time); ok {
			args[i] = at.UTC().Format("2006-01-02 15:04:05")
			if s.numeric {
				args[i] = at.UTC()
			}
		}
	}
	statement := "INSERT INTO " + r.Table + " VALUES (" + strings.Join(marks, ", ") + ")"
	if _, err := s.plain.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Open implements [sdktest.System].
func (s *system) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	m, err := sqlmap.LoadMap(mapFile)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sqlmap.New(sqlmap.Config{Name: "billing", Version: "1", Database: s.address, Map: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	manifest, err := c.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest, c.Able()
}

// Plant implements [sdktest.System]. Everybody has the same surname, and half
// are on the same company's account.
func (s *system) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	p := demo.PersonAt(500 + n)
	p.First, p.Last = fmt.Sprintf("Quillon%d", n), "Fontaine"
	p.Street = fmt.Sprintf("%d Alder Way", 7000+n)
	planted := sdktest.Planted{
		Person:     sdk.NewPerson(sdk.ID(sdk.CustomerID, p.CustomerID), sdk.ID(sdk.Email, p.Email), sdk.ID(sdk.Phone, p.Phone)),
		Traces:     []string{p.CustomerID, p.Email, p.Phone, p.First + " " + p.Last, p.Street},
		KeptTraces: []string{p.CustomerID},
		Stores:     map[string]int64{},
		Kept:       map[string]int64{"customers": 1},
		Held: &sdk.Held{
			Key: sdk.Secret(p.CustomerID), Emails: []sdk.Secret{sdk.Secret(p.Email)}, Phones: []sdk.Secret{sdk.Secret(p.Phone)},
			Identifiers: []sdk.Identifier{sdk.ID(sdk.CustomerID, p.CustomerID)},
		},
		Corrections: []sdk.Correction{
			{Field: "customers.name", Value: sdk.Secret(fmt.Sprintf("Rightful%d Fontaine", n))},
			{Field: "user.contact.phone_number", Value: sdk.Secret(fmt.Sprintf("+1415555%04d", 9000+n))},
		},
	}
	paid := map[any]bool{}
	for _, r := range demo.BillingOf(p) {
		s.insert(t, r)
		planted.Stores[r.Table]++
		switch r.Table {
		case "customers":
			if company := r.Values[5]; company != nil {
				planted.Stores["companies"], planted.Kept["companies"] = 1, 1
			}
		case "payment_methods":
			for _, v := range r.Values[4:6] {
				if secret, ok := v.(string); ok {
					planted.Traces = append(planted.Traces, secret)
				}
			}
		case "invoices":
			paid[r.Values[0]] = r.Values[4] == "paid"
			number := r.Values[1].(string)
			planted.Traces = append(planted.Traces, number)
			if paid[r.Values[0]] {
				planted.KeptTraces = append(planted.KeptTraces, number)
				planted.Kept["invoices"]++
			}
		case "invoice_lines":
			if paid[r.Values[1]] {
				planted.Kept["invoice_lines"]++
			}
		case "payments":
			planted.Kept["payments"]++
		}
	}
	return planted
}

// Dump implements [sdktest.System].
func (s *system) Dump(t testing.TB) []string {
	t.Helper()
	var lines []string
	for _, table := range demo.BillingTables {
		lines = append(lines, s.dump(t, table)...)
	}
	return lines
}

func (s *system) dump(t testing.TB, table string) (lines []string) {
	t.Helper()
	rows, err := s.plain.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := table
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			line += fmt.Sprintf(" %s=%v", names[i], v)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestKeptInvoicesAreStripped looks at what is left of somebody erased: the
// amounts and the account number, and nothing that says who or where.
func TestKeptInvoicesAreStripped(t *testing.T) {
	s := newSQLite(t).(*system)
	planted := s.Plant(t, 1)
	_, c := s.Open(t)
	if err := c.(sdk.Eraser).Erase(t.Context(), planted.Person); err != nil {
		t.Fatal(err)
	}
	var left int
	err := s.plain.QueryRowContext(t.Context(), `
		SELECT count(*) FROM invoices WHERE status = 'paid' AND total_cents > 0 AND bill_state = 'CA' AND number LIKE 'INV-%'
			AND bill_name = '[erased]' AND bill_email IS NULL AND bill_street IS NULL AND bill_zip IS NULL AND memo IS NULL AND contact_id IS NULL`).Scan(&left)
	if err != nil {
		t.Fatal(err)
	}
	if int64(left) != planted.Kept["invoices"] || left == 0 {
		t.Errorf("%d paid invoices are stripped as they should be, want %d", left, planted.Kept["invoices"])
	}
	found, err := c.Locate(t.Context(), planted.Person)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Store == "invoices" && (f.Keep == nil || f.Keep.Basis != "ccpa-1798.105(d)(8)") {
			t.Errorf("invoices are kept for %v", f.Keep)
		}
	}
}

// TestHouseholdsKeepTheirAddress erases one of two people of the same name in
// the same household.
func TestHouseholdsKeepTheirAddress(t *testing.T) {
	s := newSQLite(t).(*system)
	for _, n := range []int{demo.Namesake, demo.OtherNamesake} {
		for _, r := range demo.BillingOf(demo.PersonAt(n)) {
			s.insert(t, r)
		}
	}
	_, c := s.Open(t)
	one, other := demo.PersonAt(demo.Namesake), demo.PersonAt(demo.OtherNamesake)
	before := s.dump(t, "addresses")
	if err := c.(sdk.Eraser).Erase(t.Context(), sdk.NewPerson(sdk.ID(sdk.CustomerID, one.CustomerID))); err != nil {
		t.Fatal(err)
	}
	if after := s.dump(t, "addresses"); !slices.Equal(before, after) {
		t.Errorf("the household's address: %q, before %q", after, before)
	}
	found, err := c.Locate(t.Context(), sdk.NewPerson(sdk.ID(sdk.Email, other.Email)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Store == "addresses" && f.Keep != nil {
			t.Error("the address is hers alone now and still held as shared")
		}
	}
}
