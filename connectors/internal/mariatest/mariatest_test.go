package mariatest

import "testing"

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	one, first := New(t)
	other, second := New(t)
	if one == other {
		t.Fatal("two databases have the same address")
	}
	if _, err := first.ExecContext(t.Context(), `CREATE TABLE "here" (id INTEGER)`); err != nil {
		t.Fatal(err)
	}
	if _, err := second.ExecContext(t.Context(), `SELECT * FROM "here"`); err == nil {
		t.Error("a table of one database is seen in the other")
	}
}
