package ledger

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/habeas-data/habeas/services/internal/pgtest"
)

const testOrigin = "habeas.example/log/2026"

// eachDatabase runs the test on a fresh database of each kind.
func eachDatabase(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, liteTestDSN(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, pgTestDSN(t)) })
}

func liteTestDSN(t testing.TB) string {
	t.Helper()
	dsn := litePrefix + filepath.Join(t.TempDir(), "audit.db")
	migrateUp(t, dsn)
	return dsn
}

func pgTestDSN(t testing.TB) string {
	t.Helper()
	dsn := pgtest.New(t)
	migrateUp(t, dsn)
	return dsn
}

func migrateUp(t testing.TB, dsn string) {
	t.Helper()
	if err := Migrate(t.Context(), dsn, Up); err != nil {
		t.Fatal(err)
	}
}

func testOptions(t testing.TB, dir string) Options {
	t.Helper()
	signer, vkey, err := LoadKey(dir, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Signer: signer, VerifierKey: vkey, Heads: []Head{FileHead(dir)}}
}

func openTest(t testing.TB, dsn string, opts Options) *Log {
	t.Helper()
	l, err := Open(t.Context(), dsn, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func testRecords(from, n int) []Record {
	records := make([]Record, n)
	for i := range records {
		envelope := fmt.Appendf(nil, "envelope %d", from+i)
		records[i] = Record{Digest: sha256.Sum256(envelope), Envelope: envelope,
			RequestID: fmt.Sprintf("r%d", (from+i)%7), Type: "outcome", Issuer: "crm"}
	}
	return records
}

func appendTest(t testing.TB, l *Log, records []Record) []Placed {
	t.Helper()
	placed, _, err := l.Append(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func checkpointTest(t testing.TB, l *Log) SignedHead {
	t.Helper()
	head, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}
