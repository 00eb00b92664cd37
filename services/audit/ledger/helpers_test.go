package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
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
	dsn := os.Getenv("HABEAS_TEST_POSTGRES")
	if dsn == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("HABEAS_TEST_POSTGRES is not set")
		}
		t.Skip("HABEAS_TEST_POSTGRES is not set")
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	suffix := make([]byte, 6)
	if _, err := rand.Read(suffix); err != nil {
		t.Fatal(err)
	}
	schema := "audit_" + hex.EncodeToString(suffix)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	migrateUp(t, u.String())
	return u.String()
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
