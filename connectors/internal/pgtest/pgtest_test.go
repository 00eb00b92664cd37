package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/connectors/internal/pgtest"
)

func TestNewGivesDatabasesOfTheirOwn(t *testing.T) {
	for range 2 {
		conn, err := pgx.Connect(t.Context(), pgtest.New(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "CREATE TABLE only_here (id int)"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
