package coordinator

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
)

// What a connector found comes once. A coordinator that has just started may
// read it before it has heard of the connector, and must not refuse it.
func TestDiscoveredBeforeTheConnectorIsKnown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Yields: []string{"device_id"}})
	stop := r.start(nil)
	r.known("crm")
	stop()
	crm.Leave() // or its next sign of life would announce the stranger's key

	late := r.room(nil)
	job := &habeasv1.Job{JobId: string(request.NewID()), RequestId: string(request.NewID()), SealerKey: r.seal.Public()}
	stranger, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	own := crm.Seal
	for _, c := range []struct {
		name string
		seal wire.SealKey
		want bool
	}{{"by the key it announced", own, true}, {"by another key", stranger, false}} {
		crm.Seal = c.seal
		msg := crm.Discovered(job, []*habeasv1.Identifier{{Kind: "device_id", Value: "d-1"}})
		if _, err := r.bus.JS.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		consumer, err := r.bus.JS.Consumer(t.Context(), wire.StreamDiscovered, wire.ConsumerCoordinatorDiscovered)
		if err != nil {
			t.Fatal(err)
		}
		arrived, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		f, err := late.open(t.Context(), arrived)
		if err != nil || (f != nil) != c.want {
			t.Errorf("sealed %s: %+v, %v", c.name, f, err)
		}
		if f != nil && (f.connector != "crm" || len(f.found) != 1) {
			t.Errorf("read as %+v", f)
		}
		if c.want { // the other was refused, which settles it
			if err := arrived.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
