// Package wiretest runs a real NATS server with JetStream inside a test.
package wiretest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
)

// Bus is a running server and one connection to it.
type Bus struct {
	Server *server.Server
	Conn   *nats.Conn
	JS     jetstream.JetStream
	// URL is where other processes reach it; empty for New.
	URL string
}

// New starts a server without a port, in its own folder, makes the streams,
// and stops everything when the test ends.
func New(t testing.TB) *Bus {
	t.Helper()
	b := &Bus{Server: start(t, &server.Options{DontListen: true})}
	conn, err := nats.Connect("", nats.InProcessServer(b.Server), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return b.ready(t, conn)
}

// Listen is New with a loopback port, for tests of several processes.
func Listen(t testing.TB) *Bus {
	t.Helper()
	b := &Bus{Server: start(t, &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT})}
	b.URL = b.Server.ClientURL()
	conn, err := nats.Connect(b.URL, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return b.ready(t, conn)
}

func start(t testing.TB, opts *server.Options) *server.Server {
	t.Helper()
	opts.JetStream, opts.StoreDir, opts.NoSigs, opts.NoLog = true, t.TempDir(), true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatalf("making a NATS server: %v", err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready after 10 s")
	}
	return s
}

func (b *Bus) ready(t testing.TB, conn *nats.Conn) *Bus {
	t.Helper()
	t.Cleanup(conn.Close)
	b.Conn = conn
	var err error
	if b.JS, err = jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(4000)); err != nil {
		t.Fatalf("opening JetStream: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := wire.EnsureStreams(ctx, b.JS, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return b
}
