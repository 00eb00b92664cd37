package drop_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/drop/droptest"
)

// benchRows is how long the list is, and how many people are held against it.
const benchRows = 1_000_000

// BenchmarkCompare reads a list of a million rows into the ledger and holds a
// million people against it, of whom a hundred are on it, as a session does. The
// raw limit is reading both files and hashing what is in them.
func BenchmarkCompare(b *testing.B) {
	dir := b.TempDir()
	archive, people := filepath.Join(dir, "20260901_4821_DROP.zip"), filepath.Join(dir, "people.jsonl")
	items := make([]drop.Item, benchRows)
	for n := range items {
		items[n] = mailItem(n, mail(2*benchRows-100+n))
	}
	packed, err := droptest.Archive(first, items, nil)
	if err == nil {
		err = os.WriteFile(archive, packed, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	writePeople(b, people)
	for b.Loop() {
		raw := timed(func() { readRaw(b, people) })
		w := lite(b)
		w.People = func() (io.ReadCloser, error) { return os.Open(people) }
		var before, after runtime.MemStats
		take := timed(func() {
			if _, err := w.Ledger.Take(b.Context(), archive, "hand", w.Now()); err != nil {
				b.Fatal(err)
			}
		})
		runtime.GC()
		runtime.ReadMemStats(&before)
		match := timed(func() {
			if _, err := w.Look(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(benchRows/raw.Seconds(), "raw_people/s")
		b.ReportMetric(benchRows/take.Seconds(), "items/s")
		b.ReportMetric(benchRows/match.Seconds(), "people/s")
		b.ReportMetric(match.Seconds()/raw.Seconds(), "match/raw")
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "grown_MiB")
	}
}

func timed(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

func writePeople(b *testing.B, path string) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	out := bufio.NewWriter(f)
	for n := range benchRows {
		fmt.Fprintf(out, `{"key": "c-%d", "emails": [%q], "phones": ["+1415%07d"]}`+"\n", n, mail(n+benchRows), n)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// readRaw reads the people and hashes each value, and does nothing else.
func readRaw(b *testing.B, path string) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var h drop.Holding
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			b.Fatal(err)
		}
		for _, v := range append(h.Emails, h.Phones...) {
			sha256.Sum256([]byte(v))
		}
	}
	if err := lines.Err(); err != nil {
		b.Fatal(err)
	}
}
