package pgstore

import (
	"testing"

	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store {
		dsn := pgtest.New(t)
		if err := Migrate(t.Context(), dsn, false); err != nil {
			t.Fatal(err)
		}
		return openAt(t, dsn)
	})
}

func openAt(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn)
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
