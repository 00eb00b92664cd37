package manual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

// office is the connector on a real bus, with the coordinator and the console
// played by the test.
type office struct {
	t                    *testing.T
	bus                  *wiretest.Bus
	manifest             *habeasv1.Manifest
	coordinator, console wire.SealKey
	calls                int
	// recipient is whom copies are sealed to.
	recipient string
}

func sealKey(t *testing.T) wire.SealKey {
	t.Helper()
	k, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, bus: wiretest.New(t), coordinator: sealKey(t), console: sealKey(t)}
	if err := wire.EnsureConnector(t.Context(), o.bus.JS, "archive", wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	s := archive
	s.Can = abilities
	m, c, err := New(s, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.Name, m.Version = "archive", "1"
	state := t.TempDir()
	keys, err := sdk.LoadKeys(state)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("", nats.InProcessServer(o.bus.Server), nats.CustomInboxPrefix(wire.InboxPrefix("archive")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- sdk.Serve(ctx, sdk.ServeConfig{
			Conn: conn, Manifest: m, Connector: c, Keys: keys, StateDir: state, CoordinatorKey: o.coordinator.Public(), DeskKey: o.console.Public(),
			Beat: 50 * time.Millisecond, OnReady: func() {
				select {
				case ready <- struct{}{}:
				default:
				}
			},
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	<-ready
	o.until("the connector is announced", func() bool {
		kv, err := o.bus.JS.KeyValue(t.Context(), wire.BucketConnectors)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := kv.Get(t.Context(), "archive")
		if err != nil {
			return false
		}
		o.manifest = &habeasv1.Manifest{}
		return proto.Unmarshal(entry.Value(), o.manifest) == nil
	})
	return o
}

func (o *office) until(what string, is func() bool) {
	o.t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			o.t.Fatalf("after 60 s still not: %s", what)
		}
	}
}

// send gives the connector the erasure's job and returns the answer to it.
func (o *office) send(attempt int32) *habeasv1.OutcomeRecord {
	o.t.Helper()
	return o.sendTo(habeasv1.Action_ACTION_ERASE, attempt)
}

// sendTo gives the connector a job and returns the answer to it.
func (o *office) sendTo(action habeasv1.Action, attempt int32, corrections ...*habeasv1.Correction) *habeasv1.OutcomeRecord {
	o.t.Helper()
	sealed, err := o.coordinator.SealSubject(&habeasv1.Subject{JobId: jobID, Identifiers: []*habeasv1.Identifier{{Kind: "email", Value: planted}}, Corrections: corrections}, o.manifest.GetSealKey())
	if err != nil {
		o.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(jobID))
	msg, err := wire.JobMessage(&habeasv1.Job{
		JobId: jobID, RequestId: "r1", Connector: "archive", Action: action, SealedSubject: sealed, SealerKey: o.coordinator.Public(),
		SubjectCommitment: sum[:], PlanDigest: sum[:], ManifestDigest: o.manifest.GetDigest(), Right: "delete", Attempt: attempt,
		ExportRecipient: o.recipient, ReceiveTime: timestamppb.Now(), DueTime: timestamppb.New(time.Now().AddDate(0, 0, 45)),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.bus.JS.PublishMsg(o.t.Context(), msg); err != nil {
		o.t.Fatal(err)
	}
	var answer *habeasv1.OutcomeRecord
	o.until(fmt.Sprintf("attempt %d is answered", attempt), func() bool {
		for _, rec := range o.records() {
			if p, ok := rec.Predicate.(*habeasv1.OutcomeRecord); ok && p.GetAttempt() == attempt {
				answer = p
			}
		}
		return answer != nil
	})
	return answer
}

func (o *office) records() (out []*wire.Record) {
	o.t.Helper()
	stream, err := o.bus.JS.Stream(o.t.Context(), wire.StreamEvidence)
	if err != nil {
		o.t.Fatal(err)
	}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(o.t.Context(), seq)
		if err != nil {
			o.t.Fatal(err)
		}
		rec, err := wire.ParseRecord(msg.Data)
		if err != nil {
			o.t.Fatal(err)
		}
		if text, err := protojson.Marshal(rec.Predicate); err != nil || bytes.Contains(text, []byte("planted")) {
			o.t.Errorf("a %s record names somebody: %v", rec.Type, err)
		}
		out = append(out, rec)
	}
	return out
}

// call asks as the console does.
func (o *office) call(by wire.SealKey, q *habeasv1.TaskQuestion) (*habeasv1.TaskAnswer, error) {
	o.t.Helper()
	o.calls++
	q.CallId, q.Who = fmt.Sprintf("call-%d", o.calls), "ana"
	sealed, err := by.SealQuestion(q, o.manifest.GetSealKey())
	if err != nil {
		o.t.Fatal(err)
	}
	body, err := proto.Marshal(&habeasv1.TaskCall{CallId: q.GetCallId(), Connector: "archive", SealedQuestion: sealed, SealerKey: by.Public()})
	if err != nil {
		o.t.Fatal(err)
	}
	replies := make(chan *nats.Msg, 1)
	at := wire.TaskedSubject("archive", q.GetCallId())
	sub, err := o.bus.Conn.ChanSubscribe(at, replies)
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := o.bus.Conn.PublishRequest(wire.TaskSubject("archive"), at, body); err != nil {
		o.t.Fatal(err)
	}
	wait := 60 * time.Second
	if by.Public() != o.console.Public() {
		wait = 300 * time.Millisecond // no answer is what is wanted
	}
	select {
	case m := <-replies:
		r := &habeasv1.TaskReply{}
		if err := proto.Unmarshal(m.Data, r); err != nil {
			o.t.Fatal(err)
		}
		if bytes.Contains(m.Data, []byte("planted")) {
			o.t.Error("an answer on the bus can be read")
		}
		return by.OpenAnswer(r.GetSealedAnswer(), o.manifest.GetSealKey(), q.GetCallId())
	case <-time.After(wait):
		return nil, context.DeadlineExceeded
	}
}

func (o *office) says(change func(*habeasv1.TaskChange)) {
	o.t.Helper()
	a, err := o.call(o.console, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Open{Open: &habeasv1.TaskOpen{TaskId: jobID}}})
	if err != nil || len(a.GetPerson()) != 1 || a.GetPerson()[0].GetValue() != planted {
		o.t.Fatalf("opening the task: %v, %s", err, a.GetProblem())
	}
	ch := &habeasv1.TaskChange{TaskId: jobID, Version: a.GetTasks()[0].GetVersion()}
	change(ch)
	if a, err = o.call(o.console, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Change{Change: ch}}); err != nil || a.GetProblem() != "" {
		o.t.Fatalf("changing the task: %v, %s %s", err, a.GetProblem(), a.GetDetail())
	}
}

// A whole erasure over the bus: what was located is on record before anybody
// erases, the outcome names the document, and nobody but the one desk is answered.
func TestErasureOverTheBus(t *testing.T) {
	o := newOffice(t)
	if !o.manifest.GetDesk() || !o.manifest.GetScopes() {
		t.Errorf("the manifest says %v", o.manifest)
	}
	first := o.send(1).GetOutcome().GetDeferred()
	if until := time.Until(first.GetUntilTime().AsTime()); until < 23*time.Hour || until > 25*time.Hour {
		t.Errorf("put off for %s", until)
	}
	list := &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{}}}
	if a, err := o.call(sealKey(t), list); err == nil {
		t.Errorf("a stranger at the desk is told of %d tasks", len(a.GetTasks()))
	}
	o.says(func(c *habeasv1.TaskChange) { c.Change = &habeasv1.TaskChange_Result{Result: there(3, 1, 0)} })
	if got := o.send(2).GetOutcome(); got.GetDeferred() == nil {
		t.Fatalf("answered %v before anybody erased", got)
	}
	located := false
	for _, rec := range o.records() {
		located = located || rec.Type == wire.RecordLocated
	}
	if !located {
		t.Error("what was located is not on record before the erasure")
	}
	proof := []byte("a photograph")
	o.says(func(c *habeasv1.TaskChange) {
		c.Change = &habeasv1.TaskChange_Attach{Attach: &habeasv1.TaskProof{MediaType: "image/png", Content: proof}}
	})
	o.says(func(c *habeasv1.TaskChange) { c.Change = &habeasv1.TaskChange_Result{Result: there(1, 1, 0)} })
	rec := o.send(3)
	r := rec.GetOutcome().GetRetained()
	if r == nil || r.GetBasis() != "ccpa-1798.105(d)(8)" {
		t.Fatalf("answered %v", rec.GetOutcome())
	}
	counts := rec.GetOutcome().GetStores()[0]
	if counts.GetStore() != "cabinet" || counts.GetLocatedCount() != 3 || counts.GetRemainingCount() != 0 || counts.GetKeptCount() != 1 {
		t.Errorf("counts %v", counts)
	}
	if sum := sha256.Sum256(proof); len(rec.GetProofSha256()) != 1 || !bytes.Equal(rec.GetProofSha256()[0], sum[:]) {
		t.Errorf("proofs %x", rec.GetProofSha256())
	}
}
