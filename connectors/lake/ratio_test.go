package lake

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// BenchmarkTenThousand erases one person and ten thousand, turn by turn, out of
// the same files, each of which holds the one and some of the others, and
// reports how many times the time of one the many took.
func BenchmarkTenThousand(b *testing.B) {
	const files, rows, people = 8, 40_000, 100_000
	for _, name := range []string{"jsonl", "jsonl in gzip", "csv", "parquet"} {
		s := shapes[name]
		lake := map[string][]byte{}
		for f := range files {
			all := make([]visit, rows)
			for i := range all {
				n := (i*files + f) * 7919 % people
				if i%(rows/4) == 0 {
					n = 0
				}
				all[i] = visit{User: fmt.Sprintf("usr_%012d", n), Mail: "x@example.com", At: "2026-01-01T10:00:00Z", Page: fmt.Sprintf("/features/%d/time-tracking?from=search", i), Level: int64(i)}
			}
			var data []byte
			if name == "parquet" {
				data = writeParquet(b, slices.Collect(slices.Chunk(all, rows/4)), parquet.Compression(&parquet.Snappy))
			} else {
				data = s.pack(b, all)
			}
			lake[fmt.Sprintf("visits/dt=2026-01-0%d/part%s", f+1, s.ending)] = data
		}
		b.Run(name+"/folder", func(b *testing.B) {
			system := &visits{shape: s, dir: b.TempDir()}
			ratio(b, system, lake, func(key string, data []byte) {
				p := filepath.Join(system.dir, key)
				if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(p, data, 0o600); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(name+"/s3", func(b *testing.B) {
			system := &visits{shape: s, pail: newPail(b, false)}
			ratio(b, system, lake, func(key string, data []byte) { system.pail.put(b, key, bytes.Clone(data)) })
		})
	}
}

func ratio(b *testing.B, system *visits, files map[string][]byte, put func(key string, data []byte)) {
	b.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	_, c := system.Open(b)
	l, ok := c.(*Lake)
	if !ok {
		b.Fatalf("the connector is a %T", c)
	}
	took := map[int]time.Duration{}
	turn := func(n int) {
		b.StopTimer()
		for key, data := range files {
			put(key, data)
		}
		var people []sdk.Person
		for i := range n {
			people = append(people, sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("usr_%012d", i))))
		}
		b.StartTimer()
		start := time.Now()
		if errs := l.EraseBatch(b.Context(), people); errs != nil {
			b.Fatal(errs[0])
		}
		took[n] += time.Since(start)
	}
	turn(1) // so that neither pays for the beginning
	clear(took)
	b.ResetTimer()
	for b.Loop() {
		turn(1)
		turn(10_000)
	}
	b.ReportMetric(float64(took[10_000])/float64(took[1]), "times-one")
	b.ReportMetric(float64(took[1].Milliseconds())/float64(b.N), "ms-one")
	b.ReportMetric(float64(took[10_000].Milliseconds())/float64(b.N), "ms-10000")
}
