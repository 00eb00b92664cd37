package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/alarm"
	"github.com/habeas-data/habeas/services/internal/metertest"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// people is a system that holds records of people by e-mail address, and can be
// restored.
type people struct {
	mu     sync.Mutex
	rows   map[string]int64
	kept   map[string]int64 // what the law wants kept
	optOut map[string]bool
	limits map[string]bool
}

func (p *people) do(job *habeasv1.Job, who *habeasv1.Subject) standin.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	var located, kept int64
	for _, id := range who.GetIdentifiers() {
		switch job.GetAction() {
		case habeasv1.Action_ACTION_OPT_OUT:
			p.optOut[id.GetValue()] = true
			return standin.Reply{Outcome: standin.Done(0)}
		case habeasv1.Action_ACTION_OPT_IN:
			delete(p.optOut, id.GetValue())
			return standin.Reply{Outcome: standin.Done(0)}
		case habeasv1.Action_ACTION_LIMIT:
			p.limits[id.GetValue()] = true
			return standin.Reply{Outcome: standin.Done(0)}
		case habeasv1.Action_ACTION_LIFT_LIMIT:
			delete(p.limits, id.GetValue())
			return standin.Reply{Outcome: standin.Done(0)}
		case habeasv1.Action_ACTION_ERASE:
			located, kept = located+p.rows[id.GetValue()]+p.kept[id.GetValue()], kept+p.kept[id.GetValue()]
			delete(p.rows, id.GetValue())
		default:
		}
	}
	stores := []*habeasv1.StoreCount{{Store: "people", LocatedCount: located, KeptCount: kept}}
	switch {
	case located == 0:
		return standin.Reply{Outcome: standin.NoMatch()}
	case kept > 0:
		stores[0].Basis = "ccpa-1798.105(d)(8)"
		return standin.Reply{Located: located, Outcome: &habeasv1.Outcome{Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: stores[0].Basis}}, Stores: stores}}
	default:
		return standin.Reply{Located: located, Outcome: &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: stores}}
	}
}

// put makes the system hold n records of somebody.
func (p *people) put(n int64, emails ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range emails {
		p.rows[e] = n
	}
}

func (p *people) has(email string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rows[email]
}

func (p *people) out(email string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.optOut[email]
}

func (p *people) limited(email string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limits[email]
}

// restore makes the system what it was before anybody chose anything.
func (p *people) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.optOut)
	clear(p.limits)
}

func newPeople() *people {
	return &people{rows: map[string]int64{}, kept: map[string]int64{}, optOut: map[string]bool{}, limits: map[string]bool{}}
}

// clock is the machine's clock, moved.
type clock struct{ later atomic.Int64 }

func (c *clock) set(change *Config)    { change.Now = c.now }
func (c *clock) now() time.Time        { return time.Now().Add(time.Duration(c.later.Load())) }
func (c *clock) after(d time.Duration) { c.later.Store(int64(d)) }

// told takes the notices of requests away, so that nothing holds what they were
// about.
func (r *rig) told() {
	r.t.Helper()
	notices, err := r.store.Notices(r.t.Context(), 1000)
	if err == nil {
		err = r.store.Noticed(r.t.Context(), notices)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// replay starts a replay and waits until everything in it is closed.
func (r *rig) replay(connector string, since time.Time) (store.Replay, store.Progress) {
	r.t.Helper()
	p, err := r.store.StartReplay(r.t.Context(), store.Replay{ID: string(request.NewID()), Connector: connector, Since: since, By: "operator", CreatedAt: time.Now().UTC()})
	if err != nil {
		r.t.Fatal(err)
	}
	var progress store.Progress
	r.until("the replay has ended", func() bool {
		if p, err = r.store.Replay(r.t.Context(), p.ID); err == nil {
			progress, err = r.store.ReplayProgress(r.t.Context(), p.ID)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return !p.PlannedAt.IsZero() && progress.Closed == progress.Requests
	})
	return p, progress
}

// A system is restored from a backup. Two coordinators, whose database fails now
// and then, before a write and after it, do again everything it has forgotten,
// each once, and nothing else; whoever has come back since is left alone. It
// holds when the requests' own identifiers are destroyed long since, and not
// after the backups have forgotten by themselves.
func TestReplayAfterRestore_DE5(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var c clock
		system, other := newPeople(), newPeople()
		crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Backups: 200 * 24 * time.Hour, Do: system.do})
		standin.Join(t, r.bus.JS, standin.Script{Name: "lake", Accepts: acceptsEmail, Do: other.do})
		f := &faultyStore{Store: r.store, faults: &faults{}}
		for range 2 {
			r.start(func(k *Config) { c.set(k); k.Store = f })
		}
		r.known("crm", "lake")

		early := r.submit(r.fresh(request.Delete, id("email", "early@example.com")))
		r.closed(request.ResultComplete, early...)
		backup := c.now()
		var ids []request.ID
		var gone []string
		for i := range 5 {
			gone = append(gone, fmt.Sprintf("gone-%d@example.com", i))
			ids = append(ids, r.submit(r.fresh(request.Delete, id("email", gone[i]), id("phone", "+12025550123")))...)
		}
		system.put(3, gone...)
		back := r.one("back@example.com")
		out := r.submit(r.fresh(request.OptOutSaleShare, id("email", "out@example.com")))[0]
		r.closed(request.ResultComplete, append(ids, back, out)...)
		list := suppression.List{Store: r.store, Vault: r.vault}
		if err := list.Release(t.Context(), []request.Identifier{id("email", "back@example.com")}); err != nil {
			t.Fatal(err)
		}
		r.told()

		for round, after := range []time.Duration{0, 150 * 24 * time.Hour} {
			c.after(after)
			if after > 0 { // their own identifiers are destroyed by now
				for _, id := range append(ids, out) {
					r.until("the identifiers are destroyed", func() bool { req, _ := r.get(id); return len(req.Sealed) == 0 })
				}
			}
			system.put(3, gone...)
			system.put(2, "back@example.com", "early@example.com", "new@example.com")
			delete(system.optOut, "out@example.com")
			before := len(crm.Acts())
			f.set(sometimes(30, []fault{didNot, answerLost}[round]))
			p, progress := r.replay("crm", backup)
			f.set(nil)
			want := store.Progress{Requests: 6, Closed: 6, Again: 6}
			if progress != want || p.Released != 1 || p.Lost != 0 || p.Planned != 7 {
				t.Errorf("round %d: %+v, %+v", round, progress, p)
			}
			for _, who := range gone {
				if system.has(who) != 0 {
					t.Errorf("round %d: %s is there again", round, who)
				}
			}
			if !system.out("out@example.com") {
				t.Errorf("round %d: the opt-out is forgotten", round)
			}
			for _, who := range []string{"back@example.com", "early@example.com", "new@example.com"} {
				if system.has(who) != 2 {
					t.Errorf("round %d: %s was touched", round, who)
				}
			}
			seen := make(map[string]int)
			for _, act := range crm.Acts()[before:] {
				seen[act.Request]++
				if after > 0 && slices.ContainsFunc(act.Who, func(w string) bool { return w == "phone=+12025550123" }) {
					t.Error("a kind that the connector does not understand was kept for it")
				}
			}
			if len(seen) != 6 {
				t.Errorf("round %d: %d requests at the restored system, want 6", round, len(seen))
			}
			r.verified(p, 6)
		}
		if len(other.rows) > 0 || r.incidents() > 0 {
			t.Errorf("another system was asked, or there are %d incidents", r.incidents())
		}

		c.after(400 * 24 * time.Hour)
		r.until("what was kept is destroyed", func() bool {
			jobs, err := r.store.Forgotten(t.Context(), "crm", backup, "", 100)
			if err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(jobs, func(j store.Forgotten) bool { return j.Kept != nil || len(j.Request.Sealed) > 0 })
		})
		if p, progress := r.replay("crm", backup); progress.Requests != 0 || p.Lost == 0 {
			t.Errorf("nothing is known any more: %+v, %+v", progress, p)
		}
	})
}

// verified checks that every request of a replay says on record what it saw,
// once, and that it was told to nobody.
func (r *rig) verified(p store.Replay, n int) {
	r.t.Helper()
	found := 0
	for _, id := range r.requests() {
		req, _ := r.get(id)
		if req.Case.Run != p.ID {
			continue
		}
		records := r.audit.Records(string(id), wire.RecordVerification)
		if len(records) != 1 {
			r.t.Errorf("request %s has %d records of what it saw", id, len(records))
			continue
		}
		v := records[0].Predicate.(*habeasv1.VerificationRecord)
		found++
		if v.GetCause() != "replay" || v.GetConnector() != p.Connector || v.GetOtherRequestId() != string(req.Case.Parent) {
			r.t.Errorf("the record says %s of %s after %s", v.GetCause(), v.GetConnector(), v.GetOtherRequestId())
		}
		r.endsOnce(req.ID)
	}
	if found != n {
		r.t.Errorf("%d records of what a replay saw, want %d", found, n)
	}
	notices, err := r.store.Notices(r.t.Context(), 100)
	if err != nil || len(notices) != 0 {
		r.t.Errorf("people are told of it: %d notices, %v", len(notices), err)
	}
}

// requests are all there are.
func (r *rig) requests() []request.ID {
	r.t.Helper()
	all, err := r.store.List(r.t.Context(), store.Filter{Limit: 500})
	if err != nil {
		r.t.Fatal(err)
	}
	ids := make([]request.ID, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	return ids
}

func (r *rig) incidents() int {
	r.t.Helper()
	all, err := r.store.Incidents(r.t.Context(), true, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(all)
}

// What was done while a request is still open is forgotten too.
func TestReplayOfOpenRequests_DE5(t *testing.T) {
	r := newRig(t)
	system := newPeople()
	standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: system.do})
	slow := standin.New(t, r.bus.JS, standin.Script{Name: "lake", Accepts: acceptsEmail})
	r.start(nil)
	r.known("crm", "lake")
	backup := time.Now().Add(-time.Second)
	system.put(1, "jane@example.com")
	rid := r.one("jane@example.com")
	r.until("it is erased in one of two systems", func() bool {
		_, jobs := r.get(rid)
		return slices.ContainsFunc(jobs, func(j store.Job) bool { return j.Connector == "crm" && j.State == request.JobDone })
	})
	system.put(1, "jane@example.com")
	if _, progress := r.replay("crm", backup); progress.Again != 1 || system.has("jane@example.com") != 0 {
		t.Errorf("the system holds %d records after %+v", system.has("jane@example.com"), progress)
	}
	slow.Work()
	r.closed(request.ResultComplete, rid)
}

// What was erased is looked for again after 1, 30 and 90 days. What came back is
// erased again, with an incident that names the system; what the law wanted kept
// is none; who came back themselves is left alone.
func TestRechecks_DE11(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var c clock
		system := newPeople()
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: system.do})
		day := 24 * time.Hour
		r.rules.Rechecks = []time.Duration{day, 30 * day, 90 * day}
		for range 2 {
			r.start(c.set)
		}
		r.known("crm")
		system.put(4, "jane@example.com", "joe@example.com", "back@example.com")
		system.kept["joe@example.com"] = 2
		jane, joe, back := r.one("jane@example.com"), r.one("joe@example.com"), r.one("back@example.com")
		r.closed(request.ResultComplete, jane, back)
		r.closed(request.ResultCompleteWithExceptions, joe)
		r.told()
		list := suppression.List{Store: r.store, Vault: r.vault}
		if err := list.Release(t.Context(), []request.Identifier{id("email", "back@example.com")}); err != nil {
			t.Fatal(err)
		}
		system.put(1, "back@example.com")

		meter := metertest.New(t)
		if err := (alarm.Watch{Store: r.store}).Register(meter.Meter()); err != nil {
			t.Fatal(err)
		}
		for i, after := range r.rules.Rechecks {
			if i == 1 {
				system.put(7, "jane@example.com")
			}
			c.after(after + time.Hour)
			for _, parent := range []request.ID{jane, joe} {
				want := map[request.ID]request.Result{jane: request.ResultComplete, joe: request.ResultCompleteWithExceptions}[parent]
				look := r.lookOf(parent, i)
				r.closed(want, look)
				if req, _ := r.get(look); (len(req.Sealed) == 0) != (parent == joe || i != 1) {
					t.Errorf("look %d: identifiers of %d bytes are left", i, len(req.Sealed))
				}
			}
			if n := r.incidents(); n != min(i, 1) {
				t.Errorf("%d incidents after look %d", n, i)
			}
			if n, _ := meter.Value("habeas.incidents.open", "kind", "resurrected", "connector", "crm"); n != int64(min(i, 1)) {
				t.Errorf("%d incidents are measured after look %d", n, i)
			}
		}
		open, err := r.store.Incidents(t.Context(), true, 10)
		if err != nil || len(open) != 1 {
			t.Fatalf("%d incidents, %v", len(open), err)
		}
		if got := open[0]; got.Kind != store.Resurrected || got.Connector != "crm" || got.Store != "people" || got.Records != 7 || got.ParentID != jane || got.RequestID != r.lookOf(jane, 1) {
			t.Errorf("the incident is %+v", got)
		}
		events, err := r.bus.JS.Stream(t.Context(), wire.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		r.until("integrations are told of it", func() bool {
			_, err := events.GetLastMsgForSubject(t.Context(), wire.EventSubject(open[0].ID))
			return err == nil
		})
		if system.has("jane@example.com") != 0 || system.has("back@example.com") != 1 {
			t.Errorf("jane has %d records and who came back %d", system.has("jane@example.com"), system.has("back@example.com"))
		}
		looks := 0
		for _, id := range r.requests() {
			looks += len(r.audit.Records(string(id), wire.RecordVerification))
		}
		if looks != 6 {
			t.Errorf("%d looks are on record, want 6", looks)
		}
		notices, err := r.store.Notices(t.Context(), 100)
		if err != nil || len(notices) != 0 {
			t.Errorf("people are told of it: %+v, %v", notices, err)
		}
	})
}

// lookOf waits for the i-th later look after a deletion.
func (r *rig) lookOf(parent request.ID, i int) request.ID {
	r.t.Helper()
	var found request.ID
	r.until(fmt.Sprintf("look %d after %s is made", i, parent), func() bool {
		req, _ := r.get(parent)
		if len(req.Case.Children) > i && req.Case.Children[i].Made {
			found = req.Case.Children[i].ID
		}
		return found != ""
	})
	return found
}

// A look that is due is made once, although the database goes away before it is
// stored and with the answer that it was.
func TestRecheckIsMadeOnce_DE11(t *testing.T) {
	r := newRig(t)
	crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
		return standin.Reply{Outcome: standin.NoMatch()}
	}})
	r.rules.Rechecks = []time.Duration{time.Hour}
	var c clock
	broken := &brokenCreate{Store: r.store}
	for range 2 {
		r.start(func(k *Config) { c.set(k); k.Store = broken })
	}
	r.known("crm")
	rid := r.one("jane@example.com")
	r.closed(request.ResultComplete, rid)
	broken.before.Store(1)
	broken.after.Store(1)
	c.after(2 * time.Hour)
	r.closed(request.ResultComplete, r.lookOf(rid, 0))
	if n := len(crm.Acts()); n != 2 {
		t.Errorf("the system was asked %d times, want 2", n)
	}
}

func (s *faultyStore) Create(ctx context.Context, news []store.New) ([]store.Created, error) {
	how := s.next()
	if how == didNot {
		return nil, errInjected
	}
	created, err := s.Store.Create(ctx, news)
	if how == answerLost {
		return nil, errors.Join(errInjected, err)
	}
	return created, err
}

func (s *faultyStore) AdvanceReplay(ctx context.Context, r store.Replay, from request.ID) (bool, error) {
	how := s.next()
	if how == didNot {
		return false, errInjected
	}
	mine, err := s.Store.AdvanceReplay(ctx, r, from)
	if how == answerLost {
		return false, errors.Join(errInjected, err)
	}
	return mine, err
}

func (s *faultyStore) PutKept(ctx context.Context, kept []store.Kept) error {
	how := s.next()
	if how == didNot {
		return errInjected
	}
	err := s.Store.PutKept(ctx, kept)
	if how == answerLost {
		return errors.Join(errInjected, err)
	}
	return err
}

// Somebody who was erased by several identifiers and came back by one is erased
// again by none of the others, neither by a later look nor by a replay.
func TestWhoCameBackByOneIdentifier(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	list := suppression.List{Store: r.store, Vault: r.vault}
	peppers, err := list.Peppers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back := []request.Identifier{id("email", "back@example.com"), id("user_id", "u-7"), id("name", "Back Again")}
	gone := []request.Identifier{id("email", "gone@example.com"), id("user_id", "u-8")}
	if err := r.store.Suppress(t.Context(), peppers.Entries(slices.Concat(back, gone), store.WhyDeleted, time.Now().UTC())); err != nil {
		t.Fatal(err)
	}
	if err := list.Release(t.Context(), back[:1]); err != nil {
		t.Fatal(err)
	}
	c := r.room(nil)
	closed := accepted(t, request.Delete, "email")
	closed.Ending = &request.Ending{Result: request.ResultComplete}
	restored, err := request.Restore(*closed.Request, request.Delete, request.Closed, request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: simStart, By: "api"})
	if err != nil {
		t.Fatal(err)
	}
	closed.Request = restored
	stay, err := c.stay(t.Context(), []look{{n: store.New{Request: closed}, ids: back}, {n: store.New{Request: closed}, ids: gone}})
	if err != nil || !slices.Equal(stay, []bool{false, true}) {
		t.Errorf("to stay erased: %v, %v", stay, err)
	}
	all := []again{{&store.Forgotten{Request: closed}, back}, {&store.Forgotten{Request: closed}, gone}}
	standing, err := c.standing(t.Context(), request.ActionErase, all)
	if err != nil || len(standing) != 1 || !slices.Equal(standing[0].ids, gone) {
		t.Errorf("%d are erased again, %v", len(standing), err)
	}
}
