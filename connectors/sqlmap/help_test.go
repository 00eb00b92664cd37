package sqlmap

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/habeas-data/habeas/connectors/internal/mariatest"
	"github.com/habeas-data/habeas/connectors/internal/pgtest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// now is the tests' clock.
var now = time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC)

// testDB is a database under test and an independent connection to it.
type testDB struct {
	address string
	plain   *sql.DB
}

// databases runs f on a fresh database of each dialect.
func databases(t *testing.T, f func(t *testing.T, db *testDB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, newSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, newPostgres(t)) })
	t.Run("mariadb", func(t *testing.T) { f(t, newMariaDB(t)) })
}

func newSQLite(t testing.TB) *testDB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return openPlain(t, "sqlite", "sqlite://"+path, "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(OFF)")
}

func newPostgres(t testing.TB) *testDB {
	t.Helper()
	address := pgtest.New(t)
	// Tests change the schema under this connection.
	return openPlain(t, "pgx", address, address+"&default_query_exec_mode=exec")
}

func newMariaDB(t testing.TB) *testDB {
	t.Helper()
	address, plain := mariatest.New(t)
	return &testDB{address: address, plain: plain}
}

func openPlain(t testing.TB, driver, address, dsn string) *testDB {
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
	return &testDB{address: address, plain: plain}
}

func (db *testDB) exec(t testing.TB, script string) {
	t.Helper()
	for statement := range strings.SplitSeq(script, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if strings.HasPrefix(db.address, "mysql") {
			// MariaDB tells rows apart by a key only.
			statement = strings.Replace(statement, "/*no key*/", "row_key INTEGER AUTO_INCREMENT PRIMARY KEY INVISIBLE, ", 1)
		}
		if _, err := db.plain.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// dump reads whole tables by plain SQL, one line a row, sorted.
func (db *testDB) dump(t testing.TB, tables ...string) []string {
	t.Helper()
	var lines []string
	for _, table := range tables {
		rows, err := query(t.Context(), db.plain, "SELECT * FROM "+quote(table))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			for i, v := range r {
				if b, ok := v.([]byte); ok {
					r[i] = string(b)
				}
			}
			lines = append(lines, fmt.Sprint(table, r))
		}
	}
	slices.Sort(lines)
	return lines
}

func (db *testDB) connect(t testing.TB, text string) *Connector {
	t.Helper()
	c, err := db.try(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// try makes a connector and checks its map against the database.
func (db *testDB) try(t testing.TB, text string) (*Connector, error) {
	t.Helper()
	m, err := ParseMap("test.map.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return db.tryMap(t, m)
}

// with makes a connector of a map that was read already.
func (db *testDB) with(t testing.TB, m *Map) *Connector {
	t.Helper()
	c, err := db.tryMap(t, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (db *testDB) tryMap(t testing.TB, m *Map) (*Connector, error) {
	t.Helper()
	c, err := New(Config{Name: "test", Version: "1", Database: db.address, Map: m, Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, c.Check(t.Context())
}

func email(address string) sdk.Person { return sdk.NewPerson(sdk.ID(sdk.Email, address)) }

// located writes what was found as text: "store 2", or with the basis of what
// is kept, "store 1 shared-record".
func located(t testing.TB, c sdk.Connector, p sdk.Person) []string {
	t.Helper()
	found, err := c.Locate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		s := fmt.Sprint(f.Store, " ", f.Count)
		if f.Keep != nil {
			s += " " + f.Keep.Basis
		}
		out = append(out, s)
	}
	return out
}

func erase(t testing.TB, c sdk.Eraser, p sdk.Person) {
	t.Helper()
	if err := c.Erase(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// basket collects an export as text, one line a record.
type basket struct{ lines []string }

// Write implements [sdk.RecordWriter].
func (b *basket) Write(_ context.Context, r sdk.Record) error {
	line := r.Store
	for _, f := range r.Fields {
		line += fmt.Sprintf(" %s=%v", f.Name, f.Value)
	}
	b.lines = append(b.lines, line)
	return nil
}
