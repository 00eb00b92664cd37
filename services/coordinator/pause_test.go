package coordinator

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// A paused connector is sent nothing, whatever is due; the others go on at once,
// and the request says whom it waits for.
func TestPausedConnectorGetsNoJobs(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email").tier(1), connector("crm", "email"))
	m.w.paused = map[string]bool{"ads": true}
	m.step()
	ads := m.act("ads")
	m.jobState(ads, request.JobPlanned)
	if ads.Code != store.CodePaused || !ads.NextAt.IsZero() || ads.Attempt != 0 {
		t.Errorf("the job of a paused connector is %+v", ads)
	}
	m.jobState(m.act("crm"), request.JobSent) // it is of a later tier and does not wait for a pause
	if m.run(nil) {
		t.Error("deciding again changes something")
	}
	m.ends("crm", done(1))
	m.pass(400 * 24 * time.Hour)
	m.state(request.Running)
	m.jobState(m.act("ads"), request.JobPlanned)

	m.w.paused = nil
	m.step()
	ads = m.act("ads")
	m.jobState(ads, request.JobSent)
	if ads.Code != "" || ads.Message != "" {
		t.Errorf("a job that is out says %q, %q", ads.Code, ads.Message)
	}
	m.ends("ads", done(1))
	m.closes(request.ResultComplete)
}

// What was put off stays so until its time, and then waits for the end of the
// pause; what the bus lost is not sent again to who is paused.
func TestPauseHoldsBackWhatWasPutOffOrLost(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email"), connector("crm", "email"))
	m.step()
	m.ends("ads", deferred(m.w.now.Add(time.Hour)))
	m.w.paused = map[string]bool{"ads": true, "crm": true}
	m.step()
	if ads := m.act("ads"); ads.Code == store.CodePaused {
		t.Error("a job that is not due yet says that it waits for a pause")
	}
	m.w.lost = map[string]bool{"crm": true}
	m.pass(2 * time.Hour)
	if crm := m.act("crm"); crm.State != request.JobSent || crm.Attempt != 1 {
		t.Errorf("a lost job of a paused connector is %s, attempt %d", crm.State, crm.Attempt)
	}
	ads := m.act("ads")
	if ads.State != request.JobDeferred || ads.Code != store.CodePaused || !ads.NextAt.IsZero() {
		t.Errorf("the job that was put off is %s, code %q", ads.State, ads.Code)
	}
	m.w.paused = nil
	m.step()
	for _, name := range []string{"ads", "crm"} {
		if j := m.act(name); j.State != request.JobSent || j.Attempt != 2 || j.Code == store.CodePaused {
			t.Errorf("%s after the pause: %s, attempt %d, code %q", name, j.State, j.Attempt, j.Code)
		}
	}
}

func (r *rig) pause(name string) {
	r.t.Helper()
	rec := store.Record{Digest: []byte("paused " + name), Type: string(wire.RecordConnector), Issuer: "intake", Envelope: []byte("{}"), CreatedAt: time.Now()}
	if fresh, err := r.store.Pause(r.t.Context(), store.Pause{Connector: name, Since: time.Now(), By: "ann", Reason: "moved"}, rec); err != nil || !fresh {
		r.t.Fatalf("pausing: %v, %v", fresh, err)
	}
}

func (r *rig) resume(name string) {
	r.t.Helper()
	rec := store.Record{Digest: []byte("resumed " + name), Type: string(wire.RecordConnector), Issuer: "intake", Envelope: []byte("{}"), CreatedAt: time.Now()}
	if fresh, err := r.store.Resume(r.t.Context(), name, "ann", time.Now(), rec); err != nil || !fresh {
		r.t.Fatalf("resuming: %v, %v", fresh, err)
	}
}

// held waits until the bus holds a connector's queue, or does not.
func (r *rig) held(name string, want bool) {
	r.t.Helper()
	r.until("the bus holds the queue or lets it go", func() bool {
		c, err := r.bus.JS.Consumer(r.t.Context(), wire.StreamJobs, wire.JobConsumer(name))
		return err == nil && c.CachedInfo().Paused == want
	})
}

// A pause stops what is on the bus already, survives the coordinator and the
// bus's disk, and when it ends everything is done.
func TestPauseSurvives(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		crm := standin.New(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
		standin.Join(t, r.bus.JS, standin.Script{Name: "ads", Accepts: acceptsEmail})
		stop := r.start(nil)
		r.known("crm", "ads")
		onBus := r.one("ann@example.com") // crm does not work yet: its job stays on the bus
		r.until("the job is out", func() bool { return r.jobOf(onBus, "crm").State == request.JobSent })
		r.pause("crm")
		r.held("crm", true)
		crm.Work()
		later := r.one("bob@example.com")
		r.until("the other is done and this one waits", func() bool {
			return r.jobOf(later, "ads").State == request.JobDone && r.jobOf(later, "crm").Code == store.CodePaused
		})
		stop()
		r.wipeBus()
		stop = r.start(nil)
		r.known("crm", "ads")
		r.held("crm", true)
		if n := len(crm.Acts()); n != 0 {
			t.Errorf("the paused connector worked on %d jobs", n)
		}
		stop()
		r.resume("crm") // while no coordinator runs
		r.start(nil)
		r.held("crm", false)
		r.until("both are done", func() bool {
			return r.jobOf(onBus, "crm").State == request.JobDone && r.jobOf(later, "crm").State == request.JobDone
		})
	})
}

func (r *rig) jobOf(id request.ID, connector string) store.Job {
	_, jobs := r.get(id)
	for _, j := range jobs {
		if j.Connector == connector {
			return j
		}
	}
	return store.Job{}
}

// Making a connector's place anew lets no held queue go.
func TestEnrollingKeepsTheQueueHeld(t *testing.T) {
	r := newRig(t)
	if err := wire.EnsureStreams(t.Context(), r.bus.JS, r.streams); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := wire.EnsureConnector(t.Context(), r.bus.JS, "crm", r.streams); err != nil {
			t.Fatal(err)
		}
		if _, err := r.bus.JS.PauseConsumer(t.Context(), wire.StreamJobs, wire.JobConsumer("crm"), time.Now().Add(pausedFor)); err != nil {
			t.Fatal(err)
		}
	}
	if err := wire.EnsureConnector(t.Context(), r.bus.JS, "crm", r.streams); err != nil {
		t.Fatal(err)
	}
	var c jetstream.Consumer
	var err error
	if c, err = r.bus.JS.Consumer(t.Context(), wire.StreamJobs, wire.JobConsumer("crm")); err != nil || !c.CachedInfo().Paused {
		t.Errorf("the queue is let go: %v", err)
	}
}
