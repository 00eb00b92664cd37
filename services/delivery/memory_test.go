package delivery_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/services/delivery"
)

// folder is a Source of parts in files, so that they are not on the heap.
type folder string

func (f folder) Open(_ context.Context, connector, object string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(f), connector+"-"+filepath.Base(object)))
}

// bigOrder writes parts of n bytes of records altogether.
func bigOrder(t testing.TB, dir string, n int64, parts int) delivery.Order {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o := delivery.Order{RequestID: "big", Regime: "us-ca-ccpa", Right: "know_specific", ReceivedAt: received, Identity: identity}
	for i := range parts {
		p := delivery.Part{Connector: "analytics", Object: fmt.Sprintf("job/%d", i), Store: fmt.Sprintf("events%d", i), Categories: []string{"F"}}
		path := filepath.Join(dir, fmt.Sprintf("analytics-%d", i))
		if p.Records, err = writeBigPart(path, p.Store, n/int64(parts), identity.Recipient()); err != nil {
			t.Fatal(err)
		}
		sealed, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.New()
		if p.Size, err = io.Copy(digest, sealed); err != nil {
			t.Fatal(err)
		}
		if err := sealed.Close(); err != nil {
			t.Fatal(err)
		}
		digest.Sum(p.SHA256[:0])
		o.Parts = append(o.Parts, p)
	}
	return o
}

func writeBigPart(path, store string, n int64, to age.Recipient) (records int64, err error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sealed, err := age.Encrypt(file, to)
	if err != nil {
		return 0, err
	}
	gz, err := gzip.NewWriterLevel(sealed, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(gz, 64<<10)
	if _, err := fmt.Fprintf(w, "{\"store\":%q,\"category\":\"F\"}\n", store); err != nil {
		return 0, err
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var token [16]byte
	for written := int64(0); written < n; records++ {
		for i := range token {
			token[i] = byte(rnd.Uint32())
		}
		m, err := fmt.Fprintf(w, `{"category":"","fields":[{"name":"at","value":"2026-10-%02dT12:%02d:00Z"},{"name":"page","value":"https://app.example.com/projects/%d/settings?tab=members&from=email"},{"name":"visitor","value":"%s"},{"name":"duration_ms","value":%d},{"name":"agent","value":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36"},{"name":"referrer","value":null}]}`+"\n",
			1+rnd.IntN(28), rnd.IntN(60), rnd.IntN(100_000), hex.EncodeToString(token[:]), rnd.IntN(100_000))
		if err != nil {
			return 0, err
		}
		written += int64(m)
	}
	return records, errors.Join(w.Flush(), gz.Close(), sealed.Close())
}

// peakHeap runs fn and returns the most memory that was in use meanwhile,
// beyond what there was before: reachable, and with the garbage not collected
// yet, which depends on how busy the machine is.
func peakHeap(fn func()) (live, all int64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	read := func() (live, all int64) {
		metrics.Read(samples)
		return int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
	}
	runtime.GC()
	liveBefore, allBefore := read()
	var peakLive, peakAll atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l, a := read()
				peakLive.Store(max(peakLive.Load(), l))
				peakAll.Store(max(peakAll.Load(), a))
			case <-stop:
				return
			}
		}
	}()
	fn()
	close(stop)
	<-done
	return peakLive.Load() - liveBefore, peakAll.Load() - allBefore
}

func bigRoom(t testing.TB, parts string) *delivery.Room {
	t.Helper()
	room, err := delivery.New(delivery.Config{Source: folder(parts), Packages: t.TempDir(), SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// TestMemoryDoesNotGrow makes packages of little and of much and compares the
// peaks of the heap. The race detector makes everything several times slower,
// so there the much is less.
func TestMemoryDoesNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a package of 200 MB")
	}
	much := int64(200 << 20)
	if raceEnabled {
		much = 12 << 20
	}
	var peaks []int64
	for _, size := range []int64{much / 20, much} {
		dir := t.TempDir()
		room, order := bigRoom(t, dir), bigOrder(t, dir, size, 3)
		var result delivery.Result
		var err error
		start := time.Now()
		peak, all := peakHeap(func() { result, err = room.Build(t.Context(), order) })
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d MB of records (%d), a zip of %d MB, %v, peak heap %.1f MB, %.1f with garbage", size>>20, result.Records, result.Size>>20,
			time.Since(start).Round(time.Millisecond), float64(peak)/(1<<20), float64(all)/(1<<20))
		peaks = append(peaks, peak)
	}
	// What is allocated while the collector runs counts as live, and on a busy
	// machine it runs for long: the bound leaves room for that, and is far below
	// what holding the records would take.
	limit := int64(40 << 20)
	if raceEnabled {
		limit = 2*max(peaks[0], 2<<20) + 4<<20 // the little may be over before it is looked at once
	}
	if peaks[1] > limit {
		t.Errorf("twenty times the records took %d MB of heap, up from %d; more than %d", peaks[1]>>20, peaks[0]>>20, limit>>20)
	}
}

// BenchmarkBuild2GB makes a package of 2 GB of records and reports the peak of
// the heap.
func BenchmarkBuild2GB(b *testing.B) {
	const size = 2 << 30
	dir := b.TempDir()
	room, order := bigRoom(b, dir), bigOrder(b, dir, size, 4)
	b.SetBytes(size)
	for b.Loop() {
		var err error
		peak, all := peakHeap(func() { _, err = room.Build(b.Context(), order) })
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(peak)/(1<<20), "live-MB")
		b.ReportMetric(float64(all)/(1<<20), "heap-MB")
	}
}
