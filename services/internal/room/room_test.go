package room_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/habeas-data/habeas/services/internal/room"
)

func TestGroup(t *testing.T) {
	boom := errors.New("boom")
	stopped := make(chan struct{})
	var g room.Group
	g.Add("done", func(context.Context) error { return nil })
	g.Add("waits", func(ctx context.Context) error { <-ctx.Done(); close(stopped); return ctx.Err() })
	g.Add("fails", func(context.Context) error { return boom })
	err := g.Run(t.Context())
	<-stopped
	if !errors.Is(err, boom) || err.Error() != "fails: boom" {
		t.Errorf("error = %v", err)
	}

	var asked room.Group
	asked.Add("waits", func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("waiting: %w", ctx.Err()) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := asked.Run(ctx); err != nil {
		t.Errorf("a stop that was asked for: %v", err)
	}
}

func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		wg.Go(func() {
			key, err := room.EvidenceKey(dir, "audit")
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(key)
		})
	}
	wg.Wait()
	for _, k := range keys[1:] {
		if k != keys[0] {
			t.Fatal("two starts at once made two keys")
		}
	}
	one, err := room.SealKey(dir, "coordinator")
	if err != nil {
		t.Fatal(err)
	}
	two, err := room.SealKey(dir, "coordinator")
	if err != nil || one.Public() != two.Public() {
		t.Errorf("second load: %v, %s and %s", err, one.Public(), two.Public())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want the 2 keys alone", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.evidence.key")
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := room.EvidenceKey(dir, "audit"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("garbage: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := room.EvidenceKey(dir, "audit"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by all: %v", err)
	}
	if _, err := room.SealKey(dir, "../x"); err == nil {
		t.Error("a name with a path was taken")
	}
}

func TestSecret(t *testing.T) {
	path := writeFile(t, "open sesame\r\n")
	secret, err := room.SecretFile(path).Read()
	if err != nil || secret.Reveal() != "open sesame" {
		t.Fatalf("read %q, %v", secret.Reveal(), err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", secret)
	for _, text := range []string{fmt.Sprintf("%v %s %q %x %#v", secret, secret, secret, secret, secret), fmt.Sprint(struct{ S room.Secret }{secret}), log.String()} {
		if strings.Contains(text, "sesame") || strings.Contains(text, "736573616d65") {
			t.Errorf("shown: %s", text)
		}
	}
	if s, err := room.SecretFile("").Read(); s != "" || err != nil {
		t.Errorf("no file: %v, %v", s, err)
	}
}

func TestPropagation(t *testing.T) {
	shutdown, metrics, err := room.Telemetry(t.Context(), "test", "v0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if metrics == nil {
		t.Error("no metrics handler")
	}
	ctx, span := otel.Tracer("test").Start(t.Context(), "publish")
	defer span.End()
	h := nats.Header{}
	room.Inject(ctx, h)
	if h.Get("traceparent") == "" {
		t.Fatalf("headers %v", h)
	}
	far := trace.SpanContextFromContext(room.Extract(t.Context(), h))
	if far.TraceID() != span.SpanContext().TraceID() || !far.IsRemote() {
		t.Errorf("far side has trace %v, want %v", far.TraceID(), span.SpanContext().TraceID())
	}
}
