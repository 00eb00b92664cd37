package draft

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/habeas-data/habeas/connectors/internal/mariatest"
	"github.com/habeas-data/habeas/connectors/internal/pgtest"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// shop is a small company: people found by an address, what belongs to them,
// what they point to, what nobody leads to, and goods.
var shop = []string{
	`CREATE TABLE places (id INTEGER PRIMARY KEY, street VARCHAR(80), city VARCHAR(80))`,
	`CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(80) NOT NULL UNIQUE, full_name VARCHAR(80), place_id INTEGER REFERENCES places (id))`,
	`CREATE TABLE products (id INTEGER PRIMARY KEY, name VARCHAR(80), price INTEGER)`,
	`CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), place_id INTEGER REFERENCES places (id), total INTEGER)`,
	`CREATE TABLE order_items (order_id INTEGER NOT NULL REFERENCES orders (id), line INTEGER NOT NULL, product_id INTEGER REFERENCES products (id), PRIMARY KEY (order_id, line))`,
	`CREATE TABLE messages (id INTEGER PRIMARY KEY, sender INTEGER REFERENCES customers (id), receiver INTEGER REFERENCES customers (id), body VARCHAR(200), parent_id INTEGER REFERENCES messages (id))`,
	`CREATE TABLE loyalty (id INTEGER PRIMARY KEY, customer_id INTEGER, points INTEGER)`,
	`CREATE TABLE visitors (id INTEGER PRIMARY KEY, first_name VARCHAR(80), seen VARCHAR(80))`,
	`CREATE TABLE readings (taken VARCHAR(20), degrees INTEGER)`,
	`INSERT INTO readings VALUES ('noon', 20)`,
	`INSERT INTO places VALUES (1, '12 Hidden Street', 'Springfield')`,
	`INSERT INTO customers VALUES (1, 'planted.one@example.com', 'Zelda Quux', 1), (2, 'planted.two@example.com', 'Abel Quux', 1)`,
	`INSERT INTO products VALUES (1, 'Blue lamp', 5)`,
	`INSERT INTO orders VALUES (1, 1, 1, 5)`,
	`INSERT INTO order_items VALUES (1, 1, 1)`,
	`INSERT INTO messages VALUES (1, 1, 2, 'write to planted.two@example.com', NULL)`,
	`INSERT INTO loyalty VALUES (1, 1, 9)`,
	`INSERT INTO visitors VALUES (1, 'Zelda', 'today')`,
}

// planted are values that no output may hold.
var planted = []string{"planted", "Zelda", "Quux", "Hidden Street", "Springfield", "Blue lamp"}

// each runs f against the shop in every kind of database.
func each(t *testing.T, f func(t *testing.T, address string, exec func(string))) {
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "shop.db")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f(t, "sqlite://"+file, fill(t, open(t, "sqlite", file)))
	})
	t.Run("postgres", func(t *testing.T) {
		address := pgtest.New(t)
		f(t, address, fill(t, open(t, "pgx", address)))
	})
	t.Run("mariadb", func(t *testing.T) {
		address, plain := mariatest.New(t)
		f(t, address, fill(t, plain))
	})
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func fill(t *testing.T, db *sql.DB) func(string) {
	t.Helper()
	exec := func(text string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range shop {
		exec(text)
	}
	return exec
}

func take(t *testing.T, address string) *sqlmap.Survey {
	t.Helper()
	s, err := sqlmap.TakeSurvey(t.Context(), address, 100)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDraftWorks shows that a draft is a map as it stands: it fits the
// database, finds a person and all that is theirs, and erases them.
func TestDraftWorks(t *testing.T) {
	each(t, func(t *testing.T, address string, _ func(string)) {
		text := New("shop", take(t, address)).YAML("")
		if again := New("shop", take(t, address)).YAML(""); !cmp.Equal(text, again) {
			t.Error("two drafts of one database differ")
		}
		for _, p := range planted {
			if strings.Contains(string(text), p) {
				t.Errorf("the draft holds the sampled value %q", p)
			}
		}
		m, err := sqlmap.ParseMap("draft.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		c, err := sqlmap.New(sqlmap.Config{Name: "shop", Version: "1", Database: address, Map: m})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		zelda := sdk.NewPerson(sdk.ID(sdk.Email, "planted.one@example.com"))
		have := counts(t, c, zelda)
		want := map[string]int64{"customers": 1, "orders": 1, "order_items": 1, "messages": 1, "loyalty": 1, "places": 1}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("found (-want +have):\n%s\n%s", diff, text)
		}
		if err := c.Erase(t.Context(), zelda); err != nil {
			t.Fatal(err)
		}
		if have := counts(t, c, zelda); len(have) > 0 {
			t.Errorf("found after erasing: %v", have)
		}
		// What two people share stays for the other.
		abel := sdk.NewPerson(sdk.ID(sdk.Email, "planted.two@example.com"))
		if diff := cmp.Diff(map[string]int64{"customers": 1, "messages": 1, "places": 1}, counts(t, c, abel)); diff != "" {
			t.Errorf("the other person's afterwards (-want +have):\n%s", diff)
		}
	})
}

func counts(t *testing.T, c sdk.Connector, p sdk.Person) map[string]int64 {
	t.Helper()
	found, err := c.Locate(context.WithoutCancel(t.Context()), p)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, f := range found {
		out[f.Store] += f.Count
	}
	return out
}

// TestDraftDecides looks at what the draft leaves to a person.
func TestDraftDecides(t *testing.T) {
	each(t, func(t *testing.T, address string, _ func(string)) {
		d := New("shop", take(t, address))
		if diff := cmp.Diff([]string{"visitors"}, d.Skipped()); diff != "" {
			t.Errorf("skipped (-want +have):\n%s", diff)
		}
		text := string(d.YAML("https://example.com/s.json"))
		for _, want := range []string{
			"# yaml-language-server: $schema=https://example.com/s.json",
			"several columns lead to customers",
			"by its name: the database has no foreign key",
			"field: places.id, direction: to",
			"field: messages.id, direction: from",
			"# products, readings",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the draft has no %q:\n%s", want, text)
			}
		}
	})
}

// told is what a connector of a map says of drift.
func told(t *testing.T, address string, text []byte) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.map.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := sqlmap.ParseMap(file, text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sqlmap.New(sqlmap.Config{Name: "shop", Version: "test", Database: address, Map: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	compare(c)
	findings, err := c.Able().(sdk.DriftChecker).Drift(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// TestDrift lets the schema grow under a map.
func TestDrift(t *testing.T) {
	each(t, func(t *testing.T, address string, exec func(string)) {
		text := New("shop", take(t, address)).YAML("")
		lines := strings.Split(string(text), "\n")
		drift := func(text string) (have []string) {
			m, err := sqlmap.ParseMap("m.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range Drift(m, take(t, address), Threshold) {
				if f.Line > 0 && !strings.Contains(strings.Split(text, "\n")[f.Line-1], "name: ") {
					t.Errorf("%s: line %d is no name", f, f.Line)
				}
				have = append(have, f.Table+"."+f.Column+" "+f.Missing)
			}
			return have
		}
		if have := drift(string(text)); have != nil {
			t.Errorf("drift of a fresh draft: %v", have)
		}
		// A field without a category says nothing of what it holds.
		i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "name: full_name") })
		blank := strings.Join(slices.Delete(slices.Clone(lines), i+1, i+2), "\n")
		if diff := cmp.Diff([]string{"customers.full_name category"}, drift(blank)); diff != "" {
			t.Errorf("(-want +have):\n%s", diff)
		}
		exec(`ALTER TABLE customers ADD COLUMN fax VARCHAR(40)`)
		exec(`ALTER TABLE products ADD COLUMN color VARCHAR(40)`)
		exec(`CREATE TABLE signups (id INTEGER PRIMARY KEY, c1 VARCHAR(80))`)
		exec(`INSERT INTO signups VALUES (1, 'planted.three@example.com')`)
		if diff := cmp.Diff([]string{"customers.fax column", "signups.id table", "signups.c1 table"}, drift(string(text))); diff != "" {
			t.Errorf("(-want +have):\n%s", diff)
		}
		// A connector tells of it by itself, from names and types alone, and of
		// what the map has and the database has no more.
		exec(`DROP TABLE signups`)
		exec(`ALTER TABLE customers DROP COLUMN full_name`)
		found := strings.Join(told(t, address, text), "\n")
		if !strings.Contains(found, "customers.fax looks like") || !strings.Contains(found, "full_name") || strings.Contains(found, "planted") {
			t.Errorf("the connector tells %q", found)
		}
	})
}
