package litestore

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/storetest"
)

// What was destroyed is in no file of the database any more: neither in pages that
// are free now nor in the write-ahead log, where whoever has the master key and a
// copy of the disk would read it.
func TestDestroyedIsGoneFromTheFiles(t *testing.T) {
	for name, destroy := range map[string]func(*testing.T, *Store, request.ID, time.Time){
		"shredded": func(t *testing.T, s *Store, _ request.ID, now time.Time) {
			gone, err := s.Shred(t.Context(), store.Shreddable{Now: now, ClosedBefore: now, NoticedSince: now, Limit: 10}, storetest.Gone)
			if err != nil || len(gone) != 1 {
				t.Fatalf("%d shredded: %v", len(gone), err)
			}
		},
		"forgotten": func(t *testing.T, s *Store, _ request.ID, now time.Time) {
			if n, err := s.Forget(t.Context(), now, 10); err != nil || n != 1 {
				t.Fatalf("%d forgotten: %v", n, err)
			}
		},
		"kept no longer": func(t *testing.T, s *Store, id request.ID, now time.Time) {
			if err := s.PutKept(t.Context(), []store.Kept{{RequestID: id, Connector: "crm", WrappedKey: secret("kept"), Sealed: secret("kept"), Until: now}}); err != nil {
				t.Fatal(err)
			}
			if n, err := s.DropKept(t.Context(), now, 10, func(map[string]int64) ([]store.Record, error) { return nil, nil }); err != nil || n != 1 {
				t.Fatalf("%d dropped: %v", n, err)
			}
			if n, err := s.Forget(t.Context(), now, 10); err != nil || n != 1 {
				t.Fatalf("%d forgotten: %v", n, err)
			}
		},
		"a document": func(t *testing.T, s *Store, id request.ID, now time.Time) {
			if err := s.KeepDocument(t.Context(), store.Document{RequestID: id, Kind: "proof", WrappedKey: secret("kept"), Sealed: secret("kept"), KeepUntil: now}); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Forget(t.Context(), now, 10); err != nil || n != 1 {
				t.Fatalf("%d forgotten: %v", n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := migrated(t)
			s := openAt(t, path)
			n, now := storetest.ClosedSample()
			n.Request.WrappedKey, n.Request.Sealed, n.Request.Corrections = secret("key"), secret("identifiers"), secret("corrections")
			if _, err := s.Create(t.Context(), []store.New{n}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(files(t, path), mark) {
				t.Fatal("what was written is nowhere: the test looks in the wrong place")
			}
			destroy(t, s, n.Request.ID, now)
			if at := files(t, path); bytes.Contains(at, mark) {
				t.Errorf("%d traces of what was destroyed are still in the files", bytes.Count(at, mark))
			}
		})
	}
}

var mark = []byte("to be destroyed, ")

// secret is larger than a page, so that some of it is on pages of its own.
func secret(what string) []byte { return bytes.Repeat(append(mark, what...), 500) }

// files are the bytes of all files of a database.
func files(t *testing.T, path string) (all []byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

// Who reads at that moment holds the log up; the next round gets it.
func TestDestroyedIsGoneOnceNobodyReads(t *testing.T) {
	path := migrated(t)
	s := openAt(t, path)
	n, now := storetest.ClosedSample()
	n.Request.WrappedKey, n.Request.Sealed = secret("key"), secret("identifiers")
	if _, err := s.Create(t.Context(), []store.New{n}); err != nil {
		t.Fatal(err)
	}
	reader, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"BEGIN", "CREATE TEMP TABLE seen AS SELECT id FROM request"} {
		if _, err := reader.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	shred := func() int {
		gone, err := s.Shred(t.Context(), store.Shreddable{Now: now, ClosedBefore: now, NoticedSince: now, Limit: 10}, storetest.Gone)
		if err != nil {
			t.Fatal(err)
		}
		return len(gone)
	}
	if n := shred(); n != 1 {
		t.Fatalf("%d shredded", n)
	}
	if !bytes.Contains(files(t, path), mark) {
		t.Fatal("the reader did not hold the log up: this test shows nothing")
	}
	if _, err := reader.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	closed(t, reader)
	if n := shred(); n != 0 {
		t.Fatalf("%d shredded again", n)
	}
	if at := files(t, path); bytes.Contains(at, mark) {
		t.Errorf("%d traces are still in the files", bytes.Count(at, mark))
	}
}
