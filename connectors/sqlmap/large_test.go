package sqlmap

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// scribe writes records as the runtime does, as JSON, and keeps a digest only.
type scribe struct {
	records int
	bytes   int64
	sum     hash.Hash
}

// Write implements [sdk.RecordWriter].
func (s *scribe) Write(_ context.Context, r sdk.Record) error {
	s.records++
	for _, f := range r.Fields {
		text, err := json.Marshal(f.Value)
		if err != nil {
			return err
		}
		n, err := s.sum.Write(text)
		s.bytes += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// TestExportOfGigabytes copies as many MB as HABEAS_EXPORT_MB says out of a
// database, half of them from rows the person's row leads to and half from rows
// that carry the person's identity, and wants the whole process to stay under
// 200 MB. Run it alone: the highest use of memory is that of the process.
func TestExportOfGigabytes(t *testing.T) {
	size, err := strconv.Atoi(os.Getenv("HABEAS_EXPORT_MB"))
	if err != nil || size <= 0 {
		t.Skip("set HABEAS_EXPORT_MB to the size of the copy")
	}
	databases(t, func(t *testing.T, db *testDB) {
		const most = 200 << 20
		fillWith(t, db, size)
		c := db.connect(t, `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: letters
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: body, data_categories: [user.content]}
      - name: events
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email, data_type: string}}
          - {name: body, data_categories: [user.content]}
`)
		s := &scribe{sum: sha256.New()}
		start := time.Now()
		if err := c.Export(t.Context(), email("a@example.com"), s); err != nil {
			t.Fatal(err)
		}
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		t.Logf("%d records, %d MB in %s (%.0f MB/s), at most %d MB of memory",
			s.records, s.bytes>>20, took.Round(time.Millisecond), float64(s.bytes>>20)/took.Seconds(), used.Maxrss>>10)
		if s.bytes < int64(size)<<20 || used.Maxrss<<10 > most {
			t.Errorf("want %d MB copied in less than %d MB of memory", size, most>>20)
		}
	})
}

// fillWith puts rows of 64 KB into two tables.
func fillWith(t *testing.T, db *testDB, megabytes int) {
	t.Helper()
	rows := megabytes * 16 / 2
	db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(60));
CREATE TABLE letters (id INTEGER PRIMARY KEY, person_id INTEGER, body `+db.longText()+`);
CREATE TABLE events (id INTEGER PRIMARY KEY, email VARCHAR(60), body `+db.longText()+`);
INSERT INTO people VALUES (1, 'a@example.com');
INSERT INTO letters VALUES (1, 1, '`+strings.Repeat("0123456789abcdef", 4096)+`')`)
	for n := 1; n < rows; n *= 2 {
		db.exec(t, fmt.Sprintf("INSERT INTO letters SELECT id + %d, person_id, body FROM letters WHERE id <= %d", n, rows-n))
	}
	db.exec(t, "INSERT INTO events SELECT id, 'a@example.com', body FROM letters")
}

// longText is the type that holds more than 64 KB.
func (db *testDB) longText() string {
	if strings.HasPrefix(db.address, "mysql") {
		return "MEDIUMTEXT"
	}
	return "TEXT"
}
