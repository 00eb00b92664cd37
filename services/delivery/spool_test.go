package delivery

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

// mute is a server that passes questions about streams on to a bus and answers
// no others: so does one that is killed between a question and its answer.
func mute(t *testing.T, b *wiretest.Bus) jetstream.JetStream {
	t.Helper()
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
	for subject, answer := range map[string]nats.MsgHandler{
		"$JS.API.STREAM.INFO.>": func(m *nats.Msg) {
			if said, err := b.Conn.Request(m.Subject, m.Data, 10*time.Second); err == nil {
				_ = m.Respond(said.Data)
			}
		},
		"$JS.API.DIRECT.GET.>":      func(*nats.Msg) {},
		"$JS.API.STREAM.MSG.GET.>":  func(*nats.Msg) {},
		"$JS.API.CONSUMER.CREATE.>": func(*nats.Msg) {},
	} {
		if _, err := conn.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// An answer that was lost with the bus must not hold a builder of packages for
// as long as reading a part may take.
func TestAnswerLostWithTheBus(t *testing.T) {
	b := wiretest.New(t)
	if _, err := b.JS.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: wire.ExportBucket("crm")}); err != nil {
		t.Fatal(err)
	}
	whole, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := bus{mute(t, b), 100 * time.Millisecond}.Open(whole, "crm", "part")
	if err == nil || errors.Is(err, ErrPart) || whole.Err() != nil {
		t.Fatalf("opening a part ends with %v, and its caller's context with %v; want an error that may pass, long before", err, whole.Err())
	}
}
