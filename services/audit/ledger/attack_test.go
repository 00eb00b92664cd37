package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTamperedTileIsRefused_RE6(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		opts := testOptions(t, dir)
		l := openTest(t, dsn, opts)
		appendTest(t, l, testRecords(0, 300))
		head := checkpointTest(t, l)
		flipBit(t, l, tileID{0, 0})
		if _, err := l.Prover(t.Context(), head).Inclusion(17); !errors.Is(err, ErrCorrupt) {
			t.Errorf("proof from an altered tile: %v, want ErrCorrupt", err)
		}
		flipBit(t, l, tileID{0, 1})
		other := openTest(t, dsn, opts)
		if _, _, err := other.Append(t.Context(), testRecords(300, 1)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("append on an altered edge: %v, want ErrCorrupt", err)
		}
	})
}

// flipBit alters a tile as a database administrator could.
func flipBit(t *testing.T, l *Log, id tileID) {
	t.Helper()
	found, err := l.store.tiles(t.Context(), []tileID{id})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(found[id])
	data[5] ^= 1
	switch s := l.store.(type) {
	case *pgStore:
		_, err = s.pool.Exec(t.Context(), `UPDATE tile SET hashes = $1 WHERE level = $2 AND idx = $3`, data, id.level, id.index)
	case *liteStore:
		_, err = s.db.ExecContext(t.Context(), `UPDATE tile SET hashes = ? WHERE level = ? AND idx = ?`, data, id.level, id.index)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// truncate makes the database what it was at an earlier size.
func truncate(t *testing.T, l *Log, size int64, root tlog.Hash) {
	t.Helper()
	tx, err := l.store.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{
		fmt.Sprintf(`DELETE FROM leaf WHERE number >= %d`, size),
		fmt.Sprintf(`DELETE FROM checkpoint WHERE size > %d`, size),
	}
	for _, s := range statements {
		switch tx := tx.(type) {
		case *pgTxn:
			_, err = tx.tx.Exec(t.Context(), s)
		case *liteTxn:
			_, err = tx.tx.ExecContext(t.Context(), s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tiles := map[tileID][]byte{}
	for _, id := range edgeTiles(size) {
		found, err := tx.tiles(t.Context(), []tileID{id})
		if err != nil {
			t.Fatal(err)
		}
		width := size >> (tileHeight * id.level) % tileWidth
		tiles[id] = found[id][:width*tlog.HashSize]
	}
	if err := tx.append(t.Context(), size, nil, tiles, size, root); err != nil {
		t.Fatal(err)
	}
	if err := tx.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRolledBackDatabaseIsRefused_RE6(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		opts := testOptions(t, dir)
		l := openTest(t, dsn, opts)
		appendTest(t, l, testRecords(0, 100))
		old := checkpointTest(t, l)
		appendTest(t, l, testRecords(100, 200))
		checkpointTest(t, l)
		truncate(t, l, old.Size, old.Root)

		if _, _, err := l.Append(t.Context(), testRecords(900, 1)); !errors.Is(err, ErrRolledBack) {
			t.Errorf("append: %v, want ErrRolledBack", err)
		}
		if _, err := l.Checkpoint(t.Context()); !errors.Is(err, ErrRolledBack) {
			t.Errorf("checkpoint: %v, want ErrRolledBack", err)
		}
		if _, err := Open(t.Context(), dsn, opts); !errors.Is(err, ErrRolledBack) {
			t.Errorf("open: %v, want ErrRolledBack", err)
		}
		if l.Signed().Size != 300 {
			t.Errorf("the log shows a head of %d, want 300", l.Signed().Size)
		}

		// A database that is rolled back and then grows past the head again.
		lost := opts
		empty := t.TempDir()
		lost.Heads, lost.AcceptLostGuard = []Head{FileHead(empty)}, true
		fork := openTest(t, dsn, lost)
		appendTest(t, fork, testRecords(5000, 400))
		if _, err := Open(t.Context(), dsn, opts); !errors.Is(err, ErrForked) {
			t.Errorf("open of a fork: %v, want ErrForked", err)
		}
	})
}

func TestGuards(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		dir, second := t.TempDir(), t.TempDir()
		opts := testOptions(t, dir)
		opts.Heads = append(opts.Heads, FileHead(second))
		l := openTest(t, dsn, opts)
		appendTest(t, l, testRecords(0, 10))
		checkpointTest(t, l)

		// One of two heads may be lost; it is made again.
		if err := os.Remove(filepath.Join(second, "log.head")); err != nil {
			t.Fatal(err)
		}
		again := openTest(t, dsn, opts)
		appendTest(t, again, testRecords(10, 1))
		head := checkpointTest(t, again)
		kept, err := os.ReadFile(filepath.Join(second, "log.head"))
		if err != nil || !bytes.Equal(kept, head.Note) {
			t.Errorf("the lost head was not made again: %v", err)
		}

		// Both lost is refused, until a person accepts it.
		for _, d := range []string{dir, second} {
			if err := os.Remove(filepath.Join(d, "log.head")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), dsn, opts); !errors.Is(err, ErrGuardLost) {
			t.Errorf("open without heads: %v, want ErrGuardLost", err)
		}
		opts.AcceptLostGuard = true
		openTest(t, dsn, opts)

		// Another key is another log.
		other := testOptions(t, t.TempDir())
		if _, err := Open(t.Context(), dsn, other); !errors.Is(err, ErrKey) {
			t.Errorf("open with another key: %v, want ErrKey", err)
		}
	})
}

// A log is not begun anew behind the back of its guard.
func TestInceptionGuard(t *testing.T) {
	dir := t.TempDir()
	opts := testOptions(t, dir)
	l := openTest(t, liteTestDSN(t), opts)
	appendTest(t, l, testRecords(0, 3))
	checkpointTest(t, l)
	if _, err := Open(t.Context(), liteTestDSN(t), opts); !errors.Is(err, ErrRolledBack) {
		t.Errorf("open of an empty database: %v, want ErrRolledBack", err)
	}
}

// A database that does not answer is no attack.
func TestAFailedReadIsNoFork(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, liteTestDSN(t), testOptions(t, dir))
	appendTest(t, l, testRecords(0, 300))
	head := checkpointTest(t, l)
	appendTest(t, l, testRecords(300, 300))
	whole := l.store
	l.store = &deafStore{whole}
	defer func() { l.store = whole }()
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, errDeaf) || errors.Is(err, ErrForked) {
		t.Errorf("checkpoint: %v, want errDeaf alone", err)
	}
	if _, err := l.Prover(t.Context(), head).Inclusion(3); !errors.Is(err, errDeaf) || errors.Is(err, ErrCorrupt) {
		t.Errorf("proof: %v, want errDeaf alone", err)
	}
}

var errDeaf = errors.New("connection reset")

type deafStore struct{ store }

func (*deafStore) tiles(context.Context, []tileID) (map[tileID][]byte, error) { return nil, errDeaf }
