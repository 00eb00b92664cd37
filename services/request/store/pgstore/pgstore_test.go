package pgstore

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/storetest"
)

func TestStore(t *testing.T) {
	empty := migrated(t)
	storetest.Run(t, func(t testing.TB) store.Store { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestCrash(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.NewDatabase(t)
	if err := Migrate(t.Context(), dsn, false); err != nil {
		t.Fatal(err)
	}
	storetest.RunCrash(t, openAt(t, dsn), func() { server.Stop(t) }, func() { server.Restart(t) })
}

func TestDoors(t *testing.T) {
	empty := migrated(t)
	storetest.RunDoors(t, func(t testing.TB) storetest.DoorStore { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestRecords(t *testing.T) {
	empty := migrated(t)
	storetest.RunRecords(t, func(t testing.TB) storetest.RecordStore { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestPost(t *testing.T) {
	empty := migrated(t)
	storetest.RunPost(t, func(t testing.TB) storetest.PostStore { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestTokens(t *testing.T) {
	empty := migrated(t)
	storetest.RunTokens(t, func(t testing.TB) storetest.TokenStore { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestDisclosures(t *testing.T) {
	empty := migrated(t)
	storetest.RunDisclosures(t, func(t testing.TB) storetest.DisclosureStore { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestOnward(t *testing.T) {
	empty := migrated(t)
	storetest.RunOnward(t, func(t testing.TB) storetest.OnwardStore { return openAt(t, pgtest.Copy(t, empty)) })
}

func TestMigrations(t *testing.T) {
	storetest.RunMigrations(t, os.DirFS("testdata"), func(t testing.TB) storetest.Schema {
		dsn := pgtest.New(t)
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // scripts of several statements
		db := stdlib.OpenDB(*config)
		t.Cleanup(func() { closed(t, db) })
		p, versions := storetest.Steps(t, goose.DialectPostgres, db, migrations)
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
				if err := Migrate(t.Context(), dsn, down); err != nil {
					t.Fatal(err)
				}
			},
			Exec: func(t testing.TB, script string) {
				if _, err := db.ExecContext(t.Context(), script); err != nil {
					t.Fatal(err)
				}
			},
			Tables: func(t testing.TB) (n int) {
				const count = `SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'habeas_migration'`
				if err := db.QueryRowContext(t.Context(), count).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			},
			Open: func(t testing.TB) store.Store { return openAt(t, dsn) },
		}
	})
}

// A coordinator that claims requests does not wait for another that is at work.
func TestClaimSkipsWhatIsHeld(t *testing.T) {
	s := openAt(t, migrated(t))
	storetest.Write(t, s, 1) // one request is accepted, and another running
	claim := func(state request.State, decide func([]*store.Snapshot)) {
		t.Helper()
		if _, err := s.Advance(t.Context(), store.Selector{State: state, Limit: 10}, true, func(snaps []*store.Snapshot) error {
			decide(snaps)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	claim(request.Accepted, func(held []*store.Snapshot) {
		if len(held) != 1 {
			t.Fatalf("%d requests are accepted, want 1", len(held))
		}
		claim(request.Accepted, func(snaps []*store.Snapshot) { t.Errorf("%d requests have two owners", len(snaps)) })
		claim(request.Running, func(snaps []*store.Snapshot) {
			if len(snaps) != 1 {
				t.Errorf("%d requests are free, want 1", len(snaps))
			}
		})
	})
}

// Under an isolation level that makes transactions fail for each other's sake,
// decide is called again, and what it did the first time is forgotten.
func TestDecideAgainAfterAConflict(t *testing.T) {
	dsn := migrated(t)
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	// Whole tables are read, so that any two transactions are in conflict.
	s := openAt(t, dsn+separator+"default_transaction_isolation=serializable&enable_seqscan=on&enable_indexscan=off&enable_bitmapscan=off&enable_indexonlyscan=off")
	storetest.Write(t, s, 1)
	list, err := s.List(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	var met, wg sync.WaitGroup
	met.Add(2)
	for _, r := range list[:2] {
		wg.Go(func() {
			first := sync.OnceFunc(func() {
				met.Done()
				met.Wait() // both have read before either writes
			})
			if _, err := s.Advance(t.Context(), store.Selector{IDs: []request.ID{r.ID}}, true, func(snaps []*store.Snapshot) error {
				calls.Add(1)
				first()
				snaps[0].Request.Round++
				snaps[0].Changed = true
				snaps[0].Records = append(snaps[0].Records, store.Record{
					Digest: []byte(r.ID), RequestID: r.ID, Type: "plan", Issuer: "coordinator", Envelope: []byte("{}"), CreatedAt: r.CreatedAt,
				})
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); n < 3 {
		t.Errorf("decide was called %d times: there was no conflict", n)
	}
	for _, r := range list[:2] {
		got, _, err := s.Get(t.Context(), r.ID)
		if err != nil || got.Round != r.Round+1 || got.Version != r.Version+1 {
			t.Errorf("round %d and version %d after one change of round %d and version %d: %v", got.Round, got.Version, r.Round, r.Version, err)
		}
	}
}

func migrated(t testing.TB) (dsn string) {
	t.Helper()
	dsn = pgtest.New(t)
	if err := Migrate(t.Context(), dsn, false); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func openAt(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn)
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
