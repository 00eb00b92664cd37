package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/compact"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// The edge and the tiles agree with an independent implementation of RFC 6962.
func TestEdgeAgainstCompactRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
		want := factory.NewEmptyRange(0)
		e, tiles, size := &edge{}, map[tileID][]byte{}, int64(0)
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 700), 1, 6).Draw(t, "batches") {
			before := e.size
			e = e.clone()
			for range n {
				leaf := tlog.RecordHash(fmt.Appendf(nil, "leaf %d", size))
				e.add(leaf, tiles)
				if err := want.Append(leaf[:], nil); err != nil {
					t.Fatal(err)
				}
				size++
			}
			e.flush(before, tiles)
			root, err := want.GetRootHash(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.root(); !bytes.Equal(got[:], root) {
				t.Fatalf("root of %d leaves: have %x, want %x", size, got, root)
			}
			again, err := newEdge(size, tiles)
			if err != nil {
				t.Fatal(err)
			}
			if again.root() != e.root() {
				t.Fatalf("the edge read from tiles of %d leaves has another root", size)
			}
		}
	})
}

// Proofs made from the database satisfy an independent verifier.
func TestProofsAgainstMerkle(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		records := testRecords(0, 700)
		var heads []SignedHead
		for from := 0; from < len(records); {
			n := min(1+from/2, len(records)-from)
			appendTest(t, l, records[from:from+n])
			heads = append(heads, checkpointTest(t, l))
			from += n
		}
		last := heads[len(heads)-1]
		prover := l.Prover(t.Context(), last)
		for leaf := int64(0); leaf < last.Size; leaf += 13 {
			file, err := prover.Inclusion(leaf)
			if err != nil {
				t.Fatal(err)
			}
			var p proof.TLogProof
			if err := p.Unmarshal(file); err != nil {
				t.Fatal(err)
			}
			path := make([][]byte, len(p.Hashes))
			for i := range p.Hashes {
				path[i] = p.Hashes[i][:]
			}
			hash := rfc6962.DefaultHasher.HashLeaf(Entry(records[leaf].Digest))
			if err := mproof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, uint64(last.Size), hash, path, last.Root[:]); err != nil {
				t.Fatalf("leaf %d: %v", leaf, err)
			}
		}
		for _, old := range heads {
			consistency, err := prover.Consistency(old)
			if err != nil {
				t.Fatal(err)
			}
			path := make([][]byte, len(consistency))
			for i := range consistency {
				path[i] = consistency[i][:]
			}
			if err := mproof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old.Size), uint64(last.Size), path, old.Root[:], last.Root[:]); err != nil {
				t.Fatalf("from %d: %v", old.Size, err)
			}
		}
	})
}

func TestAppendKeepsTheFirstPlace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		records := testRecords(0, 5)
		appendTest(t, l, records[:3])
		placed := appendTest(t, l, []Record{records[3], records[1], records[3], records[4], records[0]})
		want := []Placed{{3, true}, {1, false}, {3, false}, {4, true}, {0, false}}
		for i := range want {
			if placed[i] != want[i] {
				t.Errorf("record %d: have %+v, want %+v", i, placed[i], want[i])
			}
		}
		if size, err := l.Size(t.Context()); err != nil || size != 5 {
			t.Errorf("size %d, %v; want 5", size, err)
		}
		if _, err := l.LeavesOf(t.Context(), [][]byte{records[4].Digest[:]}); err != nil {
			t.Error(err)
		}
	})
}

// Several processes on one log leave no gap, no double and no fork.
func TestManyWriters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		opts := testOptions(t, dir)
		logs := []*Log{openTest(t, dsn, opts), openTest(t, dsn, opts), openTest(t, dsn, opts)}
		const batches, width = 12, 30
		var wg sync.WaitGroup
		for w, l := range logs {
			wg.Go(func() {
				for b := range batches {
					// Neighbours overlap, as after a redelivery.
					if _, _, err := l.Append(t.Context(), testRecords((b*len(logs)+w)*width/2, width)); err != nil {
						t.Error(err)
						return
					}
					if _, err := l.Checkpoint(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		head := checkpointTest(t, logs[0])
		want := int64((batches*len(logs)-1)*width/2 + width)
		if head.Size != want {
			t.Fatalf("size %d, want %d", head.Size, want)
		}
		verifyWhole(t, logs[0], head)
	})
}

// verifyWhole rebuilds the tree from the published entries.
func verifyWhole(t *testing.T, l *Log, head SignedHead) {
	t.Helper()
	e, discard, next := &edge{}, map[tileID][]byte{}, int64(0)
	err := l.Leaves(t.Context(), Query{}, func(leaf Leaf) error {
		if leaf.Number != next {
			return fmt.Errorf("leaf %d where %d should be", leaf.Number, next)
		}
		if leaf.Envelope != nil && sha256.Sum256(leaf.Envelope) != leaf.Digest {
			return fmt.Errorf("leaf %d is not its envelope's", leaf.Number)
		}
		next++
		e.add(tlog.RecordHash(Entry(leaf.Digest)), discard)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != head.Size || e.root() != head.Root {
		t.Fatalf("the entries hash to another root at %d leaves, head has %d", next, head.Size)
	}
}

func TestErasedEnvelopesKeepTheirProofs(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		records := testRecords(0, 20)
		records[4].Type = "key"
		appendTest(t, l, records)
		checkpointTest(t, l)
		note := []byte("the retention record")
		count, err := l.Erase(t.Context(), 0, 9, func(count int64) (Record, error) {
			if count != 9 {
				t.Errorf("%d envelopes to erase, want 9", count)
			}
			return Record{Digest: sha256.Sum256(note), Envelope: note, Type: "retention", Issuer: "audit"}, nil
		})
		if err != nil || count != 9 {
			t.Fatalf("erased %d, %v", count, err)
		}
		head := checkpointTest(t, l)
		if head.Size != 21 {
			t.Errorf("size %d, want 21", head.Size)
		}
		err = l.Leaves(t.Context(), Query{}, func(leaf Leaf) error {
			if gone := leaf.Number < 10 && leaf.Number != 4; gone != (leaf.Envelope == nil) {
				return fmt.Errorf("leaf %d: envelope of %d bytes", leaf.Number, len(leaf.Envelope))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		prover := l.Prover(t.Context(), head)
		for leaf := range head.Size {
			if _, err := prover.Inclusion(leaf); err != nil {
				t.Error(err)
			}
		}
		verifyWhole(t, l, head)
		if count, err = l.Erase(t.Context(), 0, 9, nil); err != nil || count != 0 {
			t.Errorf("erasing again: %d, %v", count, err)
		}
	})
}

// A transaction that dies half way leaves nothing and the log goes on.
func TestCrashInMidAppend(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		appendTest(t, l, testRecords(0, 10))
		whole := l.store
		for _, when := range []string{"before the writes", "before the commit", "after the commit"} {
			l.store = &crashStore{store: whole, when: when}
			if _, _, err := l.Append(t.Context(), testRecords(10, 300)); !errors.Is(err, errCrash) {
				t.Fatalf("%s: %v", when, err)
			}
			l.store = whole
			if when != "after the commit" {
				verifyWhole(t, l, checkpointTest(t, l))
			}
		}
		placed := appendTest(t, l, testRecords(0, 320))
		for i, p := range placed {
			if p.Leaf != int64(i) || p.Fresh != (i >= 310) {
				t.Fatalf("record %d is at %+v", i, p)
			}
		}
		verifyWhole(t, l, checkpointTest(t, l))
	})
}

var errCrash = errors.New("crash")

type crashStore struct {
	store
	when string
}

type crashTxn struct {
	txn
	when string
}

func (s *crashStore) begin(ctx context.Context) (txn, error) {
	t, err := s.store.begin(ctx)
	return &crashTxn{t, s.when}, err
}

func (t *crashTxn) append(ctx context.Context, first int64, records []Record, tiles map[tileID][]byte, size int64, root tlog.Hash) error {
	if t.when == "before the writes" {
		return errCrash
	}
	return t.txn.append(ctx, first, records, tiles, size, root)
}

func (t *crashTxn) commit(ctx context.Context) error {
	if t.when == "before the commit" {
		return errCrash
	}
	return errors.Join(t.txn.commit(ctx), errCrash)
}

func TestMigrate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		if err := Migrate(t.Context(), dsn, Down); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dsn, testOptions(t, t.TempDir())); !errors.Is(err, ErrNotMigrated) {
			t.Errorf("open without tables: %v, want ErrNotMigrated", err)
		}
		for range 2 {
			migrateUp(t, dsn)
		}
		openTest(t, dsn, testOptions(t, t.TempDir()))
	})
}

func TestLoadKey(t *testing.T) {
	dir := t.TempDir()
	signer, vkey, err := LoadKey(dir, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	signed, err := note.Sign(&note.Note{Text: "x\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(verifier)); err != nil {
		t.Error(err)
	}
	if _, again, err := LoadKey(dir, testOrigin); err != nil || again != vkey {
		t.Errorf("second start: %q, %v", again, err)
	}
	if _, _, err := LoadKey(dir, "other.example/log"); !errors.Is(err, ErrKey) {
		t.Errorf("another origin: %v, want ErrKey", err)
	}
}
