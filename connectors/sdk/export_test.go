package sdk

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A bus that takes a question and dies before it answers holds no export until
// the end of its call.
func TestExportBucketIsNotWaitedForLong(t *testing.T) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	var asked atomic.Int32
	if _, err := conn.Subscribe("$JS.API.STREAM.INFO.>", func(*nats.Msg) { asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	exports := exportStore{within: 100 * time.Millisecond}
	if _, err := exports.open(ctx, js, "crm"); err == nil || ctx.Err() != nil {
		t.Errorf("opening the bucket ends with %v and the call with %v, want an error long before the call's end", err, ctx.Err())
	}
	if err := conn.Drain(); err != nil || asked.Load() == 0 {
		t.Errorf("the bus was asked %d times, %v", asked.Load(), err)
	}
}
