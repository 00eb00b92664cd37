//go:build !race

// The server's own clients race with its starting JetStream again, inside the
// server; the end-to-end test of a full disk does the same without the detector.

package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestJetStreamComesBack: the server stops JetStream, as it does on a full
// disk; once there is room it works again, with what was stored.
func TestJetStreamComesBack(t *testing.T) {
	b, err := startBroker(t.TempDir(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	conn, err := nats.Connect(b.url, nats.UserInfo(roomsUser, b.passwords[roomsUser]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "kept", []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := b.server.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if b.server.JetStreamEnabled() {
		t.Fatal("JetStream has not stopped")
	}
	deadline := time.After(30 * time.Second)
	for {
		if stream, err := js.Stream(t.Context(), "KEPT"); err == nil {
			if n := stream.CachedInfo().State.Msgs; n != 1 {
				t.Errorf("%d messages are left, want 1", n)
			}
			break
		}
		select {
		case <-deadline:
			t.Fatal("JetStream did not come back in 30 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
	if _, err := js.Publish(t.Context(), "kept", []byte("after")); err != nil {
		t.Errorf("publishing after it came back: %v", err)
	}
}
