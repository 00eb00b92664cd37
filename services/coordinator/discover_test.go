package coordinator

import (
	"fmt"
	"slices"
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

// More identifiers than one person has are strangers': none is acted on, and
// somebody has to look.
func TestDiscoveredStrangers(t *testing.T) {
	key, _, err := newRig(t).vault.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := newSim(t, request.Delete, []string{"email"}, connector("crm", "email").resolves("device_id"), connector("ads", "device_id"))
	own := []request.Identifier{request.NewIdentifier(request.Email, "jane@example.com")}
	m.s.Request.Sealed = key.SealIdentifiers(m.s.Request.ID, own)
	m.step()
	f := &find{request: m.s.Request.ID, job: m.resolve("crm").ID, connector: "crm"}
	for i := range maxIdentifiers {
		f.found = append(f.found, request.NewIdentifier(request.DeviceID, fmt.Sprintf("d-%d", i)))
	}
	m.run(func(st *step) {
		if err := st.merge(key, f); err != nil {
			t.Fatal(err)
		}
	})
	ids, err := key.OpenIdentifiers(m.s.Request.ID, m.s.Request.Sealed)
	if err != nil || !slices.Equal(ids, own) {
		t.Errorf("%d identifiers are in hand, %v", len(ids), err)
	}
	if j := m.resolve("crm"); j.State != request.JobFailed || j.Code != "ambiguous" || m.s.Request.Attention != AttentionFailed {
		t.Errorf("the job is %s (%s), attention %q", j.State, j.Code, m.s.Request.Attention)
	}
	m.take(m.answer(m.resolve("crm"), &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}}))
	m.jobState(m.resolve("crm"), request.JobFailed)
}
