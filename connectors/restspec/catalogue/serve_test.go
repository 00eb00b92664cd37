package catalogue_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

// desk plays the coordinator for one entry of the catalogue on a real bus.
type desk struct {
	t      *testing.T
	bus    *wiretest.Bus
	seal   wire.SealKey
	keys   sdk.Keys
	m      sdk.Manifest
	c      sdk.Connector
	seen   uint64
	record map[string][]*habeasv1.Outcome
}

func openDesk(t *testing.T, name string, vendor vendortest.Vendor) *desk {
	t.Helper()
	d := &desk{t: t, bus: wiretest.New(t), record: map[string][]*habeasv1.Outcome{}}
	srv := httptest.NewServer(vendor)
	t.Cleanup(srv.Close)
	prog, err := restspec.FromCatalogue(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d.m, d.c, err = prog.Open(restspec.Options{
		Name: name, Version: "1", Base: srv.URL, Dir: dir, Unlimited: true, Manifest: restspec.ManifestSpec{BatchSize: 5, BatchWindow: restspec.Duration(20 * time.Second)},
		Secret: func(name string) (sdk.Secret, error) { return sdk.Secret(vendortest.SecretValue(name)), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.seal, err = wire.NewSealKey(); err != nil {
		t.Fatal(err)
	}
	if d.keys, err = sdk.LoadKeys(dir); err != nil {
		t.Fatal(err)
	}
	if err := wire.EnsureConnector(t.Context(), d.bus.JS, name, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("", nats.InProcessServer(d.bus.Server), nats.CustomInboxPrefix(wire.InboxPrefix(name)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- sdk.Serve(ctx, sdk.ServeConfig{
			Conn: conn, Manifest: d.m, Connector: d.c, Keys: d.keys, StateDir: dir, CoordinatorKey: d.seal.Public(), Grace: time.Second,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
		conn.Close()
	})
	return d
}

// send sends a job about a user.
func (d *desk) send(id string, action habeasv1.Action, attempt int32, user string, received time.Time) {
	d.t.Helper()
	sealed, err := d.seal.SealSubject(&habeasv1.Subject{JobId: id, Identifiers: []*habeasv1.Identifier{{Kind: string(sdk.UserID), Value: user}}}, d.keys.Seal.Public())
	if err != nil {
		d.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(id))
	msg, err := wire.JobMessage(&habeasv1.Job{
		JobId: id, RequestId: "req-" + id, Connector: d.m.Name, Action: action, SealedSubject: sealed, SealerKey: d.seal.Public(),
		SubjectCommitment: sum[:], PlanDigest: sum[:], ManifestDigest: sdk.ManifestDigest(d.m, d.c),
		Regime: "us-ca-ccpa", Right: "delete", ReceiveTime: timestamppb.New(received), DueTime: timestamppb.Now(), Attempt: attempt,
	})
	if err == nil {
		_, err = d.bus.JS.PublishMsg(d.t.Context(), msg)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// outcome waits for the nth outcome of a job.
func (d *desk) outcome(id string, n int) *habeasv1.Outcome {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		stream, err := d.bus.JS.Stream(d.t.Context(), wire.StreamEvidence)
		if err != nil {
			d.t.Fatal(err)
		}
		for last := stream.CachedInfo().State.LastSeq; d.seen < last; d.seen++ {
			msg, err := stream.GetMsg(d.t.Context(), d.seen+1)
			if err != nil {
				d.t.Fatal(err)
			}
			r, err := wire.ParseRecord(msg.Data)
			if err != nil {
				d.t.Fatal(err)
			}
			if strings.Contains(fmt.Sprint(r.Predicate), "user-") {
				d.t.Error("a record shows an identifier")
			}
			if o, ok := r.Predicate.(*habeasv1.OutcomeRecord); ok {
				d.record[o.GetJobId()] = append(d.record[o.GetJobId()], o.GetOutcome())
			}
		}
		if have := d.record[id]; len(have) >= n {
			return have[n-1]
		}
		select {
		case <-deadline:
			d.t.Fatalf("waited in vain for outcome %d of %s", n, id)
		case <-tick.C:
		}
	}
}

// TestServeSegment takes five deletions off a real bus: one regulation for all,
// deferred until Segment is finished, then done; a later look for the same
// request finds nothing, and a later request is taken anew.
func TestServeSegment(t *testing.T) {
	vendor, ok := newSegment().(*segment)
	if !ok {
		t.Fatal("the fake of Segment is of another type")
	}
	for n := range 5 {
		vendor.Plant(n)
	}
	d := openDesk(t, "segment", vendor)
	received := time.Now().Add(-time.Minute)
	for n := range 5 {
		d.send(fmt.Sprintf("job-%d", n), habeasv1.Action_ACTION_ERASE, 1, userID(n), received)
	}
	for n := range 5 {
		o := d.outcome(fmt.Sprintf("job-%d", n), 1)
		if o.GetDeferred() == nil || o.GetStores()[0].GetLocatedCount() != 1 {
			t.Fatalf("person %d: %v, want deferred", n, o)
		}
	}
	vendor.Finish()
	for n := range 5 {
		d.send(fmt.Sprintf("job-%d", n), habeasv1.Action_ACTION_ERASE, 2, userID(n), received)
	}
	for n := range 5 {
		o := d.outcome(fmt.Sprintf("job-%d", n), 2)
		if o.GetDone() == nil || o.GetStores()[0].GetLocatedCount() != 1 || o.GetStores()[0].GetRemainingCount() != 0 {
			t.Errorf("person %d: %v, want done", n, o)
		}
	}
	if dump := vendor.Dump(); len(dump) > 0 {
		t.Errorf("the vendor still holds %v", dump)
	}
	if n := len(vendor.works); n != 1 {
		t.Errorf("%d regulations for five people", n)
	}
	d.send("look-1", habeasv1.Action_ACTION_LOCATE, 1, userID(0), received)
	d.send("look-2", habeasv1.Action_ACTION_LOCATE, 1, userID(0), time.Now().Add(time.Minute))
	for n := range 3 { // company, so that the batch is full
		d.send(fmt.Sprintf("fill-%d", n), habeasv1.Action_ACTION_LOCATE, 1, userID(n+1), received)
	}
	if o := d.outcome("look-1", 1); o.GetNoMatch() == nil {
		t.Errorf("a later look: %v, want no match", o)
	}
	if o := d.outcome("look-2", 1); o.GetDone() == nil {
		t.Errorf("a later request: %v, want it located", o)
	}
}
