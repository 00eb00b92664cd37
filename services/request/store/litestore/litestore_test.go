package litestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return openAt(t, migrated(t)) })
}

func TestDoors(t *testing.T) {
	storetest.RunDoors(t, func(t testing.TB) storetest.DoorStore { return openAt(t, migrated(t)) })
}

func TestRecords(t *testing.T) {
	storetest.RunRecords(t, func(t testing.TB) storetest.RecordStore { return openAt(t, migrated(t)) })
}

func TestPost(t *testing.T) {
	storetest.RunPost(t, func(t testing.TB) storetest.PostStore { return openAt(t, migrated(t)) })
}

func TestTokens(t *testing.T) {
	storetest.RunTokens(t, func(t testing.TB) storetest.TokenStore { return openAt(t, migrated(t)) })
}

func TestDisclosures(t *testing.T) {
	storetest.RunDisclosures(t, func(t testing.TB) storetest.DisclosureStore { return openAt(t, migrated(t)) })
}

func TestOnward(t *testing.T) {
	storetest.RunOnward(t, func(t testing.TB) storetest.OnwardStore { return openAt(t, migrated(t)) })
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

// migrated is the path of an empty database of the newest version. The migrations
// run once; TestMigrations looks at them.
func migrated(t testing.TB) (path string) {
	t.Helper()
	content, err := empty()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "habeas.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var empty = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "litestore")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	path := filepath.Join(folder, "empty.db")
	if err := Migrate(context.Background(), path, false); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

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
