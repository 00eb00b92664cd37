// Package litetest gives tests a SQLite database of their own.
//
// It promises a test that its database is empty, of the newest version and nobody
// else's, and that it is made quickly: the migrations run once for all tests of a
// process.
package litetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// New returns the path of a database that is removed when t ends.
func New(t testing.TB) (path string) {
	t.Helper()
	migrated, err := empty()
	if err != nil {
		t.Fatalf("making an empty database: %v", err)
	}
	path = filepath.Join(t.TempDir(), "habeas.db")
	if err := os.WriteFile(path, migrated, 0o600); err != nil {
		t.Fatalf("making a test's database: %v", err)
	}
	return path
}

// Open returns a store on a database of [New], and where that is. It is closed
// when t ends.
func Open(t testing.TB) (s *litestore.Store, path string) {
	t.Helper()
	path = New(t)
	s, err := litestore.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("opening a test's database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s, path
}

// empty is the content of an empty database of the newest version.
var empty = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "habeas-litetest-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if gone := os.RemoveAll(folder); err == nil && gone != nil {
			err = fmt.Errorf("tidying up: %w", gone)
		}
	}()
	path := filepath.Join(folder, "empty.db")
	if err := litestore.Migrate(context.Background(), path, false); err != nil {
		return nil, err
	}
	// Whatever is still in its log would be missing from the copy.
	if logged, err := os.Stat(path + "-wal"); err == nil && logged.Size() > 0 {
		return nil, fmt.Errorf("%s: the migrations are not all in the file", logged.Name())
	}
	return os.ReadFile(path) //nolint:gosec // written a moment ago
})
