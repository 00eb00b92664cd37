package coordinator

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
)

var email = []string{"email"}

func TestEveryRightAsksItsAction(t *testing.T) {
	for right, want := range map[request.Right]request.Action{
		request.Delete: request.ActionErase, request.KnowSpecific: request.ActionExport, request.KnowCategories: request.ActionLocate,
		request.OptOutSaleShare: request.ActionOptOut, request.LimitSPI: request.ActionLimit, request.Correct: request.ActionCorrect,
	} {
		m := newSim(t, right, email, connector("crm", "email"))
		m.step()
		if got := m.act("crm").Action; got != want {
			t.Errorf("%s asks for %s, want %s", right, got, want)
		}
		m.state(request.Running)
		m.ends("crm", done(1))
		if right.Packaged() {
			m.state(request.Packaging)
			continue
		}
		m.closes(request.ResultComplete)
	}
}

// A connector that lacks the ability is asked to look; opting out concerns
// only those who can.
func TestWhoCannotActIsAskedToLook(t *testing.T) {
	looker := connector("archive", "email").only(request.ActionLocate)
	m := newSim(t, request.Delete, email, looker, connector("crm", "email"))
	m.step()
	if got := m.act("archive").Action; got != request.ActionLocate {
		t.Errorf("asked for %s", got)
	}
	m.ends("crm", done(1))
	m.ends("archive", done(3))
	m.jobState(m.act("archive"), request.JobNotSupported)
	m.closes(request.ResultPartial)

	m = newSim(t, request.Delete, email, looker)
	m.step()
	m.ends("archive", noMatch())
	m.closes(request.ResultComplete)

	m = newSim(t, request.OptOutSaleShare, email, looker)
	m.step()
	mustNot(t, len(m.s.Jobs) > 0, "an opt-out asked %s", m.jobs())
	m.attention(AttentionNobody)
}

func TestResultFollowsFromTheOutcomes(t *testing.T) {
	for _, c := range []struct {
		name      string
		outcomes  []*habeasv1.Outcome
		want      request.Result
		attention string
	}{
		{"all done", []*habeasv1.Outcome{done(1), noMatch()}, request.ResultComplete, ""},
		{"something is kept by law", []*habeasv1.Outcome{done(1), retained()}, request.ResultCompleteWithExceptions, ""},
		{"a part is not done", []*habeasv1.Outcome{done(1), partial()}, request.ResultPartial, ""},
		{"no ability", []*habeasv1.Outcome{done(1), notSupported()}, request.ResultPartial, ""},
		{"nothing to find by", []*habeasv1.Outcome{retained(), needsIdentifier()}, request.ResultPartial, ""},
		{"one failed for good", []*habeasv1.Outcome{done(1), failed(true)}, "", AttentionFailed},
		{"one found too much", []*habeasv1.Outcome{done(1), overLimit()}, "", AttentionOverLimit},
		{"one waits", []*habeasv1.Outcome{done(1), deferred(simStart.Add(time.Hour))}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := []string{"a", "b"}
			m := newSim(t, request.Delete, email, connector("a", "email"), connector("b", "email"))
			m.step()
			for i, o := range c.outcomes {
				m.ends(names[i], o)
			}
			m.attention(c.attention)
			if c.want != "" {
				m.closes(c.want)
				return
			}
			m.state(request.Running)
		})
	}
}

// Asking for identifiers is not yet an answer.
func TestResolvingAloneEndsNothing(t *testing.T) {
	index := connector("index", "email").only().resolves("device_id")
	m := newSim(t, request.Delete, email, index, connector("ads", "device_id"))
	m.step()
	m.state(request.Resolving)
	m.attention("")
	m.take(m.answer(m.resolve("index"), noMatch()))
	m.state(request.Running)
	m.attention(AttentionNobody)
}

func TestNobodyToAskIsShownAndHeals(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "device_id"))
	m.step()
	m.state(request.Running)
	m.attention(AttentionNobody)
	m.w.connectors = append(m.w.connectors, connector("crm", "email"))
	m.step()
	m.attention("")
	m.ends("crm", done(1))
	m.closes(request.ResultComplete)
}

func TestDoneCountsOnlyWithItsIdentifiers(t *testing.T) {
	crm := connector("crm", "email").resolves("device_id")
	start := func(t *testing.T) *sim {
		m := newSim(t, request.Delete, email, crm, connector("ads", "device_id"))
		m.step()
		m.ends("crm", done(1))
		return m
	}
	t.Run("outcome first", func(t *testing.T) {
		m := start(t)
		m.take(m.answer(m.resolve("crm"), done(0)))
		m.jobState(m.resolve("crm"), request.JobSent)
		m.state(request.Resolving)
		m.finds(m.resolve("crm"), "device_id")
		m.jobState(m.resolve("crm"), request.JobDone)
		m.jobState(m.act("ads"), request.JobSent)
		m.ends("ads", done(1))
		m.closes(request.ResultComplete)
	})
	t.Run("identifiers first", func(t *testing.T) {
		m := start(t)
		m.finds(m.resolve("crm"), "device_id")
		m.jobState(m.resolve("crm"), request.JobSent)
		m.ends("ads", done(1))
		m.state(request.Resolving)
		m.take(m.answer(m.resolve("crm"), done(0)))
		m.closes(request.ResultComplete)
	})
	t.Run("nothing found", func(t *testing.T) {
		m := start(t)
		m.take(m.answer(m.resolve("crm"), noMatch()))
		m.closes(request.ResultComplete)
	})
	t.Run("identifiers never come", func(t *testing.T) {
		m := start(t)
		m.take(m.answer(m.resolve("crm"), done(0)))
		m.w.lost = map[string]bool{"crm": true}
		m.pass(simRules.Lease)
		if got := m.resolve("crm").Attempt; got != 2 {
			t.Errorf("attempt %d, want it sent again", got)
		}
	})
}

// Two connectors that know different things of the person feed each other
// until nobody learns anything new, and everybody acts on the last of it.
func TestIdentifiersGoRound(t *testing.T) {
	m := newSim(t, request.Delete, email,
		connector("crm", "email", "user_id").resolves("phone"),
		connector("calls", "phone").resolves("user_id"),
		connector("ads", "user_id"))
	m.step()
	m.take(m.answer(m.resolve("crm"), done(0)))
	m.finds(m.resolve("crm"), "phone")
	m.take(m.answer(m.resolve("calls"), done(0)))
	m.finds(m.resolve("calls"), "user_id")
	m.ends("ads", done(1))
	m.ends("calls", done(1))
	m.ends("crm", done(1))
	m.take(m.answer(m.resolve("crm"), done(0)))
	m.finds(m.resolve("crm"))
	m.ends("crm", done(1))
	m.closes(request.ResultComplete)
	if got := m.act("crm"); got.Round != 2 || !slices.Equal(got.Kinds, []string{"email", "user_id"}) {
		t.Errorf("crm acted last in round %d on %v", got.Round, got.Kinds)
	}
}

func TestRoundsAreBounded(t *testing.T) {
	m := newSim(t, request.Delete, email,
		connector("a", "email", "y_id").resolves("x_id"), connector("b", "x_id").resolves("y_id"))
	m.step()
	for i := 0; i < 50 && m.s.Request.State() != request.Closing; i++ {
		for k := range m.s.Jobs {
			j := m.s.Jobs[k]
			if j.State.Terminal() {
				continue
			}
			m.take(m.answer(&j, done(0)))
			if j.Action == request.ActionResolve {
				m.finds(&j, map[string]string{"a": "x_id", "b": "y_id"}[j.Connector]) // always somebody new
			}
		}
	}
	m.closes(request.ResultComplete)
	if got := m.s.Request.Round; got > simRules.Rounds {
		t.Errorf("%d rounds", got)
	}
}

func TestPlanChangedIsAskedAgainWithTheNewDigest(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	plan := m.act("crm").PlanDigest
	m.ends("crm", planChanged())
	// Not at once: the same question gets the same answer.
	m.jobState(m.act("crm"), request.JobDeferred)
	m.w.connectors[0].Digest = "sha256:new"
	m.pass(simRules.Retry)
	j := m.act("crm")
	m.jobState(j, request.JobSent)
	if j.ManifestDigest != "sha256:new" || j.Attempt != 2 || slices.Equal(j.PlanDigest, plan) {
		t.Errorf("sent again for %s as attempt %d, plan changed: %v", j.ManifestDigest, j.Attempt, !slices.Equal(j.PlanDigest, plan))
	}
	m.ends("crm", done(1))
	m.closes(request.ResultComplete)
}

func TestPlanChangedForEverNeedsAPerson(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	for range simRules.Attempts - 1 {
		m.ends("crm", planChanged())
		m.jobState(m.act("crm"), request.JobDeferred)
		m.pass(time.Hour)
	}
	m.ends("crm", planChanged())
	m.jobState(m.act("crm"), request.JobPlanChanged)
	m.attention(AttentionFailed)
	m.state(request.Running)
}

func TestFailuresBackOffAndThenNeedAPerson(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	for i := range simRules.Attempts - 1 {
		m.ends("crm", failed(false))
		j := m.act("crm")
		m.jobState(j, request.JobDeferred)
		want := simRules.Retry << i
		if got := j.NextAt.Sub(m.w.now); got != want {
			t.Errorf("pause %d is %s, want %s", i+1, got, want)
		}
		m.pass(want - time.Millisecond)
		m.jobState(m.act("crm"), request.JobDeferred)
		m.pass(time.Millisecond)
		m.jobState(m.act("crm"), request.JobSent)
	}
	m.attention("")
	m.ends("crm", failed(false))
	m.jobState(m.act("crm"), request.JobFailed)
	if got := m.act("crm").Code; got != "exhausted" {
		t.Errorf("code %q", got)
	}
	m.attention(AttentionFailed)

	// Some of the connector's answers were only late.
	m.take(m.answer(m.act("crm"), done(1)))
	m.closes(request.ResultComplete)
	m.attention("")
}

func TestBackoffIsBounded(t *testing.T) {
	r := Rules{Retry: time.Second, RetryMost: time.Minute}
	for attempt, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 7: time.Minute, 1 << 30: time.Minute} {
		if got := backoff(r, attempt); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
}

// A deferral that names no time, a past one or one in a thousand years must
// neither spin nor be forgotten.
func TestDeferralsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Time
		want  time.Duration
	}{
		"past":  {simStart.Add(-time.Hour), time.Second},
		"zero":  {time.Unix(0, 0), time.Second},
		"usual": {simStart.Add(time.Hour), time.Hour},
		"far":   {simStart.AddDate(1000, 0, 0), longestDeferral},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSim(t, request.Delete, email, connector("crm", "email"))
			m.step()
			m.ends("crm", deferred(c.until))
			m.jobState(m.act("crm"), request.JobDeferred)
			if got := m.act("crm").NextAt.Sub(simStart); got != c.want {
				t.Errorf("looked at again after %s, want %s", got, c.want)
			}
			m.pass(c.want)
			m.ends("crm", done(1))
			m.closes(request.ResultComplete)
		})
	}
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	m.ends("crm", &habeasv1.Outcome{Result: &habeasv1.Outcome_Deferred{Deferred: &habeasv1.Deferred{}}})
	m.jobState(m.act("crm"), request.JobDeferred)
}

// The connector was given the job twice and answers twice; the operator
// decided in between.
func TestAnswersToEarlierAttemptsAreHistory(t *testing.T) {
	for name, second := range map[string]*habeasv1.Outcome{
		"over limit": overLimit(), "failed": failed(true), "partial": partial(), "not supported": notSupported(), "deferred": deferred(simStart.Add(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			m := newSim(t, request.Delete, email, connector("crm", "email"))
			m.step()
			first := *m.act("crm")
			m.take(m.answer(&first, overLimit()))
			m.attention(AttentionOverLimit)
			m.run(func(st *step) { // the operator approves
				j := &st.s.Jobs[0]
				j.State, j.NextAt, j.CapOverride = request.JobPlanned, st.w.now, 1000
				st.s.Touch(0)
			})
			m.jobState(m.act("crm"), request.JobSent)
			m.attention("")
			m.take(m.answer(&first, second))
			m.jobState(m.act("crm"), request.JobSent)
			m.ends("crm", done(900))
			m.closes(request.ResultComplete)
			if len(m.sent) != 2 || m.sent[1].CapOverride != 1000 || m.sent[1].Attempt != 2 {
				t.Errorf("sent %d times, the last with cap %d as attempt %d", len(m.sent), m.sent[1].CapOverride, m.sent[1].Attempt)
			}
		})
	}
}

// A success of an earlier attempt counts, and does not stand for what only the
// later one was given.
func TestLateSuccessDoesNotCoverLaterIdentifiers(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email").resolves("phone"), connector("calls", "email", "phone"))
	m.step()
	m.pass(simRules.Patience)
	first := *m.act("calls")
	m.jobState(&first, request.JobSent)
	m.take(m.answer(&first, deferred(m.w.now.Add(time.Second))))
	m.finds(m.resolve("crm"), "phone")
	m.take(m.answer(m.resolve("crm"), done(0)))
	m.pass(time.Second)
	if got := m.act("calls"); got.Attempt != 2 || !slices.Equal(got.Kinds, []string{"email", "phone"}) {
		t.Fatalf("attempt %d with %v", got.Attempt, got.Kinds)
	}
	m.ends("crm", done(1))
	m.take(m.answer(&first, done(1)))
	m.state(request.Running)
	m.jobState(m.act("calls"), request.JobSent)
	m.ends("calls", done(1))
	m.closes(request.ResultComplete)
}

func TestLocatedIsKeptFromTheFirstAttempt(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.step()
	first := m.located(m.act("crm"), 7)
	m.take(first)
	m.ends("crm", failed(false))
	m.pass(time.Hour)
	if got := m.sent[1].LocatedEnvelope; !slices.Equal(got, first.Envelope) {
		t.Error("the next attempt is not told what there was")
	}
	m.take(m.located(m.act("crm"), 1))
	kept := &habeasv1.Outcome{}
	if err := protojson.Unmarshal(m.act("crm").Located, kept); err != nil || total(kept) != 7 {
		t.Errorf("what was located first was replaced: %s, %v", m.act("crm").Located, err)
	}
	if !slices.Equal(m.act("crm").LocatedEnvelope, first.Envelope) {
		t.Error("the envelope was replaced")
	}
	m.ends("crm", failed(true))
	if got := m.act("crm").LocatedEnvelope; !slices.Equal(got, first.Envelope) {
		t.Error("a failed job, which may be retried, forgot what there was")
	}
	m.take(m.answer(m.act("crm"), done(7)))
	if got := m.act("crm").LocatedEnvelope; got != nil {
		t.Error("the envelope is kept after the end")
	}
	m.closes(request.ResultComplete)
}

func TestRecordsForOthersAreIgnored(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"), connector("ads", "email"))
	m.step()
	crm := *m.act("crm")
	before := len(m.records)
	stranger := crm
	stranger.ID = request.NewID()
	foreign := m.sign("ads", &habeasv1.OutcomeRecord{RequestId: string(crm.RequestID), JobId: string(crm.ID), Action: habeasv1.Action_ACTION_ERASE, Attempt: 1, Outcome: done(1)})
	m.take(m.answer(&stranger, done(1)), foreign, m.sign("crm", &habeasv1.LocatedRecord{RequestId: string(crm.RequestID)}))
	m.jobState(m.act("crm"), request.JobSent)
	mustNot(t, len(m.records) != before, "a record that belongs to no job was kept")

	// An answer to another question is none to ours, and neither is no answer.
	looked := crm
	looked.Action = request.ActionLocate
	m.take(m.answer(&looked, done(1)), m.answer(&crm, &habeasv1.Outcome{}), m.answer(&crm, nil))
	m.jobState(m.act("crm"), request.JobSent)
	m.ends("crm", done(1))
	m.ends("ads", done(1))
	m.closes(request.ResultComplete)
}

func TestRecordsAreTakenOnce(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"), connector("ads", "email"))
	m.step()
	rec := m.answer(m.act("crm"), failed(false))
	m.take(rec, rec)
	next := m.act("crm").NextAt
	n := len(m.records)
	changed := m.run(func(st *step) {
		if st.apply(rec) {
			t.Error("it was taken again")
		}
	})
	mustNot(t, changed || len(m.records) != n || !m.act("crm").NextAt.Equal(next), "a repeat changed something")
}

func TestCancelWithdraws(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email"), connector("crm", "email").after("ads"))
	m.step()
	m.ends("ads", failed(true))
	m.attention(AttentionFailed)
	m.run(func(st *step) {
		st.s.Changed = true
		if err := st.s.Request.Close(request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "by the consumer"}); err != nil {
			t.Fatal(err)
		}
	})
	m.closes(request.ResultCancelled)
	m.attention("")
	m.jobState(m.act("crm"), request.JobCancelled)
	m.jobState(m.act("ads"), request.JobFailed)
	// What comes late is history.
	n := len(m.records)
	m.take(m.answer(m.act("ads"), done(1)))
	m.finds(m.act("ads"), "phone")
	mustNot(t, len(m.records) != n, "a record was added after the closure")
	m.closureIsWhole()
}

// A connector that is gone from the registry is asked when it is back.
func TestUnknownConnectorWaits(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email"), connector("crm", "email").tier(3))
	m.step()
	crm := m.w.connectors[1]
	m.w.connectors = m.w.connectors[:1]
	m.ends("ads", done(1))
	m.jobState(m.act("crm"), request.JobPlanned)
	mustNot(t, m.act("crm").NextAt.IsZero(), "nobody will look at it again")
	m.w.connectors = append(m.w.connectors, crm)
	m.pass(simRules.RetryMost)
	m.ends("crm", done(1))
	m.closes(request.ResultComplete)
}

func TestLostJobsAreSentAgainAfterTheLease(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("ads", "email"), connector("crm", "email"))
	m.step()
	m.w.lost = map[string]bool{"crm": true}
	m.pass(simRules.Lease - time.Second)
	if got := m.act("crm").Attempt; got != 1 {
		t.Errorf("attempt %d inside the lease", got)
	}
	m.pass(time.Second)
	if crm, ads := m.act("crm").Attempt, m.act("ads").Attempt; crm != 2 || ads != 1 {
		t.Errorf("attempts %d and %d, want only the lost one sent again", crm, ads)
	}
	m.step()
	if got := m.act("crm").Attempt; got != 2 {
		t.Errorf("attempt %d: sent again and again", got)
	}
}

// A failure is history once the connector was asked again with more and
// succeeded.
func TestLaterSuccessSupersedes(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email").resolves("phone"), connector("calls", "email", "phone"))
	m.step()
	m.pass(simRules.Patience)
	m.ends("calls", overLimit())
	m.ends("crm", done(1))
	m.attention(AttentionOverLimit)
	m.finds(m.resolve("crm"), "phone")
	m.take(m.answer(m.resolve("crm"), done(0)))
	m.ends("calls", done(4))
	m.closes(request.ResultComplete)
}

func TestDecidingAgainChangesNothing(t *testing.T) {
	m := newSim(t, request.Delete, email,
		connector("ads", "email").tier(1), connector("shop", "email").tier(2), connector("crm", "email").after("shop"), connector("index", "email").resolves("phone"))
	m.step()
	mustNot(t, m.run(nil), "a second look changed something")
	m.ends("ads", done(1))
	mustNot(t, m.run(nil), "a second look changed something: %s", m.jobs())
}

// A connector that located records, and says later that it holds none, has
// forgotten what it did: the person is not told that there was nothing, and it is
// asked again with its own record.
func TestLocatedAndThenDenied(t *testing.T) {
	m := newSim(t, request.Delete, []string{"email"}, connector("crm", "email"))
	m.step()
	j := m.act("crm")
	m.take(m.located(j, 5))
	m.take(m.answer(j, &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}}))
	if j = m.act("crm"); j.State != request.JobDeferred || len(j.LocatedEnvelope) == 0 {
		t.Fatalf("the job is %s", j.State)
	}
	m.pass(simRules.Retry)
	m.jobState(m.act("crm"), request.JobSent)
	m.ends("crm", &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: stores(5)})
	m.state(request.Closing)
	if got := m.s.Request.Ending.Result; got != request.ResultComplete {
		t.Errorf("it ended %s", got)
	}
}

// One that never comes to say so is somebody's to look at, and no success.
func TestLocatedAndDeniedToTheEnd(t *testing.T) {
	m := newSim(t, request.Delete, []string{"email"}, connector("crm", "email"))
	m.step()
	m.take(m.located(m.act("crm"), 5))
	for range simRules.Attempts {
		m.ends("crm", &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}})
		m.pass(simRules.RetryMost)
	}
	m.jobState(m.act("crm"), request.JobFailed)
	m.state(request.Running)
	if m.s.Request.Attention != AttentionFailed {
		t.Errorf("attention is %q", m.s.Request.Attention)
	}
}
