package coordinator

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// about gives a connector stores with what the plan depends on.
func (c Connector) about(stores ...StoreInfo) Connector {
	c.About, c.Stores = stores, nil
	for _, s := range stores {
		c.Stores = append(c.Stores, s.Name)
	}
	return c
}

func (c Connector) scoped() Connector { c.Scopes = true; return c }

// verifiedTo puts the sim's request where it was verified to a level only.
func (m *sim) verifiedTo(level request.Level) *sim {
	m.t.Helper()
	r := m.s.Request.Request
	v := request.Verified{Method: "data_points", Level: level, At: simStart, By: "api"}
	restored, err := request.Restore(*r, r.Right(), request.Accepted, v)
	if err != nil {
		m.t.Fatalf("making a request: %v", err)
	}
	m.s.Request.Request = restored
	return m
}

func (m *sim) decisions() (out []string) {
	m.t.Helper()
	for _, r := range m.records {
		if r.Type != string(wire.RecordDecision) {
			continue
		}
		rec, err := wire.ParseRecord(r.Envelope)
		if err != nil {
			m.t.Fatalf("reading a decision: %v", err)
		}
		d := rec.Predicate.(*habeasv1.DecisionRecord)
		out = append(out, d.GetDecision()+" "+d.GetCode())
	}
	return out
}

// Putting off and sending again what the bus lost are no failures: a job that
// was deferred ten times has its whole budget left, and an operator's retry
// gives a new one.
func TestDeferralsAreNoFailures_DE15(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	for range 10 {
		m.ends("crm", deferred(m.w.now.Add(time.Hour)))
		m.pass(2 * time.Hour)
	}
	m.w.lost = map[string]bool{"crm": true}
	m.pass(simRules.Lease + time.Second)
	m.w.lost = nil
	if j := m.act("crm"); j.Attempt != 12 || j.Failures != 0 {
		t.Fatalf("attempt %d, failures %d", j.Attempt, j.Failures)
	}
	for i := range simRules.Attempts {
		m.jobState(m.act("crm"), request.JobSent)
		m.ends("crm", failed(false))
		if i+1 < simRules.Attempts {
			m.jobState(m.act("crm"), request.JobDeferred)
			m.pass(2 * time.Hour)
		}
	}
	m.jobState(m.act("crm"), request.JobFailed)
	if m.act("crm").Code != "exhausted" {
		t.Errorf("code %q", m.act("crm").Code)
	}
	j := m.act("crm") // what intake's retry does
	j.State, j.Failures, j.NextAt = request.JobPlanned, 0, m.w.now
	m.step()
	m.ends("crm", failed(false))
	m.jobState(m.act("crm"), request.JobDeferred)
}

// The same attempt, delivered twice, may get further the second time.
func TestBetterAnswerOfTheSameAttemptCounts_DE15(t *testing.T) {
	for name, first := range map[string]*habeasv1.Outcome{"partial": partial(), "over_limit": overLimit(), "not_supported": notSupported(), "needs_identifier": needsIdentifier()} {
		m := newSim(t, request.Delete, email, connector("crm", "email"), connector("slow", "email"))
		m.step()
		m.ends("crm", first)
		m.ends("crm", done(2))
		m.jobState(m.act("crm"), request.JobDone)
		m.ends("crm", first)
		m.jobState(m.act("crm"), request.JobDone)
		m.ends("slow", done(1))
		if m.s.Request.State() != request.Closing {
			t.Errorf("%s: %s", name, m.s.Request.State())
		}
	}
}

func TestPauseBeforeErasure_RE7(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.w.rules.EraseHold = 48 * time.Hour
	m.step()
	m.state(request.Held)
	mustNot(t, len(m.sent) > 0, "it was sent during the pause")
	m.pass(47 * time.Hour)
	m.state(request.Held)
	m.pass(2 * time.Hour)
	m.state(request.Running)
	m.ends("crm", done(1))
	m.closes(request.ResultComplete)
	if got := m.decisions(); !slices.Equal(got, []string{"held cooling", "hold_ended "}) {
		t.Errorf("on record: %v", got)
	}

	m = newSim(t, request.Delete, email, connector("crm", "email"))
	m.w.rules.EraseHold = 48 * time.Hour
	m.step()
	m.run(func(st *step) {
		if err := st.s.Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "by phone"}); err != nil {
			t.Fatal(err)
		}
	})
	m.pass(72 * time.Hour)
	mustNot(t, len(m.sent) > 0, "a cancelled erasure was sent")
	m.closes(request.ResultCancelled)
}

func TestLegalHoldStopsTheRest_DE12(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email").tier(1), connector("crm", "email").tier(3))
	m.step()
	if len(m.sent) != 1 {
		t.Fatalf("sent %d", len(m.sent))
	}
	hold := request.NewID()
	m.run(func(st *step) {
		if err := st.s.Request.Hold(request.Hold{ID: hold, Kind: request.LegalHold, Ref: "case 7", Since: st.w.now}); err != nil {
			t.Fatal(err)
		}
		st.s.Changed = true
	})
	m.state(request.Held)
	m.ends("ads", done(1))
	m.pass(90 * 24 * time.Hour)
	for i := range m.s.Jobs {
		if j := &m.s.Jobs[i]; !j.State.Terminal() && !j.NextAt.After(m.w.now) {
			t.Errorf("the job of %s comes up again and again while it is held", j.Connector)
		}
	}
	mustNot(t, len(m.sent) > 1, "it went on in spite of the hold")
	m.jobState(m.act("ads"), request.JobDone)
	m.run(func(st *step) {
		if err := st.s.Request.EndHold(hold, "counsel", st.w.now); err != nil {
			t.Fatal(err)
		}
		st.s.Changed = true
	})
	m.ends("crm", done(2))
	m.closes(request.ResultComplete)
}

// Only analytics are held: the reasonable degree is enough. A photo is held: the
// surer one is asked for before anything is erased.
func TestLevelFollowsWhatIsLocated_VE6(t *testing.T) {
	analytics := connector("analytics", "email").about(StoreInfo{Name: "t", Letters: []string{"F"}})
	photos := connector("photos", "email").about(StoreInfo{Name: "t", Letters: []string{"H"}})

	m := newSim(t, request.Delete, email, analytics).verifiedTo(request.Reasonable)
	m.step()
	if m.act("analytics").Action != request.ActionErase {
		t.Errorf("asked to %s", m.act("analytics").Action)
	}

	m = newSim(t, request.Delete, email, analytics, photos).verifiedTo(request.Reasonable)
	m.step()
	m.state(request.Resolving)
	if len(m.sent) != 1 || m.sent[0].Purpose != store.PurposeSurvey || m.sent[0].Action != request.ActionLocate {
		t.Fatalf("sent %+v", m.sent)
	}
	survey := m.sent[0]
	m.take(m.answer(&survey, done(3)))
	m.state(request.AwaitingVerification)
	if level := m.s.Request.Level(); level != request.ReasonablyHigh || len(m.sent) != 1 {
		t.Fatalf("it needs %s, and %d jobs are out", level, len(m.sent))
	}
	m.pass(time.Hour)
	m.state(request.AwaitingVerification)
	m.run(func(st *step) {
		v := request.Verified{Method: "declaration", Level: request.ReasonablyHigh, At: m.w.now, By: "api"}
		if err := st.s.Request.Attest(v); err != nil {
			t.Fatal(err)
		}
		if err := st.s.Request.Move(request.Accepted); err != nil {
			t.Fatal(err)
		}
		st.s.Changed = true
	})
	m.ends("photos", done(3))
	m.ends("analytics", done(1))
	m.closes(request.ResultComplete)
	if got := m.decisions(); !slices.Contains(got, "level_raised reasonably_high") {
		t.Errorf("on record: %v", got)
	}

	m = newSim(t, request.Correct, email, analytics, photos).verifiedTo(request.Reasonable)
	m.step()
	survey = m.sent[0]
	m.take(m.answer(&survey, noMatch()))
	m.ends("photos", noMatch())
	m.ends("analytics", done(1))
	m.closes(request.ResultComplete)
}

func TestSurveyThatFailsIsSeen_VE6(t *testing.T) {
	photos := connector("photos", "email").about(StoreInfo{Name: "t", Letters: []string{"L"}})
	m := newSim(t, request.Delete, email, photos).verifiedTo(request.Reasonable)
	m.step()
	survey := m.sent[0]
	m.take(m.answer(&survey, failed(true)))
	m.attention(AttentionFailed)
	mustNot(t, len(m.sent) > 1, "it erased without knowing what is held")
}

func exclusionsOf(m *sim, name string) []string {
	c, _ := m.w.connector(name)
	return (&step{w: m.w, s: m.s}).exclusions(m.act(name), c)
}

func TestPurchasedDataFollowsTheDate_DE16(t *testing.T) {
	shop := connector("shop", "email").scoped().about(StoreInfo{Name: "orders", Letters: []string{"D"}}, StoreInfo{Name: "enrichment", Letters: []string{"K"}, Acquired: true})
	m := newSim(t, request.Delete, email, shop)
	m.s.Request.Terms.DeleteScope = request.CollectedFrom
	m.step()
	if got := exclusionsOf(m, "shop"); !slices.Equal(got, []string{"enrichment=not-collected-from-consumer"}) {
		t.Errorf("a request of 2026 leaves %v", got)
	}
	m = newSim(t, request.Delete, email, shop)
	m.s.Request.Terms.DeleteScope, m.s.Request.Channel = request.CollectedFrom, request.ChannelDROP
	m.step()
	if got := exclusionsOf(m, "shop"); len(got) != 0 {
		t.Errorf("a request of the deletion platform leaves %v", got)
	}
	m = newSim(t, request.Delete, email, shop)
	m.s.Request.Terms.DeleteScope = request.AboutAny
	m.step()
	if got := exclusionsOf(m, "shop"); len(got) != 0 {
		t.Errorf("a request of 2027 leaves %v", got)
	}
}

func TestRecordsHeldForCustomersStay_DE13(t *testing.T) {
	shop := connector("shop", "email").scoped().about(StoreInfo{Name: "own"}, StoreInfo{Name: "tags", ServiceProvider: true})
	m := newSim(t, request.Delete, email, shop)
	m.step()
	if got := exclusionsOf(m, "shop"); !slices.Equal(got, []string{"tags=role-service-provider"}) {
		t.Errorf("it leaves %v", got)
	}
	o := retained()
	o.Stores = []*habeasv1.StoreCount{{Store: "tags", LocatedCount: 2, KeptCount: 2, Basis: "role-service-provider"}}
	m.ends("shop", o)
	m.closes(request.ResultCompleteWithExceptions)
	mustNot(t, len(m.s.Request.Case.Children) > 0, "what is held for a customer has no end of its own: %+v", m.s.Request.Case.Children)
}

func TestPortions_IN6(t *testing.T) {
	scoped := connector("crm", "email").scoped().about(StoreInfo{Name: "contacts", Letters: []string{"A"}}, StoreInfo{Name: "calls", Letters: []string{"F"}})
	whole := connector("lake", "email").about(StoreInfo{Name: "events", Letters: []string{"F"}}, StoreInfo{Name: "people", Letters: []string{"A"}})
	none := connector("ads", "email").about(StoreInfo{Name: "cookies", Letters: []string{"F"}})
	m := newSim(t, request.Delete, email, scoped, whole, none)
	m.s.Request.Case.Portions = []string{"A"}
	m.step()
	if got := exclusionsOf(m, "crm"); !slices.Equal(got, []string{"calls=not-asked"}) {
		t.Errorf("crm leaves %v", got)
	}
	if a := m.act("lake").Action; a != request.ActionLocate {
		t.Errorf("one that can't leave a part alone is asked to %s", a)
	}
	if m.last("ads") {
		t.Error("one that holds nothing of what was asked is asked")
	}
	m.ends("crm", done(1))
	m.ends("lake", done(2))
	m.closes(request.ResultPartial)
}

func (m *sim) last(name string) bool { return (&step{w: m.w, s: m.s}).last(name, false) >= 0 }

func TestKeptRecordsScheduleTheirErasure_DE8(t *testing.T) {
	end, later := simStart.AddDate(1, 0, 0), simStart.AddDate(7, 0, 0)
	m := newSim(t, request.Delete, email, connector("billing", "email"), connector("crm", "email"))
	m.step()
	o := retained()
	o.Stores = []*habeasv1.StoreCount{
		{Store: "invoices", LocatedCount: 2, KeptCount: 2, Basis: "ccpa-1798.105(d)(8)", UntilTime: timestamppb.New(later)},
		{Store: "claims", LocatedCount: 1, KeptCount: 1, Basis: "ccpa-1798.145(a)", UntilTime: timestamppb.New(end)},
	}
	m.ends("billing", o)
	m.ends("crm", done(1))
	m.closes(request.ResultCompleteWithExceptions)
	children := m.s.Request.Case.Children
	if len(children) != 1 || children[0].Right != request.Delete || children[0].Origin != request.FromRetention || !children[0].At.Equal(end) {
		t.Fatalf("what follows: %+v", children)
	}
	if !m.s.Request.Wake().Equal(end) {
		t.Errorf("it wakes at %s", m.s.Request.Wake())
	}
	m.step()
	if got := m.s.Request.Case.Children; len(got) != 1 || got[0].ID != children[0].ID {
		t.Errorf("deciding again changed what follows: %+v", got)
	}
}

// Withdrawing a request names the jobs that may be on the bus.
func TestCancelNamesWhatIsOut(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email").tier(1), connector("crm", "email").tier(3))
	m.step()
	var out []store.Job
	m.run(func(st *step) {
		if err := st.s.Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
		st.s.Changed = true
		st.withdraw()
		out = st.withdrawn
	})
	if len(out) != 1 || out[0].Connector != "ads" {
		t.Errorf("named %+v", out)
	}
	m.ends("ads", done(1))
	m.jobState(m.act("ads"), request.JobCancelled)
}
