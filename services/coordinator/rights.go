package coordinator

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// lookAgain is how often a request that waits for another one looks whether
// that has ended. It is told when it has; this is for when that was lost.
const lookAgain = time.Minute

// orderMargin is how long before an erasure is due it stops waiting for others.
const orderMargin = 5 * 24 * time.Hour

// decision is something decided about a request that goes on record.
type decision struct {
	kind, code, reason string
	until              time.Time
	other              request.ID
	facts              map[string]string
}

// clock does what time alone brings about: a request that waited for the person
// in vain is answered, one that waits for others looks again, and what is to
// follow from it becomes due. All of it is decided in the transaction that
// holds the request, so that of two coordinators one does it.
func (st *step) clock() error {
	r := &st.s.Request
	lapsed, err := r.Lapse(st.w.now)
	if err != nil {
		return err
	}
	if lapsed {
		st.s.Changed = true
		st.decided(decision{kind: "denied", code: r.Ending.Code, reason: r.Ending.Reason})
	}
	for i := range r.Case.Holds {
		h := &r.Case.Holds[i]
		if r.State() == request.Held && h.Kind == request.OrderHold && h.Active(st.w.now) && !st.w.now.Before(h.Look) {
			h.Look, st.s.Changed = st.w.now.Add(lookAgain), true
			st.look = append(st.look, request.ID(h.Ref))
		}
	}
	st.spawn = r.DueChildren(st.w.now)
	return nil
}

// decided puts a decision on record once the step is done.
func (st *step) decided(d decision) { st.decisions = append(st.decisions, d) }

// restrained holds a request that must wait, lets one go that need not, and
// reports whether it is held.
func (st *step) restrained() bool {
	r := &st.s.Request
	was := r.State()
	st.cool()
	held := r.Restrain(st.w.now)
	if r.State() == was {
		return held
	}
	st.s.Changed = true
	if held {
		h := r.ActiveHold(st.w.now)
		st.decided(decision{kind: "held", code: string(h.Kind), until: h.Until})
	} else {
		st.decided(decision{kind: "hold_ended"})
	}
	return held
}

// rest puts off the jobs of a request that waits, so that they don't come up
// again and again while nothing can be done about them.
func (st *step) rest() {
	for i := range st.s.Jobs {
		j := &st.s.Jobs[i]
		if (j.State == request.JobPlanned || j.State == request.JobDeferred) && !j.NextAt.After(st.w.now) {
			st.wait(i, st.w.now.Add(st.w.rules.RetryMost))
		}
	}
}

// cool gives a deletion the company's pause, once, before anything is erased.
func (st *step) cool() {
	r := &st.s.Request
	pause := st.w.rules.EraseHold
	if pause <= 0 || r.Right() != request.Delete || r.State() != request.Accepted || r.Case.Cooled || len(st.s.Jobs) > 0 {
		return
	}
	r.Case.Cooled, st.s.Changed = true, true
	until := st.w.now.Add(pause)
	if last := r.RespondByLatest(); !last.IsZero() && until.After(last.Add(-orderMargin)) {
		until = last.Add(-orderMargin)
	}
	if !until.After(st.w.now) {
		return
	}
	// It can't fail: the request is a deletion that is accepted.
	_ = r.Hold(request.Hold{ID: request.NewID(), Kind: request.CoolingHold, Since: st.w.now, Until: until, By: Name})
}

// sensitiveLetters are the categories whose presence makes a deletion or a
// correction need the surer verification (11 CCR 7062(d)): characteristics of
// protected classes, biometric, sensory and sensitive personal information.
var sensitiveLetters = []string{"C", "E", "H", "L"}

func (s StoreInfo) sensitive() bool {
	return slices.ContainsFunc(s.Letters, func(l string) bool { return slices.Contains(sensitiveLetters, l) })
}

// survey asks, before a deletion or correction of a person who was verified to
// a reasonable degree only, whether anything sensitive of theirs is held, and
// demands the surer verification when it is. It reports whether acting has to
// wait.
func (st *step) survey() (wait bool, err error) {
	r := &st.s.Request
	if !st.surveys() {
		return false, nil
	}
	raise := false
	for _, c := range st.w.connectors {
		if !slices.ContainsFunc(c.About, StoreInfo.sensitive) || !c.Can(request.ActionLocate) || !st.reaches(c) {
			continue
		}
		i := st.lastSurvey(c.Name)
		switch {
		case i < 0 || st.s.Jobs[i].State.Terminal() && st.news(c, st.s.Jobs[i].Round):
			st.add(c, request.ActionLocate)
			st.s.Jobs[len(st.s.Jobs)-1].Purpose = store.PurposeSurvey
			wait = true
		case !st.s.Jobs[i].State.Terminal(), needsPerson(st.s.Jobs[i].State):
			wait = true
		case holdsSensitive(&st.s.Jobs[i], c):
			raise = true
		}
	}
	for i := range st.s.Jobs {
		wait = wait || st.s.Jobs[i].Action == request.ActionResolve && !st.s.Jobs[i].State.Terminal()
	}
	if wait || !raise {
		return wait, nil
	}
	r.Case.Surveyed, st.s.Changed = true, true
	if err := r.Raise(request.ReasonablyHigh); err != nil {
		return true, err
	}
	if r.State() != request.AwaitingVerification {
		return false, nil
	}
	st.decided(decision{kind: "level_raised", code: string(request.ReasonablyHigh)})
	st.notice(store.NoticeVerifyAgain)
	return true, nil
}

// surveys reports whether how sensitive what is held is still matters.
func (st *step) surveys() bool {
	r := &st.s.Request
	if r.Right() != request.Delete && r.Right() != request.Correct || r.Case.Surveyed {
		return false
	}
	v, _ := r.Verification()
	done, verified := v.(request.Verified)
	return verified && !done.Level.AtLeast(request.ReasonablyHigh)
}

// lastSurvey returns a connector's newest survey, or -1.
func (st *step) lastSurvey(connector string) int {
	for i := len(st.s.Jobs) - 1; i >= 0; i-- {
		if j := &st.s.Jobs[i]; j.Connector == connector && j.Purpose == store.PurposeSurvey {
			return i
		}
	}
	return -1
}

// holdsSensitive reports whether a survey found records in a store of a
// sensitive category.
func holdsSensitive(j *store.Job, c Connector) bool {
	o := &habeasv1.Outcome{}
	if len(j.Outcome) == 0 || protojson.Unmarshal(j.Outcome, o) != nil {
		return false
	}
	return slices.ContainsFunc(o.GetStores(), func(s *habeasv1.StoreCount) bool {
		if s.GetLocatedCount() == 0 {
			return false
		}
		if s.GetCategory() != "" {
			return slices.Contains(sensitiveLetters, s.GetCategory())
		}
		return slices.ContainsFunc(c.About, func(i StoreInfo) bool { return i.Name == s.GetStore() && i.sensitive() })
	})
}

// Why a deletion leaves a store alone; the codes of the contract.
const (
	heldForCustomer = "role-service-provider"
	notFromConsumer = "not-collected-from-consumer"
	notAsked        = "not-asked"
	reasonNotSearch = "not_searched"
)

// excluded are the stores of a connector that a deletion leaves alone, and why:
// those held for a customer (11 CCR 7050), those got from others while the right
// reaches only what was collected from the consumer, and those that were not
// asked for (11 CCR 7022(h)). What comes from the state's deletion platform
// reaches data of any source (Civ. Code 1798.99.86).
func (st *step) excluded(c Connector) []*habeasv1.StoreExclusion {
	r := &st.s.Request
	if r.Right() != request.Delete {
		return nil
	}
	var out []*habeasv1.StoreExclusion
	for _, s := range c.About {
		var basis string
		switch {
		case s.ServiceProvider:
			basis = heldForCustomer
		case s.Acquired && r.Terms.DeleteScope == request.CollectedFrom && r.Channel != request.ChannelDROP:
			basis = notFromConsumer
		case len(r.Case.Portions) > 0 && !overlap(s.Letters, r.Case.Portions):
			basis = notAsked
		default:
			continue
		}
		out = append(out, &habeasv1.StoreExclusion{Store: s.Name, Basis: basis})
	}
	return out
}

// reach says how much of a connector a deletion reaches: all, a part or nothing
// of it. A connector that can't leave single stores alone keeps by itself what
// it holds for a customer.
func (st *step) reach(c Connector) (part, none bool, why string) {
	n := 0
	for _, x := range st.excluded(c) {
		if c.Scopes || x.GetBasis() != heldForCustomer {
			n, why = n+1, x.GetBasis()
		}
	}
	return n > 0, n > 0 && n == len(c.About), why
}

// notSearched are the stores of a connector that a request to know leaves out
// (11 CCR 7024(c)), as a reason for the plan; "" when there are none.
func (st *step) notSearched(c Connector) (reason string, described []string) {
	if !st.s.Request.Right().Know() {
		return "", nil
	}
	for _, s := range c.About {
		if s.NotSearched == "" {
			continue
		}
		sep := "+"
		if reason == "" {
			reason, sep = reasonNotSearch, ":"
		}
		reason += sep + s.Name
		described = append(described, s.NotSearched)
	}
	return reason, described
}

// concluded follows up on a request whose work is done: when the basis of what
// was kept ends, what was kept is erased.
func (st *step) concluded() {
	r := &st.s.Request
	if r.Ending == nil || !r.Ending.Result.Answered() {
		return
	}
	if r.Case.Origin.Ours() {
		st.lookedAgain()
		return
	}
	switch r.Right() {
	case request.OptOutSaleShare:
		st.scheduleRechecks()
		return
	case request.Delete:
		st.scheduleRechecks()
	default:
		return
	}
	if at := st.retentionEnd(); !at.IsZero() {
		id := r.Spawn(request.Delete, request.FromRetention, at, "")
		st.decided(decision{kind: "child", code: string(request.FromRetention), until: at, other: id})
	}
}

// retentionEnd is the earliest end of a basis for keeping, or zero.
func (st *step) retentionEnd() time.Time {
	var first time.Time
	for i := range st.s.Jobs {
		o := &habeasv1.Outcome{}
		if j := &st.s.Jobs[i]; j.State != request.JobRetained || protojson.Unmarshal(j.Outcome, o) != nil {
			continue
		}
		for _, s := range o.GetStores() {
			for _, k := range wire.Kept(s) {
				if !k.GetUntilTime().IsValid() {
					continue
				}
				if at := later(k.GetUntilTime().AsTime(), st.w.now.Add(24*time.Hour)); first.IsZero() || at.Before(first) {
					first = at
				}
			}
		}
	}
	return first
}

func (st *step) notice(kind store.NoticeKind) {
	st.s.Notices = append(st.s.Notices, store.Notice{RequestID: st.s.Request.ID, Kind: kind, CreatedAt: st.w.now})
}

// decisionRecord is a decision as it goes on record.
func (d decision) record(id request.ID) *habeasv1.DecisionRecord {
	p := &habeasv1.DecisionRecord{RequestId: string(id), Decision: d.kind, Code: d.code, Reason: d.reason, OtherRequestId: string(d.other), Facts: d.facts}
	if !d.until.IsZero() {
		p.UntilTime = timestamppb.New(d.until)
	}
	return p
}
