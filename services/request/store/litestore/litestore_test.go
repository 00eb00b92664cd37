package litestore

import (
	"path/filepath"
	"testing"

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

func openAt(t testing.TB, path string) store.Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
