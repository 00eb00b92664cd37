package demo_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/habeas-data/habeas/connectors/demo"
)

func TestSeedBilling(t *testing.T) {
	path := filepath.Join(t.TempDir(), "billing.db")
	for range 2 { // a second company replaces the first
		if err := demo.SeedBilling(t.Context(), path, 100); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	count := func(query string) (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, table := range demo.BillingTables {
		if count("SELECT count(*) FROM "+table) == 0 {
			t.Errorf("table %s is empty", table)
		}
	}
	if n := count("SELECT count(*) FROM pragma_foreign_key_check"); n != 0 {
		t.Errorf("%d rows refer to nothing", n)
	}
	if n := count("SELECT count(*) FROM customers WHERE address_id = 1"); n != 2 {
		t.Errorf("%d customers live in the namesakes' household, want 2", n)
	}
	if n := count("SELECT count(*) FROM companies WHERE (SELECT count(*) FROM customers WHERE company_id = companies.id) > 1"); n == 0 {
		t.Error("no company account is shared")
	}
}
