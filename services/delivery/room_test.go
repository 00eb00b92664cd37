package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/habeas-data/habeas/services/delivery"
)

// desk is Orders in memory.
type desk struct {
	orders chan delivery.Order
	ended  chan string // "done <id>" or "failed <id>"
	next   func() error
}

func (d *desk) Next(ctx context.Context) (delivery.Order, error) {
	if d.next != nil {
		if err := d.next(); err != nil {
			return delivery.Order{}, err
		}
	}
	select {
	case o := <-d.orders:
		return o, nil
	case <-ctx.Done():
		return delivery.Order{}, ctx.Err()
	}
}

func (d *desk) Done(_ context.Context, id string, r delivery.Result) error {
	if r.Key == "" {
		return errors.New("no key")
	}
	d.ended <- "done " + id
	return nil
}

func (d *desk) Fail(_ context.Context, id string, err error) error {
	if err == nil {
		return errors.New("no error")
	}
	d.ended <- "failed " + id
	return nil
}

func TestRun(t *testing.T) {
	f := newFixture(t)
	var mu sync.Mutex
	var log bytes.Buffer
	room, err := delivery.New(delivery.Config{
		Source: f.exports, Packages: f.dir, Now: func() time.Time { return made },
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.part("crm", "contacts", fields{"email", "jane@example.com"})
	good := f.order
	bad := f.order
	bad.RequestID = "req-2"
	bad.Parts = append([]delivery.Part(nil), good.Parts...)
	bad.Parts[0].Records = 7

	failures := 2
	d := &desk{orders: make(chan delivery.Order), ended: make(chan string, 2), next: func() error {
		mu.Lock()
		defer mu.Unlock()
		if failures--; failures >= 0 {
			return errors.New("the database is away")
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- room.Run(ctx, d) }()
	d.orders <- good
	d.orders <- bad
	ended := map[string]bool{<-d.ended: true, <-d.ended: true}
	if !ended["done req-1"] || !ended["failed req-2"] {
		t.Errorf("ended: %v", ended)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("a stop that was asked for: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"the database is away", "package made", "package not made", "connector crm"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if strings.Contains(log.String(), "jane") {
		t.Error("the log names somebody")
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

func TestSweep(t *testing.T) {
	f := newFixture(t)
	f.part("crm", "contacts", fields{"a", 1})
	old, kept := f.build(), f.build()
	leftover := filepath.Join(f.dir, "req-1", "x.zip.age.17.tmp")
	writing := filepath.Join(f.dir, "req-1", "y.zip.age.18.tmp")
	for _, path := range []string{leftover, writing} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, age := range map[string]time.Duration{
		filepath.Join(f.dir, old.result.Key): 25 * time.Hour, filepath.Join(f.dir, kept.result.Key): 23 * time.Hour,
		leftover: 2 * time.Hour, writing: time.Minute,
	} {
		if err := os.Chtimes(path, made.Add(-age), made.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	n, err := f.room.Sweep(t.Context())
	if err != nil || n != 2 {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, _, err := f.room.Open(t.Context(), old.result.Key, f.identity); !errors.Is(err, delivery.ErrNotFound) {
		t.Errorf("the old package: %v", err)
	}
	f.open(kept.result)
	if keys, err := f.room.Stored(t.Context()); err != nil || len(keys) != 2 {
		t.Errorf("left: %v, %v", keys, err)
	}
}

// stuck is a Source that sends a little and then nothing.
type stuck struct{ closed chan struct{} }

func (s *stuck) Open(context.Context, string, string) (io.ReadCloser, error) { return s, nil }

func (s *stuck) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.ErrClosedPipe
}

func (s *stuck) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

func TestStall(t *testing.T) {
	f := newFixture(t)
	f.part("crm", "contacts", fields{"a", 1})
	packages, spool := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		room, err := delivery.New(delivery.Config{Source: &stuck{closed: make(chan struct{})}, Packages: packages, SpoolDir: spool})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = room.Build(t.Context(), f.order)
		if err == nil || !strings.Contains(err.Error(), "no data for 1m0s") || errors.Is(err, delivery.ErrPart) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
	if entries, err := os.ReadDir(spool); err != nil || len(entries) != 0 {
		t.Errorf("left in the spool: %v, %v", entries, err)
	}
}

func TestCancel(t *testing.T) {
	f := newFixture(t)
	f.part("crm", "contacts", fields{"a", 1})
	ctx, cancel := context.WithCancel(t.Context())
	f.room.BreakScan(func(v string) error {
		if v == "1" {
			cancel() // in the middle of the survey
		}
		return nil
	})
	if _, err := f.room.Build(ctx, f.order); !errors.Is(err, context.Canceled) || errors.Is(err, delivery.ErrPart) {
		t.Errorf("error = %v", err)
	}
	f.nothingStored()
}

func TestReady(t *testing.T) {
	f := newFixture(t)
	if err := f.room.Ready(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	if err := f.room.Ready(); err == nil || !strings.Contains(err.Error(), "packages") {
		t.Errorf("without its folder: %v", err)
	}
}

func TestNew(t *testing.T) {
	if _, err := delivery.New(delivery.Config{Packages: t.TempDir()}); err == nil {
		t.Error("no source, no error")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{file, "nowhere://bucket"} {
		if _, err := delivery.New(delivery.Config{Source: exports{}, Packages: where}); err == nil || !strings.Contains(err.Error(), "packages") {
			t.Errorf("%s: %v", where, err)
		}
	}
}
