package coordinator

import (
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// approve is what intake does when somebody approves the plan.
func (m *sim) approve() {
	m.t.Helper()
	m.run(func(st *step) {
		if ok, err := st.s.Request.ApprovePlan("ana", false, m.w.now); !ok || err != nil {
			m.t.Fatalf("approving: %v, %v", ok, err)
		}
		st.s.Request.Attention, st.s.Changed = "", true
	})
}

// surveyed answers the job with which a connector was asked to look.
func (m *sim) surveyed(name string) *store.Job {
	m.t.Helper()
	i := (&step{w: m.w, s: m.s}).lastSurvey(name)
	if i < 0 {
		m.t.Fatalf("%s was not asked to look; jobs %s", name, m.jobs())
	}
	return &m.s.Jobs[i]
}

// Nothing is done before somebody approves the plan; who can look does so first,
// and the clocks run.
func TestPlanWaitsForApproval(t *testing.T) {
	mute := connector("mute", "email")
	mute.Abilities = []request.Action{request.ActionErase}
	m := newSim(t, request.Delete, email, connector("crm", "email"), connector("lake", "email"), mute)
	m.w.rules.Approve = []request.Right{request.Delete}
	m.step()
	m.state(request.Resolving)
	for _, j := range m.s.Jobs {
		if j.Action != request.ActionLocate || j.Connector == "mute" {
			t.Errorf("%s is asked to %s before somebody approved", j.Connector, j.Action)
		}
	}
	m.take(m.answer(m.surveyed("crm"), done(3)))
	m.state(request.Resolving)
	m.attention("")
	m.take(m.answer(m.surveyed("lake"), noMatch()))
	m.state(request.Held)
	m.attention(AttentionApproval)
	due := m.s.Request.RespondBy
	m.pass(60 * 24 * time.Hour)
	m.state(request.Held)
	m.attention(AttentionApproval)
	if !m.s.Request.RespondBy.Equal(due) {
		t.Error("waiting for approval moved the deadline")
	}
	if err := m.s.Request.EndHold(m.s.Request.PlanWaits().ID, "eve", m.w.now); err == nil {
		t.Error("the plan was let go without an approval")
	}
	m.approve()
	m.state(request.Running)
	for _, name := range []string{"crm", "lake", "mute"} {
		if j := m.act(name); j.Action != request.ActionErase {
			t.Errorf("%s is asked to %s after the approval", name, j.Action)
		}
	}
	m.ends("crm", done(3))
	m.ends("lake", noMatch())
	m.ends("mute", done(1))
	m.closes(request.ResultComplete)
	if got := m.decisions(); !slices.Equal(got, []string{"held approval", "hold_ended "}) {
		t.Errorf("on record: %v", got)
	}
}

// A look that fails for good does not stand in the way of an approval, nor of the
// result once the connector did what it was asked.
func TestPlanIsApprovedWithoutALook(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("crm", "email"))
	m.w.rules.Approve = []request.Right{request.Delete}
	m.step()
	m.take(m.answer(m.surveyed("crm"), failed(true)))
	m.state(request.Held)
	m.approve()
	m.ends("crm", done(3))
	m.closes(request.ResultComplete)
}

// Who is not to wait does not: other rights, what follows by itself, and whoever
// says no ends it.
func TestWhatWaitsForNoApproval(t *testing.T) {
	m := newSim(t, request.Correct, email, connector("crm", "email"))
	m.w.rules.Approve = []request.Right{request.Delete, request.OptOutSaleShare}
	m.step()
	m.act("crm")
	m = newSim(t, request.OptOutSaleShare, email, connector("crm", "email"))
	m.w.rules.Approve = []request.Right{request.OptOutSaleShare} // no file can say so
	m.step()
	m.act("crm")
	for _, origin := range []request.Origin{request.FromRecheck, request.FromReplay, request.FromRetention} {
		m = newSim(t, request.Delete, email, connector("crm", "email"))
		m.w.rules.Approve = []request.Right{request.Delete}
		m.s.Request.Case.Origin = origin
		m.step()
		if m.s.Request.State() == request.Held || len(m.s.Jobs) == 0 || m.s.Jobs[0].Purpose == store.PurposeSurvey {
			t.Errorf("%s waits for an approval: %s", origin, m.jobs())
		}
	}
	m = newSim(t, request.KnowSpecific, email, connector("crm", "email")) // to look first would be to do it
	m.w.rules.Approve = []request.Right{request.KnowSpecific}
	m.step()
	m.state(request.Held)
	mustNot(t, len(m.s.Jobs) > 0, "somebody was asked for a copy before it was approved")
	m.approve()
	m.state(request.Running)
	m.act("crm")
	m = newSim(t, request.Delete, []string{"fax"}, connector("crm", "email"))
	m.w.rules.Approve = []request.Right{request.Delete}
	m.step()
	m.attention(AttentionNobody)
}
