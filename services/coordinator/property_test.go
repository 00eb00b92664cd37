package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

var someKinds = []string{"email", "phone", "user_id", "device_id"}

// chaos is a world in which a request is worked on: a bus that loses, repeats
// and delays, connectors of any shape and mood, and an operator.
type chaos struct {
	*sim
	rt *rapid.T
	// known are the identifiers in hand, "kind/value", with who found them.
	known map[string]string
	// bus are jobs that wait for their connectors; given is what each attempt
	// was given.
	bus   []store.Job
	given map[string][]string
	// records and finds are on their way to the coordinator.
	inbox []*wire.Record
	finds []chaosFind
	// acted are what connectors were given when a success of theirs counted.
	acted map[string][][]string
	// stale is set once an answer to an earlier attempt was produced.
	stale bool
}

type chaosFind struct {
	job       store.Job
	connector string
	values    []string
}

func kindOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

func drawConnectors(rt *rapid.T) []Connector {
	n := rapid.IntRange(1, 5).Draw(rt, "connectors")
	var out []Connector
	for i := range n {
		c := connector(fmt.Sprintf("c%d", i), rapid.SliceOfNDistinct(rapid.SampledFrom(someKinds), 1, 3, rapid.ID).Draw(rt, "accepts")...)
		c.Tier = rapid.IntRange(1, 3).Draw(rt, "tier")
		c.Abilities = rapid.SampledFrom([][]request.Action{
			c.Abilities, c.Abilities, {request.ActionLocate}, {},
		}).Draw(rt, "abilities")
		if rapid.Bool().Draw(rt, "resolves") {
			c = c.resolves(rapid.SliceOfNDistinct(rapid.SampledFrom(someKinds), 1, 3, rapid.ID).Draw(rt, "yields")...)
		}
		for k := range n {
			if k != i && rapid.IntRange(0, 5).Draw(rt, "after") == 0 {
				c.After = append(c.After, fmt.Sprintf("c%d", k))
			}
		}
		out = append(out, c)
	}
	return out
}

func newChaos(rt *rapid.T) *chaos {
	right := rapid.SampledFrom(request.Rights()).Draw(rt, "right")
	kinds := rapid.SliceOfNDistinct(rapid.SampledFrom(someKinds), 1, 2, rapid.ID).Draw(rt, "kinds")
	w := &chaos{sim: newSim(rt, right, kinds, drawConnectors(rt)...), rt: rt, known: map[string]string{}, given: map[string][]string{}, acted: map[string][][]string{}}
	for _, k := range kinds {
		w.known[k+"/own"] = ""
	}
	return w
}

func attemptOf(j *store.Job) string { return fmt.Sprintf("%s/%d", j.ID, j.Attempt) }

// decide runs the decision, puts what it sends on the bus and checks what must
// hold at all times.
func (w *chaos) decide(before func(*step)) {
	sent, was := len(w.sent), w.s.Request.State()
	w.run(before)
	for _, j := range w.sent[sent:] {
		c, _ := w.w.connector(j.Connector)
		for id := range w.known {
			if slices.Contains(c.Accepts, kindOf(id)) {
				w.given[attemptOf(&j)] = append(w.given[attemptOf(&j)], id)
			}
		}
		w.bus = append(w.bus, j)
		w.checkOrder(&j, c)
	}
	w.checkAlways(was)
}

// checkOrder checks that nobody went ahead of those it must wait for.
func (w *chaos) checkOrder(j *store.Job, c Connector) {
	st := &step{w: w.w, s: w.s}
	if j.Attempt > 1 || j.Action != request.ActionErase {
		return
	}
	for i := range w.s.Jobs {
		o := &w.s.Jobs[i]
		other, _ := w.w.connector(o.Connector)
		if o.Action == request.ActionErase && slices.Contains(c.After, o.Connector) && !st.w.comesAfter(other, c.Name, nil) && !o.State.Terminal() {
			w.rt.Fatalf("%s was sent before %s had ended: %s", c.Name, o.Connector, w.jobs())
		}
	}
}

func (w *chaos) checkAlways(was request.State) {
	r := &w.s.Request
	st := &step{w: w.w, s: w.s}
	for i := range w.s.Jobs {
		j := &w.s.Jobs[i]
		switch {
		case r.State() == request.Closing || r.State() == request.Packaging:
			if !j.State.Terminal() {
				w.rt.Fatalf("the request is %s and a job is open: %s", r.State(), w.jobs())
			}
		case j.State == request.JobPlanned || j.State == request.JobDeferred:
			if !j.NextAt.After(w.w.now) {
				w.rt.Fatalf("a job is due after everything due was done: %s", w.jobs())
			}
		case j.State == request.JobSent && j.SentAt.IsZero():
			w.rt.Fatalf("nobody would find a lost job: %s", w.jobs())
		}
	}
	switch r.State() {
	case request.Accepted:
		w.rt.Fatalf("it was not planned")
	case request.Resolving, request.Running:
		open, needs, acting := false, false, false
		for i := range w.s.Jobs {
			j := &w.s.Jobs[i]
			open = open || !j.State.Terminal()
			needs = needs || needsPerson(j.State) && !st.superseded(i)
			acting = acting || j.Action != request.ActionResolve
		}
		if !open && r.Attention == "" {
			w.rt.Fatalf("a running request is forgotten: %s", w.jobs())
		}
		if want := needs || !acting && !open; want != (r.Attention != "") {
			w.rt.Fatalf("attention is %q: %s", r.Attention, w.jobs())
		}
	case request.Closing:
		if was != request.Closing {
			w.closureIsWhole()
		}
	}
}

// respond lets a connector answer a job.
func (w *chaos) respond(j store.Job, o *habeasv1.Outcome) {
	if _, isDone := o.GetResult().(*habeasv1.Outcome_Done); isDone && j.Action == request.ActionResolve {
		c, _ := w.w.connector(j.Connector)
		f := chaosFind{job: j, connector: c.Name}
		for _, kind := range c.Yields {
			if v := rapid.IntRange(0, 2).Draw(w.rt, "value"); v > 0 {
				f.values = append(f.values, fmt.Sprintf("%s/%d", kind, v))
			}
		}
		w.finds = append(w.finds, f)
	}
	if current := w.byID(j.ID); current != nil && current.Attempt > j.Attempt {
		w.stale = true
	}
	w.inbox = append(w.inbox, w.answer(&j, o))
}

func (w *chaos) byID(id request.ID) *store.Job {
	i := slices.IndexFunc(w.s.Jobs, func(j store.Job) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	return &w.s.Jobs[i]
}

// deliver hands records to the coordinator and remembers whose success counted.
func (w *chaos) deliver(records ...*wire.Record) {
	before := make(map[request.ID]request.JobState)
	for _, j := range w.s.Jobs {
		before[j.ID] = j.State
	}
	w.decide(func(st *step) {
		for _, rec := range records {
			st.apply(rec)
			p, ok := rec.Predicate.(*habeasv1.OutcomeRecord)
			if !ok {
				continue
			}
			j := w.byID(request.ID(p.GetJobId()))
			if j.Action != request.ActionResolve && j.State.Success() && !before[j.ID].Success() {
				w.acted[j.Connector] = append(w.acted[j.Connector], w.given[fmt.Sprintf("%s/%d", p.GetJobId(), p.GetAttempt())])
				before[j.ID] = j.State
			}
		}
	})
}

func (w *chaos) deliverFind(f chaosFind) {
	w.decide(func(st *step) {
		if st.s.Request.State() == request.Closing || st.s.Request.State() == request.Packaging {
			return
		}
		var fresh []string
		for _, id := range f.values {
			if _, have := w.known[id]; !have {
				w.known[id] = f.connector
				fresh = append(fresh, kindOf(id))
			}
		}
		st.discovered(f.job.ID, fresh)
	})
}

// pick takes one of a list out of it, or leaves it there to come again.
func pick[T any](w *chaos, list *[]T) (T, bool) {
	var zero T
	if len(*list) == 0 {
		return zero, false
	}
	i := rapid.IntRange(0, len(*list)-1).Draw(w.rt, "which")
	got := (*list)[i]
	if rapid.IntRange(0, 3).Draw(w.rt, "again") > 0 {
		*list = slices.Delete(slices.Clone(*list), i, i+1)
	}
	return got, true
}

// retry is what an operator does about jobs that need a person.
func (w *chaos) retry() {
	if w.over() {
		return
	}
	w.decide(func(st *step) {
		for i := range st.s.Jobs {
			if j := &st.s.Jobs[i]; needsPerson(j.State) && !st.superseded(i) {
				j.State, j.NextAt = request.JobPlanned, st.w.now
				st.s.Touch(i)
			}
		}
	})
}

func (w *chaos) over() bool {
	s := w.s.Request.State()
	return s == request.Closing || s == request.Packaging
}

// turn is one thing that happens.
func (w *chaos) turn() {
	switch rapid.IntRange(0, 11).Draw(w.rt, "turn") {
	case 0, 1, 2, 3:
		if j, ok := pick(w, &w.bus); ok {
			now := w.w.now
			w.respond(j, rapid.SampledFrom([]*habeasv1.Outcome{
				done(1), done(1), noMatch(), retained(), failed(false), failed(true), deferred(now.Add(time.Minute)), deferred(time.Time{}), planChanged(), overLimit(),
				partial(), notSupported(), needsIdentifier(), {},
			}).Draw(w.rt, "mood"))
			if rapid.Bool().Draw(w.rt, "located") {
				w.inbox = append(w.inbox, w.located(&j, 3))
			}
		}
	case 4, 5, 6:
		if rec, ok := pick(w, &w.inbox); ok {
			w.deliver(rec)
		}
	case 7, 8:
		if f, ok := pick(w, &w.finds); ok {
			w.deliverFind(f)
		}
	case 9:
		w.w.now = w.w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 16 * time.Second, time.Minute, 2 * time.Hour}).Draw(w.rt, "time"))
		w.decide(nil)
	case 10:
		if rapid.Bool().Draw(w.rt, "lost") {
			w.bus, w.inbox, w.finds = nil, nil, nil
			w.lostAndFound()
			return
		}
		w.retry()
	case 11:
		i := rapid.IntRange(0, len(w.w.connectors)-1).Draw(w.rt, "changes")
		w.w.connectors = slices.Clone(w.w.connectors)
		w.w.connectors[i].Digest += "+"
	}
}

// lostAndFound is the sweeper: it knows truthfully which jobs the bus lost.
func (w *chaos) lostAndFound() {
	lost := make(map[string]bool)
	for _, j := range w.s.Jobs {
		waits := slices.ContainsFunc(w.bus, func(b store.Job) bool { return b.ID == j.ID && b.Attempt == j.Attempt })
		if j.State == request.JobSent && !waits {
			lost[j.Connector] = true
		}
	}
	w.w.now = w.w.now.Add(simRules.Lease)
	w.w.lost = lost
	w.decide(nil)
	w.w.lost = nil
}

// settleDown lets everything come to its end: all connectors are well, nothing
// is lost any more, and the operator does what is asked.
func (w *chaos) settleDown() {
	const enough = 400
	for range enough {
		if w.over() {
			return
		}
		if w.s.Request.Attention == AttentionNobody && len(w.bus)+len(w.inbox)+len(w.finds) == 0 {
			return
		}
		for _, j := range w.bus {
			w.respond(j, rapid.SampledFrom([]*habeasv1.Outcome{done(1), noMatch(), retained()}).Draw(w.rt, "end"))
		}
		w.bus = nil
		records, finds := w.inbox, w.finds
		w.inbox, w.finds = nil, nil
		w.deliver(records...)
		for _, f := range finds {
			w.deliverFind(f)
		}
		w.retry()
		w.w.now = w.w.now.Add(2 * time.Hour)
		w.lostAndFound()
	}
	w.rt.Fatalf("the request does not end: %s, %s", w.s.Request.State(), w.jobs())
}

// checkEnd checks what must be true of a request that was carried through.
func (w *chaos) checkEnd() {
	st := &step{w: w.w, s: w.s}
	for _, c := range w.w.connectors {
		if st.action(c) == "" || !st.reaches(c) {
			if w.s.Request.Attention == AttentionNobody {
				continue
			}
			if i := st.last(c.Name, false); i >= 0 {
				w.rt.Fatalf("%s was asked and can't be", c.Name)
			}
			continue
		}
		if w.s.Request.Attention == AttentionNobody {
			w.rt.Fatalf("%s could be asked and was not", c.Name)
		}
		last := &w.s.Jobs[st.last(c.Name, false)]
		if !last.State.Success() {
			continue // it said what it could not do
		}
		var need []string
		for id, by := range w.known {
			if by != c.Name && slices.Contains(c.Accepts, kindOf(id)) {
				need = append(need, id)
			}
		}
		if !slices.ContainsFunc(w.acted[c.Name], func(had []string) bool {
			return !slices.ContainsFunc(need, func(id string) bool { return !slices.Contains(had, id) })
		}) {
			w.rt.Fatalf("%s never acted with all of %v; it had %v; jobs %s", c.Name, need, w.acted[c.Name], w.jobs())
		}
		rounds := make(map[int]bool)
		for _, j := range w.s.Jobs {
			if j.Connector != c.Name || j.Action == request.ActionResolve || !j.State.Success() {
				continue
			}
			if rounds[j.Round] && !w.stale {
				w.rt.Fatalf("%s acted twice in round %d: %s", c.Name, j.Round, w.jobs())
			}
			rounds[j.Round] = true
		}
	}
	if e := w.s.Request.Ending; e != nil && e.Result != w.expected() {
		w.rt.Fatalf("the result is %s, want %s: %s", e.Result, w.expected(), w.jobs())
	}
}

// expected is the result in the words of the law: complete, unless something
// is kept, unless something was not done.
func (w *chaos) expected() request.Result {
	newest, kept := map[string]request.JobState{}, false
	for _, j := range w.s.Jobs {
		newest[fmt.Sprintf("%s %v", j.Connector, j.Action == request.ActionResolve)] = j.State
		kept = kept || j.State == request.JobRetained
	}
	for s := range maps.Values(newest) {
		if !s.Success() {
			return request.ResultPartial
		}
	}
	if kept {
		return request.ResultCompleteWithExceptions
	}
	return request.ResultComplete
}

func TestEveryRequestEndsOnceAndWell(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newChaos(rt)
		w.decide(nil)
		for range rapid.IntRange(0, 60).Draw(rt, "turns") {
			w.turn()
		}
		stopped := !w.over() && rapid.IntRange(0, 9).Draw(rt, "cancel") == 0
		if stopped {
			w.decide(func(st *step) {
				st.s.Changed = true
				if err := st.s.Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "by the consumer"}); err != nil {
					rt.Fatalf("cancelling: %v", err)
				}
			})
		}
		w.settleDown()
		if !stopped {
			w.checkEnd()
		}
		// It has ended: nothing that comes later changes how.
		ending, closure := w.s.Request.Ending, w.s.Request.ClosureDigest
		if ending == nil {
			return
		}
		sent := len(w.sent)
		for range 10 {
			w.turn()
		}
		if w.s.Request.Ending != ending || !slices.Equal(closure, w.s.Request.ClosureDigest) || len(w.sent) != sent {
			rt.Fatalf("it ended again")
		}
		w.closureIsWhole()
	})
}

// One connector never answers. Whoever need not wait for it is done within one
// patience, when everybody else answers at once.
func TestOneThatIsDownDelaysTheOthersByPatienceAtMost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		connectors := drawConnectors(rt)
		m := newSim(rt, request.Delete, someKinds, connectors...)
		down := connectors[rapid.IntRange(0, len(connectors)-1).Draw(rt, "down")].Name
		answered := make(map[string]bool)
		quiet := func() {
			for again := true; again; {
				again = false
				for _, j := range slices.Clone(m.sent) {
					if j.Connector == down || answered[attemptOf(&j)] {
						continue
					}
					answered[attemptOf(&j)], again = true, true
					m.take(m.answer(&j, noMatch()))
				}
			}
		}
		m.step()
		quiet()
		m.pass(simRules.Patience)
		quiet()
		st := &step{w: m.w, s: m.s}
		for _, j := range m.s.Jobs {
			c, _ := m.w.connector(j.Connector)
			if j.Connector != down && !j.State.Terminal() && !st.w.comesAfter(c, down, nil) {
				rt.Fatalf("%s waits for %s after %s: %s", j.Connector, down, simRules.Patience, m.jobs())
			}
		}
	})
}
