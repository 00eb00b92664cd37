package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

func job() *habeasv1.Job {
	return &habeasv1.Job{
		JobId: "job-1", RequestId: "req-1", Connector: "billing", Action: habeasv1.Action_ACTION_ERASE, SealedSubject: []byte{1}, SealerKey: "X",
		SubjectCommitment: make([]byte, 32), PlanDigest: make([]byte, 32), DueTime: timestamppb.Now(), Attempt: 2,
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	msg, err := wire.JobMessage(job())
	if err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "habeas.v1.job.billing" || msg.Header.Get(nats.MsgIdHdr) != "job-1/2" || msg.Header.Get(wire.HeaderContentType) != wire.ContentProto {
		t.Errorf("subject %s, headers %v", msg.Subject, msg.Header)
	}
	want := job()
	have, err := wire.ParseJob(msg.Header, msg.Data)
	want.DueTime = have.GetDueTime()
	if diff := cmp.Diff(want, have, protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
	}

	d := &habeasv1.Discovered{JobId: "job-1", RequestId: "req-1", Connector: "crm", SealedSubject: []byte{1}, SealerKey: "X"}
	if msg, err = wire.DiscoveredMessage(d); err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "habeas.v1.discovered.crm" || wire.IssuerOf(msg.Subject) != "crm" {
		t.Errorf("subject %s", msg.Subject)
	}
	again, err := wire.DiscoveredMessage(d)
	if err != nil || again.Header.Get(nats.MsgIdHdr) != msg.Header.Get(nats.MsgIdHdr) {
		t.Errorf("what was found once has two ids: %v", err)
	}
	again, err = wire.DiscoveredMessage(&habeasv1.Discovered{JobId: "job-1", RequestId: "req-1", Connector: "crm", SealedSubject: []byte{2}, SealerKey: "X"})
	if err != nil || again.Header.Get(nats.MsgIdHdr) == msg.Header.Get(nats.MsgIdHdr) {
		t.Errorf("what was found anew has the id of what may be lost: %v", err)
	}
	if have, err := wire.ParseDiscovered(msg.Header, msg.Data); err != nil || !proto.Equal(d, have) {
		t.Errorf("%v: %v", err, have)
	}
	if _, err := wire.ParseJob(msg.Header, msg.Data); !errors.Is(err, wire.ErrType) {
		t.Errorf("a Discovered read as a job: %v", err)
	}

	l := &habeasv1.Logged{Origin: "log.example", Size: 7, Records: []*habeasv1.LoggedRecord{{Leaf: 6, Type: "outcome"}}}
	if msg, err = wire.LoggedMessage(l); err != nil {
		t.Fatal(err)
	}
	if have, err := wire.ParseLogged(msg.Header, msg.Data); err != nil || !proto.Equal(l, have) {
		t.Errorf("%v: %v", err, have)
	}

	r, err := newSigner(t).Sign(&habeasv1.KeyRecord{Owner: "billing"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	msg = wire.RecordMessage(r)
	if msg.Subject != "habeas.v1.evidence.billing" || wire.IssuerOf(msg.Subject) != "billing" || len(msg.Header.Get(nats.MsgIdHdr)) != 64 || string(msg.Data) != string(r.Envelope) {
		t.Errorf("subject %s, headers %v", msg.Subject, msg.Header)
	}
}

func TestCheckJobNamesTheField(t *testing.T) {
	if err := wire.CheckJob(job()); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*habeasv1.Job){
		"job_id":             func(j *habeasv1.Job) { j.JobId = strings.Repeat("x", 65) },
		"request_id":         func(j *habeasv1.Job) { j.RequestId = "" },
		"connector":          func(j *habeasv1.Job) { j.Connector = "Billing.>" },
		"action":             func(j *habeasv1.Job) { j.Action = 0 },
		"sealed_subject":     func(j *habeasv1.Job) { j.SealedSubject = nil },
		"sealer_key":         func(j *habeasv1.Job) { j.SealerKey = "" },
		"subject_commitment": func(j *habeasv1.Job) { j.SubjectCommitment = make([]byte, 31) },
		"plan_digest":        func(j *habeasv1.Job) { j.PlanDigest = nil },
		"due_time":           func(j *habeasv1.Job) { j.DueTime = nil },
		"attempt":            func(j *habeasv1.Job) { j.Attempt = 0 },
		"export_recipient":   func(j *habeasv1.Job) { j.Action = habeasv1.Action_ACTION_EXPORT },
	} {
		j := job()
		spoil(j)
		if err := wire.CheckJob(j); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s spoiled: %v", field, err)
		}
		if _, err := wire.JobMessage(j); err == nil {
			t.Errorf("%s spoiled: a message was made", field)
		}
	}
	j := job()
	j.SealedSubject = make([]byte, wire.MaxMessage)
	if _, err := wire.JobMessage(j); err == nil {
		t.Error("a message over the limit was made")
	}
}

func FuzzParseJob(f *testing.F) {
	msg, err := wire.JobMessage(job())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg.Data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		j, err := wire.ParseJob(msg.Header, body)
		if err == nil && wire.CheckJob(j) != nil {
			t.Error("a job was accepted that does not pass its own check")
		}
	})
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"billing": true, "crm-2": true, "": false, "Billing": false, "-x": false, "a.b": false, "a>": false, "a*": false, "2x": false, strings.Repeat("a", 41): false, "a\n": false,
	} {
		if err := wire.CheckName(name); (err == nil) != good {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
	if got := wire.IssuerOf("habeas.v1.job.billing"); got != "" {
		t.Errorf("the issuer of a job is %q", got)
	}
}

// TestPermissions: with the permissions of one connector nobody speaks for
// another, nor reads another's jobs.
func TestPermissions(t *testing.T) {
	publish, subscribe := wire.Permissions("billing")
	perms := &server.Permissions{Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe}}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Users: []*server.User{
		{Username: "all", Password: "x"}, {Username: "billing", Password: "x", Permissions: perms},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	refused := make(chan error, 1)
	conn, err := nats.Connect(s.ClientURL(), nats.UserInfo("billing", "x"), nats.CustomInboxPrefix(wire.InboxPrefix("billing")),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := errors.Join(conn.Publish(wire.EvidenceSubject("billing"), nil), conn.Flush(), conn.LastError()); err != nil {
		t.Errorf("its own evidence: %v", err)
	}
	// The server says so apart from the call itself.
	try := func(act func() error) error {
		t.Helper()
		if err := act(); err != nil {
			return err
		}
		select {
		case err := <-refused:
			return err
		case <-time.After(5 * time.Second):
			return nil
		}
	}
	for _, subject := range []string{
		wire.EvidenceSubject("crm"), wire.DiscoveredSubject("crm"), wire.JobSubject("billing"), wire.JobSubject("crm"), wire.EventSubject("req-1"), wire.SubjectLogged,
		"$KV." + wire.BucketConnectors + ".crm", "$JS.API.STREAM.DELETE." + wire.StreamJobs, "$JS.API.STREAM.PURGE." + wire.StreamEvidence,
		"$JS.API.CONSUMER.MSG.NEXT." + wire.StreamJobs + "." + wire.JobConsumer("crm"), "$JS.API.STREAM.MSG.GET." + wire.StreamJobs,
		"$JS.ACK." + wire.StreamJobs + "." + wire.JobConsumer("crm") + ".1", "$O." + wire.ExportBucket("crm") + ".C.x", "_INBOX_crm.x",
		"$JS.API.CONSUMER.CREATE." + wire.StreamJobs,
	} {
		if err := try(func() error { return conn.Publish(subject, nil) }); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("publishing to %s: %v, want a permission violation", subject, err)
		}
	}
	for _, subject := range []string{">", wire.JobSubject("billing"), wire.EvidenceSubject("*"), "_INBOX.>", "_INBOX_crm.>", "$JS.>"} {
		err := try(func() error { _, err := conn.SubscribeSync(subject); return err })
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribing to %s: %v, want a permission violation", subject, err)
		}
	}
}
