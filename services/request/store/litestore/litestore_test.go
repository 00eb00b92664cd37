package litestore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestDoors(t *testing.T) {
	storetest.RunDoors(t, func(t testing.TB) storetest.DoorStore {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestRecords(t *testing.T) {
	storetest.RunRecords(t, func(t testing.TB) storetest.RecordStore {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestPost(t *testing.T) {
	storetest.RunPost(t, func(t testing.TB) storetest.PostStore {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestTokens(t *testing.T) {
	storetest.RunTokens(t, func(t testing.TB) storetest.TokenStore {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestDisclosures(t *testing.T) {
	storetest.RunDisclosures(t, func(t testing.TB) storetest.DisclosureStore {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestOnward(t *testing.T) {
	storetest.RunOnward(t, func(t testing.TB) storetest.OnwardStore {
		path := filepath.Join(t.TempDir(), "habeas.db")
		if err := Migrate(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path)
	})
}

func TestMigrations(t *testing.T) {
	storetest.RunMigrations(t, os.DirFS("testdata"), func(t testing.TB) storetest.Schema {
		path := filepath.Join(t.TempDir(), "habeas.db")
		db, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closed(t, db) })
		p, versions := storetest.Steps(t, goose.DialectSQLite3, db, migrations)
		return storetest.Schema{
			Versions: versions,
			To: func(t testing.TB, version int64) {
				if version > 0 {
					if _, err := p.UpTo(t.Context(), version); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := p.DownTo(t.Context(), version); err != nil {
					t.Fatal(err)
				}
			},
			Migrate: func(t testing.TB, down bool) {
				if err := Migrate(t.Context(), path, down); err != nil {
					t.Fatal(err)
				}
			},
			Exec: func(t testing.TB, script string) {
				if _, err := db.ExecContext(t.Context(), script); err != nil {
					t.Fatal(err)
				}
			},
			Tables: func(t testing.TB) (n int) {
				const count = `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'habeas_migration'`
				if err := db.QueryRowContext(t.Context(), count).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			},
			Open: func(t testing.TB) store.Store { return openAt(t, path) },
		}
	})
}

func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s) })
	return s
}

func closed(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
