package coordinator

import (
	"slices"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// AttentionApproval says that a plan waits until somebody approves it.
const AttentionApproval = "plan_approval"

// approval lets a right that takes it wait until somebody approved the plan. Who
// can look does so first, so that the plan says how much would be changed. It reports
// whether acting has to wait; once all have looked, the request is held.
func (st *step) approval() (wait bool) {
	r := &st.s.Request
	if !st.mustApprove() {
		return false
	}
	reached := false
	for _, c := range st.w.connectors {
		if st.action(c) == "" || !st.reaches(c) {
			continue
		}
		reached = true
		if !c.Can(request.ActionLocate) || r.Right().Packaged() {
			continue // it can't look; or to look is what is asked, or a part of it
		}
		switch i := st.lastSurvey(c.Name); {
		case i < 0 || st.s.Jobs[i].State.Terminal() && st.news(c, st.s.Jobs[i].Round):
			st.add(c, request.ActionLocate)
			st.s.Jobs[len(st.s.Jobs)-1].Purpose = store.PurposeSurvey
			wait = true
		case !st.s.Jobs[i].State.Terminal() && !needsPerson(st.s.Jobs[i].State):
			wait = true
		}
	}
	for i := range st.s.Jobs {
		wait = wait || st.s.Jobs[i].Action == request.ActionResolve && !st.s.Jobs[i].State.Terminal()
	}
	if wait || !reached {
		return wait
	}
	// It can't fail: the right is one that can be held, and the request is at work.
	_ = r.Hold(request.Hold{ID: request.NewID(), Kind: request.ApprovalHold, Since: st.w.now, By: Name})
	r.Restrain(st.w.now)
	r.Attention, st.s.Changed = AttentionApproval, true
	st.decided(decision{kind: "held", code: string(request.ApprovalHold)})
	return true
}

// mustApprove reports whether somebody has yet to be asked to approve the plan. What
// follows by itself from a request that was approved is not asked about again, nor
// is a made-up one.
func (st *step) mustApprove() bool {
	r := &st.s.Request
	if !slices.Contains(st.w.rules.Approve, r.Right()) || !r.Right().Has(request.Held) || r.PlanAsked() {
		return false
	}
	if r.Case.Origin.Ours() || r.Case.Origin == request.FromRetention || r.Channel == request.ChannelProbe {
		return false
	}
	return !slices.ContainsFunc(st.s.Jobs, func(j store.Job) bool { return j.Purpose == "" && j.Action != request.ActionResolve })
}
