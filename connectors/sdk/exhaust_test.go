package sdk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/proto/wire"
)

// A job that ended the connector twenty times is answered as failed and not
// tried once more.
func TestExhaustedDeliveries(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 2)
	r := newRig(t, b)
	r.send(r.erase("poison", "ann@example.com"))
	consumer, err := r.js.Consumer(t.Context(), wire.StreamJobs, wire.JobConsumer("book"))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		msg, err := consumer.Next(jetstream.FetchMaxWait(deadline))
		if err != nil {
			t.Fatal(err)
		}
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	failed := r.outcome("poison").GetOutcome().GetFailed()
	if failed.GetCode() != "exhausted" || !failed.GetPermanent() {
		t.Errorf("outcome is failed{%q, permanent %v}, want exhausted for good", failed.GetCode(), failed.GetPermanent())
	}
	if b.erasures != 0 || b.total("ann@example.com") != 2 {
		t.Errorf("%d erasures, %d records left: it was tried once more", b.erasures, b.total("ann@example.com"))
	}
	r.drained()
}

// A system that says "not yet" for ever does not use the deliveries up: the
// job comes to wait at the coordinator.
func TestNotYetForEverIsDeferred(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 2)
	b.onErase = func(context.Context) error { return sdk.NotYet(time.Millisecond, errors.New("still working")) }
	r := newRig(t, b)
	r.start()
	r.send(r.erase("slow", "ann@example.com"))
	if r.outcome("slow").GetOutcome().GetDeferred() == nil {
		t.Errorf("outcome is %v, want deferred", r.outcome("slow").GetOutcome())
	}
	r.drained()
}
