package lake

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// peak remembers how much of the heap was in use at most.
type peak struct{ base, most uint64 }

func newPeak() *peak {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return &peak{base: m.HeapAlloc}
}

func (p *peak) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	// What was in use before may be let go of later: a connection holds on to what it
	// sent for a while.
	p.base = min(p.base, m.HeapAlloc)
	p.most = max(p.most, m.HeapAlloc-p.base)
}

func (p *peak) want(t *testing.T, what string, limit uint64) {
	t.Helper()
	if p.most == 0 || p.most > limit {
		t.Errorf("%s: %d bytes of the heap were in use, want at most %d", what, p.most, limit)
	}
}

// counter is a writer of records that keeps none.
type counter struct {
	n    int
	peak *peak
}

func (c *counter) Write(context.Context, sdk.Record) error {
	if c.n++; c.n%20_000 == 0 {
		c.peak.look()
	}
	return nil
}

// TestS3Memory copies and erases out of a file much larger than what either may
// hold in memory.
func TestS3Memory(t *testing.T) {
	const size, limit = 64 << 20, 40 << 20
	p := newPail(t, false)
	pair := lines(adaView, bobView)
	pairs := size / len(pair)
	p.put(t, day2, []byte(strings.Repeat(pair, pairs)))
	l := p.open(t, mustMap(t, testMap))

	out := &counter{peak: newPeak()}
	if err := l.Export(t.Context(), ada, out); err != nil {
		t.Fatal(err)
	}
	if out.n != pairs {
		t.Errorf("%d records copied, want %d", out.n, pairs)
	}
	out.peak.want(t, "copying", limit)

	erasing := newPeak()
	l.bucket = &flaky{bucket: l.bucket, replacing: func(ctx context.Context, next bucket, key string, write writeFunc) (replaced, error) {
		return next.replace(ctx, key, func(src source, dst io.Writer) error {
			return write(src, watched{dst, erasing})
		})
	}}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	erasing.want(t, "erasing", limit)
	if got := len(p.get(t, day2)); got != pairs*len(lines(bobView)) {
		t.Errorf("%d bytes are left, want %d", got, pairs*len(lines(bobView)))
	}
	t.Logf("%d MiB: copying used %d MiB, erasing %d MiB", size>>20, out.peak.most>>20, erasing.most>>20)
}

type watched struct {
	io.Writer
	peak *peak
}

func (w watched) Write(p []byte) (int, error) {
	w.peak.look()
	return w.Writer.Write(p)
}
