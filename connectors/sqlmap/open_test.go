package sqlmap

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestOpen(t *testing.T) {
	db := newSQLite(t)
	db.exec(t, shop)
	file := filepath.Join(t.TempDir(), "shop.map.yaml")
	if err := os.WriteFile(file, []byte(shopMap), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(section string) (sdk.Manifest, sdk.Connector, error) {
		t.Helper()
		env, err := sdk.NewEnv("shop", t.TempDir(), section)
		if err != nil {
			t.Fatal(err)
		}
		return Open(t.Context(), env)
	}
	t.Run("derives the manifest", func(t *testing.T) {
		m, c, err := open("database: " + db.address + "\nmap: " + file)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		if len(m.Stores) != 4 || m.Stores[1].Categories[0].Letter != "F" || len(m.Accepts) != 1 {
			t.Errorf("manifest %+v", m)
		}
		want(t, "located", located(t, c, email("one@example.com")), []string{"people 1", "orders 2", "folders 2", "visits 1"})
	})
	t.Run("does not wait for a database that is away", func(t *testing.T) {
		_, c, err := open("database: sqlite:///nowhere/at/all.db\nmap: " + file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Locate(t.Context(), email("one@example.com")); err == nil || sdk.IsPermanent(err) {
			t.Errorf("locating without a database: %v; want an error worth retrying", err)
		}
	})
	for section, wrong := range map[string]string{
		"map: x":                             "config needs database and map",
		"database: oracle://x\nmap: " + file: `no driver for "oracle"`,
		"database: postgres://u:secret@[::1/x\nmap: " + file: "the PostgreSQL address can't be read",
		"database: " + db.address + "\nmap: gone.yaml":       "reading data map",
		"database: x\nmaps: y":                               "maps",
	} {
		_, _, err := open(section)
		if err == nil || !strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v, want %q", section, err, wrong)
		}
	}
	db.exec(t, "ALTER TABLE people DROP COLUMN name")
	var bad *MapError
	if _, _, err := open("database: " + db.address + "\nmap: " + file); !errors.As(err, &bad) {
		t.Errorf("a map that does not fit: %v", err)
	}
}

func TestServiceProviderRowsStay(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, shop)
		c := db.connect(t, strings.Replace(shopMap, "      - name: visits\n", "      - name: visits\n        habeas: {role: service_provider}\n", 1))
		one := email("one@example.com")
		erase(t, c, one)
		want(t, "located", located(t, c, one), []string{"visits 1 role-service-provider"})
	})
}

// meter counts records and watches the heap.
type meter struct {
	records int
	peak    uint64
}

// Write implements [sdk.RecordWriter].
func (m *meter) Write(context.Context, sdk.Record) error {
	if m.records++; m.records%2000 == 0 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.peak = max(m.peak, s.HeapAlloc)
	}
	return nil
}

// TestExportMemory copies 64 MB of rows in less than 16.
func TestExportMemory(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE letters (id INTEGER PRIMARY KEY, person_id INTEGER, body TEXT);
INSERT INTO people VALUES (1, 'a@example.com');
INSERT INTO letters VALUES (1, 1, '');
`+strings.Repeat("INSERT INTO letters SELECT id + (SELECT max(id) FROM letters), 1, '' FROM letters;\n", 13)+`
UPDATE letters SET body = replace('bbbbbbbbbbbbbbbb', 'b', replace('bbbbbbbbbbbbbbbb', 'b', '0123456789abcdef0123456789abcdef'))`)
		c := db.connect(t, `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: letters
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: body, data_categories: [user.content]}
`)
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := &meter{}
		if err := c.Export(t.Context(), email("a@example.com"), m); err != nil {
			t.Fatal(err)
		}
		if grown := int64(m.peak) - int64(before.HeapAlloc); m.records != 8193 || grown > 16<<20 {
			t.Errorf("%d records, heap grown by %d bytes", m.records, grown)
		}
	})
}
