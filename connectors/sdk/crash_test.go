package sdk_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// broker is a NATS server that can be stopped and started at its address.
type broker struct {
	t    testing.TB
	dir  string
	port int
	s    *server.Server
	js   jetstream.JetStream
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{t: t, dir: t.TempDir(), port: server.RANDOM_PORT}
	b.start()
	t.Cleanup(b.stop)
	conn, err := nats.Connect(b.url(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if b.js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	b.prepare()
	return b
}

func (b *broker) start() {
	b.t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: b.port, JetStream: true, StoreDir: b.dir, NoSigs: true, NoLog: true})
	if err != nil {
		b.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(deadline) {
		b.t.Fatal("the server is not ready")
	}
	b.s = s
	if b.port == server.RANDOM_PORT {
		if _, err := fmt.Sscanf(s.Addr().String(), "127.0.0.1:%d", &b.port); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *broker) stop() {
	b.s.Shutdown()
	b.s.WaitForShutdown()
}

func (b *broker) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", b.port) }

// prepare makes the streams, as the coordinator does when the bus is back. The
// connection may still be on its way.
func (b *broker) prepare() {
	b.t.Helper()
	var err error
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Second)
		err = wire.EnsureStreams(ctx, b.js, wire.StreamOptions{})
		if err == nil {
			err = wire.EnsureConnector(ctx, b.js, "book", wire.StreamOptions{AckWait: time.Second})
		}
		cancel()
		if err == nil {
			return
		}
	}
	b.t.Fatal(err)
}

func (b *broker) rig(t testing.TB, c sdk.Connector, change ...func(*sdk.ServeConfig)) *rig {
	r := newRigOn(t, b.js, c, change...)
	r.dial = func(opts ...nats.Option) (*nats.Conn, error) { return nats.Connect(b.url(), opts...) }
	b.prepare() // the rig's defaults wait longer for a dead reader
	return r
}

// diary is a system in a folder, one file for each person, for processes that
// die. Erase dies where crashEnv says, the first time.
type diary struct{ dir, crash string }

const (
	crashEnv = "HABEAS_SDK_CRASH" // "before" or "after" the act, or "never"
	diaryEnv = "HABEAS_SDK_DIARY"
	crashed  = 9 // exit code
)

func (d diary) file(p sdk.Person) string {
	return filepath.Join(d.dir, strings.Join(p.Values(sdk.Email), "+"))
}

func (d diary) Locate(_ context.Context, p sdk.Person) ([]sdk.Found, error) {
	text, err := os.ReadFile(d.file(p))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return []sdk.Found{{Store: "contacts", Count: int64(len(text))}}, err
}

func (d diary) Erase(_ context.Context, p sdk.Person) error {
	if d.crash == "before" {
		os.Exit(crashed)
	}
	if err := os.Remove(d.file(p)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if d.crash == "after" {
		os.Exit(crashed)
	}
	return nil
}

// TestMain becomes a connector's process when it is told to.
func TestMain(m *testing.M) {
	if crash := os.Getenv(crashEnv); crash != "" {
		sdk.Main("book", func(context.Context, sdk.Env) (sdk.Manifest, sdk.Connector, error) {
			return bookManifest(), diary{os.Getenv(diaryEnv), crash}, nil
		})
		return
	}
	os.Exit(m.Run())
}

// process starts this binary as a connector.
func process(t *testing.T, b *broker, state, diaryDir, crash string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+crash, diaryEnv+"="+diaryDir, "HABEAS_NATS_URL="+b.url(), "HABEAS_STATE_DIR="+state, "HABEAS_PARENT_PIPE=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != crashed {
			t.Errorf("the process: %v\n%s", err, stderr.String())
		}
	})
	return cmd
}

// TestCrash kills the process at the worst moments: just before the act, when
// nothing has happened, and just after it, when everything has and nobody
// knows. Either way the answer is what there was, and that it is gone.
func TestCrash(t *testing.T) {
	for _, crash := range []string{"before", "after"} {
		t.Run(crash, func(t *testing.T) {
			b := newBroker(t)
			r := b.rig(t, diary{})
			diaryDir := t.TempDir()
			file := filepath.Join(diaryDir, ann)
			if err := os.WriteFile(file, []byte("dear diary"), 0o600); err != nil {
				t.Fatal(err)
			}
			first := process(t, b, r.cfg.StateDir, diaryDir, crash)
			r.send(r.erase("job-1", ann))
			r.wait("the crash", func() bool { return exited(first) })
			if _, err := os.Stat(file); (err == nil) != (crash == "before") {
				t.Fatalf("after a crash %s the act: %v", crash, err)
			}
			if n := len(r.records()); n != 1 {
				t.Fatalf("%d records before the restart, want the located one", n)
			}
			process(t, b, r.cfg.StateDir, diaryDir, "never")
			o := r.outcome("job-1").GetOutcome()
			if o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 10 || counts(o, "contacts").GetRemainingCount() != 0 {
				t.Errorf("outcome %v, want done with 10 located", o)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Error("the records are still there")
			}
			r.drained()
		})
	}
}

// exited reports whether the process is gone; it is reaped later.
func exited(cmd *exec.Cmd) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(rest, []byte("Z"))
}

// TestReportCutOff stops the bus between the act and the report. Meanwhile the
// job is worked on again or not; in the end it is answered once or more, and
// always the same.
func TestReportCutOff(t *testing.T) {
	for _, patience := range []time.Duration{50 * time.Millisecond, 10 * time.Second} {
		t.Run(patience.String(), func(t *testing.T) {
			broker := newBroker(t)
			b := newBook().put(ann, "contacts", 2)
			cut := sync.OnceFunc(broker.stop)
			b.lostAnswer = func() error {
				cut()
				return nil
			}
			r := broker.rig(t, b, func(c *sdk.ServeConfig) { c.RetryFor = patience })
			r.start()
			r.send(r.erase("job-1", ann))
			r.wait("the act", func() bool { return b.total(ann) == 0 })
			broker.start()
			broker.prepare()
			for _, o := range r.outcomes("job-1", 1) {
				if o.GetOutcome().GetDone() == nil || counts(o.GetOutcome(), "contacts").GetLocatedCount() != 2 {
					t.Errorf("outcome %v, want done with 2 located", o)
				}
			}
			r.drained()
		})
	}
}

// TestBusWiped loses everything that was on the bus, answers among it, and has
// the coordinator send every job again.
func TestBusWiped(t *testing.T) {
	broker := newBroker(t)
	b := newBook()
	r := broker.rig(t, b)
	var jobs []*habeasv1.Job
	for i := range 20 {
		email := fmt.Sprintf("person%d@example.com", i)
		b.put(email, "contacts", int64(i+1))
		jobs = append(jobs, r.erase(fmt.Sprintf("job-%d", i), email))
	}
	r.start()
	r.send(jobs[:10]...)
	for _, j := range jobs[:10] {
		r.outcome(j.GetJobId())
	}
	broker.stop()
	if err := os.RemoveAll(filepath.Join(broker.dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	broker.start()
	broker.prepare()
	if n := len(r.records()); n != 0 {
		t.Fatalf("%d records survived: the bus was not wiped", n)
	}
	for _, j := range jobs {
		j.Attempt = 2
	}
	r.send(jobs...)
	for i, j := range jobs {
		o := r.outcome(j.GetJobId()).GetOutcome()
		if o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != int64(i+1) {
			t.Errorf("%s: %v, want done with %d located", j.GetJobId(), o, i+1)
		}
	}
	r.drained()
	// What was located is on the new bus, too, for whoever had not read it.
	located := map[string]bool{}
	for _, record := range r.records() {
		if record.Type == wire.RecordLocated {
			located[record.JobID()] = true
		}
	}
	if len(located) != len(jobs) {
		t.Errorf("located records of %d jobs, want %d", len(located), len(jobs))
	}
}

// TestPriorLocated has lost the connector's journal: the coordinator gives back
// the connector's own record.
func TestPriorLocated(t *testing.T) {
	b := newBook().put(ann, "contacts", 2)
	r := newRig(t, b)
	stop := r.start()
	r.do(r.erase("job-1", ann))
	located := r.records()[0].Envelope
	stop()
	if err := os.RemoveAll(filepath.Join(r.cfg.StateDir, "journal")); err != nil {
		t.Fatal(err)
	}
	r.start()
	again := r.erase("job-1", ann)
	again.Attempt, again.PriorLocated = 2, located
	r.send(again)
	if o := r.outcomes("job-1", 2)[1].GetOutcome(); o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 2 {
		t.Errorf("outcome %v, want done with 2 located", o)
	}
	// One that somebody else signed is worth nothing.
	forger, err := sdk.LoadKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := wire.NewSigner(forger.Evidence, "book", "i", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := signer.Sign(&habeasv1.LocatedRecord{JobId: "job-2", Stores: []*habeasv1.StoreCount{{Store: "contacts", LocatedCount: 99}}}, "req-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	j := r.erase("job-2", ann)
	j.PriorLocated = forged.Envelope
	// Nor may it be denied that anything was ever there.
	if o := r.do(j); o.GetPartial() == nil || counts(o, "contacts").GetLocatedCount() != 0 {
		t.Errorf("outcome %v, want partial with nothing located", o)
	}
}

// TestKeyReplacedInMidErasure loses the answer to an erasure, and then the
// connector gets a new evidence key: what was located must not become "never held".
func TestKeyReplacedInMidErasure(t *testing.T) {
	for name, journalLost := range map[string]bool{"its journal is there": false, "its journal is lost too": true} {
		t.Run(name, func(t *testing.T) {
			b := newBook().put(ann, "contacts", 2)
			r := newRig(t, b)
			stop := r.start()
			r.do(r.erase("job-1", ann))
			located := r.records()[0].Envelope
			stop()
			lost := []string{"evidence.key"}
			if journalLost {
				lost = append(lost, "journal")
			}
			for _, file := range lost {
				if err := os.RemoveAll(filepath.Join(r.cfg.StateDir, file)); err != nil {
					t.Fatal(err)
				}
			}
			fresh, err := sdk.LoadKeys(r.cfg.StateDir)
			if err != nil {
				t.Fatal(err)
			}
			r.cfg.Keys = fresh
			r.start()
			again := r.erase("job-1", ann)
			again.Attempt, again.PriorLocated = 2, located
			r.send(again)
			var o *habeasv1.Outcome
			r.wait("the second outcome", func() bool {
				o = lastOutcome(t, r, fresh)
				return o != nil
			})
			if journalLost && o.GetPartial() == nil || !journalLost && (o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 2) {
				t.Errorf("outcome %v", o)
			}
		})
	}
}

// lastOutcome is the outcome that was signed with a key, or nil.
func lastOutcome(t *testing.T, r *rig, by sdk.Keys) *habeasv1.Outcome {
	t.Helper()
	stream, err := r.js.Stream(t.Context(), wire.StreamEvidence)
	if err != nil {
		t.Fatal(err)
	}
	for seq := stream.CachedInfo().State.LastSeq; seq > 0; seq-- {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		record, err := wire.ParseRecord(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := record.Predicate.(*habeasv1.OutcomeRecord); ok && record.Verify(by.Evidence.Public().(ed25519.PublicKey)) == nil {
			return o.GetOutcome()
		}
	}
	return nil
}

// TestAttemptsAtOnce delivers two attempts of one job together and out of
// order: they are worked on one after the other and answered alike.
func TestAttemptsAtOnce(t *testing.T) {
	b := newBook().put(ann, "contacts", 2)
	r := newRig(t, b)
	second, first := r.erase("job-1", ann), r.erase("job-1", ann)
	second.Attempt = 2
	r.send(second, first)
	r.start()
	for _, o := range r.outcomes("job-1", 2) {
		if o.GetOutcome().GetDone() == nil || counts(o.GetOutcome(), "contacts").GetLocatedCount() != 2 {
			t.Errorf("attempt %d: %v, want done with 2 located", o.GetAttempt(), o.GetOutcome())
		}
	}
	r.drained()
}

// TestSlowWork works longer than the bus waits for a silent reader.
func TestSlowWork(t *testing.T) {
	broker := newBroker(t)
	b := newBook().put(ann, "contacts", 2)
	b.onErase = func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2500 * time.Millisecond):
			return nil
		}
	}
	r := broker.rig(t, b)
	r.start()
	r.send(r.erase("job-1", ann))
	r.outcome("job-1")
	r.drained()
	if len(r.records()) != 2 || b.erasures != 1 {
		t.Errorf("%d records of %d erasures: the job was delivered twice", len(r.records()), b.erasures)
	}
}

// TestShutdownHandsBack stops the connector in the middle of an act.
func TestShutdownHandsBack(t *testing.T) {
	b := newBook().put(ann, "contacts", 2)
	acting := make(chan struct{}, 8)
	b.onErase = func(ctx context.Context) error {
		acting <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	r := newRig(t, b, func(c *sdk.ServeConfig) { c.Grace = 50 * time.Millisecond })
	stop := r.start()
	r.send(r.erase("job-1", ann))
	<-acting
	stop()
	if n := len(r.records()); n != 1 {
		t.Fatalf("%d records, want the located one: an act that was cut off has no outcome", n)
	}
	b.mu.Lock()
	b.onErase = nil
	b.mu.Unlock()
	r.start()
	if o := r.outcome("job-1").GetOutcome(); o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 2 {
		t.Errorf("outcome %v, want done with 2 located", o)
	}
}

// TestNoJob sends what is none.
func TestNoJob(t *testing.T) {
	r := newRig(t, newBook().put(ann, "contacts", 1))
	r.start()
	publish := func(body []byte, typ string) {
		t.Helper()
		msg := nats.NewMsg(wire.JobSubject("book"))
		msg.Header.Set(wire.HeaderType, typ)
		msg.Data = body
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	publish([]byte("no protobuf"), "habeas.v1.Job")
	publish(nil, "habeas.v1.Job")
	publish(nil, "habeas.v2.Something")
	r.drained()
	if n := len(r.records()); n != 0 {
		t.Errorf("%d records for messages that are no jobs", n)
	}
	if o := r.do(r.erase("job-1", ann)); o.GetDone() == nil {
		t.Errorf("the next job: %v", o)
	}
}
