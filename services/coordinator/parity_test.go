package coordinator

import (
	"slices"
	"testing"

	"github.com/habeas-data/habeas/services/request"
)

// An opt-out follows the links between systems: from an address to the account,
// from the account to the cookies of the advertising graph, from these to whoever
// knows people by cookies alone; and the graph is asked again with what others
// knew.
func TestOptOutFollowsTheLinks_OO5(t *testing.T) {
	out := []request.Action{request.ActionLocate, request.ActionOptOut}
	m := newSim(t, request.OptOutSaleShare, email,
		connector("crm", "email").resolves("user_id"), connector("ads", "user_id", "cookie_id").resolves("cookie_id"), connector("web", "cookie_id").only(out...))
	m.step()
	for _, l := range [][2]string{{"crm", "user_id"}, {"ads", "cookie_id"}} {
		j := m.resolve(l[0])
		m.take(m.answer(j, done(0)))
		m.finds(j, l[1])
	}
	for _, name := range []string{"crm", "ads", "web"} {
		if j := m.act(name); j.Action != request.ActionOptOut {
			t.Errorf("%s is asked to %s", name, j.Action)
		}
		m.ends(name, done(0))
	}
	kinds := m.act("ads").Kinds
	slices.Sort(kinds)
	if !slices.Contains(kinds, "user_id") || !slices.Equal(m.act("web").Kinds, []string{"cookie_id"}) {
		t.Errorf("ads is given %v, web %v", kinds, m.act("web").Kinds)
	}
	m.closes(request.ResultComplete)
}
