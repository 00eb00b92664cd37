package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/internal/pgtest"
)

// envelopeSize is that of an outcome of three stores, signed.
const envelopeSize = 2600

// BenchmarkAppend sets the log beside what the database can do without one: a
// COPY of the same envelopes into a plain table, in the same run. The measure
// is records per second.
func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprintf("log/sqlite/batch=%d", batch), func(b *testing.B) { benchmarkLog(b, liteTestDSN(b), batch) })
		b.Run(fmt.Sprintf("log/postgres/batch=%d", batch), func(b *testing.B) { benchmarkLog(b, pgTestDSN(b), batch) })
		b.Run(fmt.Sprintf("copy/postgres/batch=%d", batch), func(b *testing.B) { benchmarkCopy(b, pgtest.New(b), batch) })
	}
}

func benchmarkRecords(b *testing.B, records []Record) {
	b.Helper()
	for i := range records {
		envelope := make([]byte, envelopeSize)
		if _, err := rand.Read(envelope); err != nil {
			b.Fatal(err)
		}
		records[i] = Record{Digest: sha256.Sum256(envelope), Envelope: envelope, RequestID: "01912d68-0000-7000-8000-000000000001", Type: "outcome", Issuer: "crm"}
	}
}

func benchmarkLog(b *testing.B, dsn string, batch int) {
	l := openTest(b, dsn, testOptions(b, b.TempDir()))
	records := make([]Record, batch)
	for b.Loop() {
		b.StopTimer()
		benchmarkRecords(b, records)
		b.StartTimer()
		appendTest(b, l, records)
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "records/s")
}

func benchmarkCopy(b *testing.B, dsn string, batch int) {
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context()) //nolint:errcheck // a benchmark
	if _, err := conn.Exec(b.Context(), `CREATE TABLE plain (number bigint PRIMARY KEY, digest bytea NOT NULL UNIQUE, request_id text NOT NULL,
		type text NOT NULL, issuer text NOT NULL, envelope bytea, logged_at timestamptz NOT NULL DEFAULT now()) WITH (toast_tuple_target = 8160);
		ALTER TABLE plain ALTER COLUMN envelope SET STORAGE EXTERNAL`); err != nil {
		b.Fatal(err)
	}
	records, number := make([]Record, batch), int64(0)
	for b.Loop() {
		b.StopTimer()
		benchmarkRecords(b, records)
		b.StartTimer()
		_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"plain"}, []string{"number", "digest", "request_id", "type", "issuer", "envelope"},
			pgx.CopyFromSlice(len(records), func(i int) ([]any, error) {
				number++
				r := records[i]
				return []any{number, r.Digest[:], r.RequestID, r.Type, r.Issuer, r.Envelope}, nil
			}))
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "records/s")
}
