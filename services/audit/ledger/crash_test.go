package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/pgtest"
)

// PostgreSQL crashes under load again and again; what was appended is there,
// the guard is content, and the tree is whole.
func TestPostgresCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	server := pgtest.Start(t)
	dsn := server.NewDatabase(t)
	migrateUp(t, dsn)
	l := openTest(t, dsn, testOptions(t, t.TempDir()))

	stop, batches, done := make(chan struct{}), make(chan int, 10_000), make(chan map[int]Placed)
	go func() {
		appended := map[int]Placed{}
		for from := 0; ; {
			select {
			case <-stop:
				done <- appended
				return
			default:
			}
			placed, _, err := l.Append(t.Context(), testRecords(from, 20))
			if err != nil {
				continue // it crashed; the same records again
			}
			for i, p := range placed {
				appended[from+i] = p
			}
			if _, err := l.Checkpoint(t.Context()); err != nil && needsLook(err) {
				t.Errorf("after a crash: %v", err)
			}
			from += 20
			batches <- from
		}
	}()
	for range 4 {
		for range 5 {
			wait(t, batches)
		}
		server.Stop(t)
		server.Restart(t)
	}
	wait(t, batches)
	close(stop)
	appended := <-done
	head := checkpointTest(t, l)
	if head.Size != int64(len(appended)) {
		t.Errorf("size %d, %d records were appended", head.Size, len(appended))
	}
	seen := map[int64]bool{}
	for record, p := range appended {
		if seen[p.Leaf] {
			t.Errorf("record %d shares leaf %d", record, p.Leaf)
		}
		seen[p.Leaf] = true
	}
	verifyWhole(t, l, head)
}

func wait(t *testing.T, batches <-chan int) {
	t.Helper()
	select {
	case <-batches:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was appended for 30 s")
	}
}

func needsLook(err error) bool {
	for _, stop := range []error{ErrRolledBack, ErrForked, ErrGuardLost, ErrKey, ErrCorrupt} {
		if errors.Is(err, stop) {
			return true
		}
	}
	return false
}
