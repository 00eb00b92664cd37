package coordinator

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// waiting makes a request that waits to be verified, of which a level was shown.
func (r *rig) waiting(right request.Right, reached request.Level) store.New {
	r.t.Helper()
	n := r.fresh(right, id("email", "jane@example.com"))
	base := *n.Request.Request
	base.Case.Reached = reached
	restored, err := request.Restore(base, right, request.AwaitingVerification, request.Unverified{})
	if err != nil {
		r.t.Fatal(err)
	}
	n.Request.Request = restored
	n.People = [][]byte{[]byte("digest of jane")}
	return n
}

// brokenCreate loses children: before they are stored, and after.
type brokenCreate struct {
	store.Store
	before, after atomic.Int32
}

func (s *brokenCreate) Create(ctx context.Context, news []store.New) ([]store.Created, error) {
	if s.before.Add(-1) >= 0 {
		return nil, errors.New("the database went away before it was stored")
	}
	created, err := s.Store.Create(ctx, news)
	if s.after.Add(-1) >= 0 {
		return nil, errors.New("the database went away with the answer")
	}
	return created, err
}

// Two coordinators find a request at the end of its clock. It is denied once,
// with one fallback under the same date of receipt, although the database goes
// away before the fallback is stored and with the answer that it was.
func TestTimersFireOnce_CL4_VE8(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
		n := r.waiting(request.KnowSpecific, request.Reasonable)
		rid := r.submit(n)[0]
		broken := &brokenCreate{Store: r.store}
		broken.before.Store(1)
		broken.after.Store(1)
		for range 2 {
			r.start(func(c *Config) { c.Store = broken })
		}
		r.known("crm")
		r.closed(request.ResultDenied, rid)
		var child request.ID
		r.until("the fallback is made", func() bool {
			req, _ := r.get(rid)
			if len(req.Case.Children) == 1 && req.Case.Children[0].Made {
				child = req.Case.Children[0].ID
			}
			return child != ""
		})
		req := r.state(child, request.Packaging)
		if req.Right() != request.KnowCategories || req.Terms.Due != n.Request.Terms.Due || req.Case.Parent != rid {
			t.Errorf("the fallback is %s of %s, due %s", req.Right(), req.Case.Parent, req.AnswerBy())
		}
		if acts := crm.Acts(); len(acts) != 1 || acts[0].Request != string(child) || !slices.Equal(acts[0].Who, []string{"email=jane@example.com"}) {
			t.Errorf("the system was asked %+v", acts)
		}
		for _, typ := range []wire.RecordType{wire.RecordIntake, wire.RecordPlan} {
			r.until("the fallback is on record", func() bool { return len(r.audit.Records(string(child), typ)) == 1 })
		}
		notices, err := r.store.Notices(t.Context(), 10)
		if err != nil || len(notices) != 1 || notices[0].Kind != store.NoticeDenial || notices[0].RequestID != rid {
			t.Errorf("to be told: %+v, %v", notices, err)
		}
	})
}

// An erasure waits until what the same person asked to know is answered; it is
// told, and when that is lost it looks for itself.
func TestErasureWaitsForTheCopy_DE15(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
		know := r.waiting(request.KnowSpecific, "")
		know.Request.Extension = nil
		hold := func(n *store.New, look time.Time) {
			if err := n.Request.Hold(request.Hold{
				ID: request.NewID(), Kind: request.OrderHold, Ref: string(know.Request.ID), Since: time.Now(), Until: time.Now().AddDate(0, 1, 0), Look: look,
			}); err != nil {
				t.Fatal(err)
			}
		}
		told := r.fresh(request.Delete, id("email", "jane@example.com"))
		hold(&told, time.Now().AddDate(0, 1, 0))
		looks := r.fresh(request.Delete, id("email", "jane@example.com"))
		hold(&looks, time.Now().Add(2*time.Second))
		know.Request.Case.Blocks = []request.ID{told.Request.ID}
		// Its clock has not run out.
		now := time.Now().UTC()
		know.Request.Terms.Due.Respond = request.DateOf(now, time.UTC).AddDays(45)
		ids := r.submit(told, looks)
		if _, err := r.store.Create(t.Context(), []store.New{know}); err != nil {
			t.Fatal(err)
		}
		r.start(nil)
		r.known("crm")
		for _, rid := range ids {
			r.state(rid, request.Held)
		}
		_, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{know.Request.ID}}, true, func(snaps []*store.Snapshot) error {
			snaps[0].Changed = true
			return snaps[0].Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "x"})
		})
		if err != nil {
			t.Fatal(err)
		}
		r.hint([]request.ID{know.Request.ID})
		r.closed(request.ResultComplete, ids...)
	})
}

// A stranger who asks to know in a person's name, and is never verified, puts her
// erasure off by a week and no more.
func TestErasureDoesNotWaitForStrangers(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
		know := r.waiting(request.KnowSpecific, "")
		know.Request.Extension = nil
		know.Request.Terms.Due.Respond = request.DateOf(time.Now().UTC(), time.UTC).AddDays(45)
		erasure := func(came time.Duration) store.New {
			n := r.fresh(request.Delete, id("email", "jane@example.com"))
			n.Request.CreatedAt = time.Now().Add(-came).UTC()
			if err := n.Request.Hold(request.Hold{
				ID: request.NewID(), Kind: request.OrderHold, Ref: string(know.Request.ID), Since: time.Now(), Until: time.Now().AddDate(0, 1, 0), Look: time.Now(),
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if _, err := r.store.Create(t.Context(), []store.New{know}); err != nil {
			t.Fatal(err)
		}
		ids := r.submit(erasure(6*24*time.Hour), erasure(8*24*time.Hour))
		r.start(nil)
		r.closed(request.ResultComplete, ids[1])
		r.state(ids[0], request.Held)
	})
}

func TestCorrectFromEndToEnd_CO1(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		const right = "2 Righted Road"
		got := make(chan []*habeasv1.Correction, 8)
		script := func(name string) standin.Script {
			return standin.Script{Name: name, Accepts: acceptsEmail, Do: func(_ *habeasv1.Job, who *habeasv1.Subject) standin.Reply {
				got <- who.GetCorrections()
				return standin.Reply{Located: 1}
			}}
		}
		standin.Join(t, r.bus.JS, script("crm"))
		standin.Join(t, r.bus.JS, script("billing"))
		r.start(nil)
		r.known("crm", "billing")
		n := r.fresh(request.Correct, id("email", "jane@example.com"))
		key, err := r.vault.Unwrap(t.Context(), n.Request.WrappedKey)
		if err != nil {
			t.Fatal(err)
		}
		n.Request.Corrections = key.SealCorrections(n.Request.ID, []request.Correction{{Field: "street", Value: request.NewSecret(right)}})
		r.closed(request.ResultComplete, r.submit(n)...)
		for range 2 {
			c := <-got
			if len(c) != 1 || c[0].GetField() != "street" || c[0].GetValue() != right {
				t.Errorf("a system was told %v", c)
			}
		}
		req, _ := r.get(n.Request.ID)
		for what, b := range map[string][]byte{"corrections": req.Corrections, "plan": req.Plan, "logs": []byte(r.logs.String())} {
			if bytes.Contains(b, []byte(right)) {
				t.Errorf("the %s show the right value", what)
			}
		}
	})
}

// A job whose request is stopped while its connector is away never reaches it.
func TestCancelledJobIsTakenOffTheBus(t *testing.T) {
	r := newRig(t)
	crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
	r.start(nil)
	r.known("crm")
	crm.Leave()
	told := make(chan string, 1)
	sub, err := r.bus.Conn.SubscribeSync(wire.WithdrawnSubject("crm"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if m, err := sub.NextMsg(untilLong); err == nil {
			told <- string(m.Data)
		}
	}()
	rid := r.one("jane@example.com")
	var job store.Job
	r.until("the job is on the bus", func() bool {
		_, jobs := r.get(rid)
		stream, err := r.bus.JS.Stream(t.Context(), wire.StreamJobs)
		if err != nil || len(jobs) != 1 {
			return false
		}
		job = jobs[0]
		return stream.CachedInfo().State.Msgs == 1
	})
	_, err = r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{rid}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Changed = true
		return snaps[0].Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "x"})
	})
	if err != nil {
		t.Fatal(err)
	}
	r.hint([]request.ID{rid})
	r.until("the job is off the bus", func() bool {
		stream, err := r.bus.JS.Stream(t.Context(), wire.StreamJobs)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
	if got := <-told; got != string(job.ID) {
		t.Errorf("the connector was told %q", got)
	}
	r.closed(request.ResultCancelled, rid)
}

// The same, where the coordinator ends between deciding and telling the bus.
func TestCancelledJobIsTakenOffTheBusAfterACrash(t *testing.T) {
	r := newRig(t)
	crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
	stop := r.start(nil)
	r.known("crm")
	crm.Leave()
	rid := r.one("jane@example.com")
	waiting := func() uint64 {
		stream, err := r.bus.JS.Stream(t.Context(), wire.StreamJobs)
		if err != nil {
			return 99
		}
		return stream.CachedInfo().State.Msgs
	}
	r.until("the job is on the bus", func() bool { return waiting() == 1 })
	r.audit.Leave() // or the request could be closed before anybody looks
	stop()
	ended := r.room(nil)
	_, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{rid}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Changed = true
		if err := snaps[0].Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "x"}); err != nil {
			return err
		}
		return ended.decide(&step{w: ended.world(), s: snaps[0]}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, jobs := r.get(rid); jobs[0].State != request.JobCancelled || waiting() != 1 {
		t.Fatalf("the job is %s, %d wait", jobs[0].State, waiting())
	}
	r.start(nil)
	r.until("the job is off the bus", func() bool { return waiting() == 0 })
}
