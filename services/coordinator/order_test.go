package coordinator

import (
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
)

func TestHardOrder(t *testing.T) {
	t.Run("waits for the end", func(t *testing.T) {
		m := newSim(t, request.Delete, email, connector("ads", "email"), connector("crm", "email").after("ads"))
		m.step()
		m.jobState(m.act("crm"), request.JobPlanned)
		m.pass(24 * time.Hour)
		m.jobState(m.act("crm"), request.JobPlanned)
		m.ends("ads", done(1))
		m.jobState(m.act("crm"), request.JobSent)
	})
	t.Run("a failure is no end", func(t *testing.T) {
		m := newSim(t, request.Delete, email, connector("ads", "email"), connector("crm", "email").after("ads"))
		m.step()
		m.ends("ads", failed(true))
		m.pass(24 * time.Hour)
		m.jobState(m.act("crm"), request.JobPlanned)
		m.attention(AttentionFailed)
		m.take(m.answer(m.act("ads"), done(1)))
		m.jobState(m.act("crm"), request.JobSent)
	})
	t.Run("only where both erase", func(t *testing.T) {
		m := newSim(t, request.KnowSpecific, email, connector("ads", "email"), connector("crm", "email").after("ads"))
		m.step()
		m.jobState(m.act("crm"), request.JobSent)
	})
	t.Run("one that is not asked is not waited for", func(t *testing.T) {
		m := newSim(t, request.Delete, email, connector("ads", "device_id"), connector("crm", "email").after("ads", "nobody"))
		m.step()
		m.jobState(m.act("crm"), request.JobSent)
	})
	t.Run("a circle waits for nobody", func(t *testing.T) {
		m := newSim(t, request.Delete, email,
			connector("a", "email").after("c"), connector("b", "email").after("a"), connector("c", "email").after("b"), connector("d", "email").after("d", "a"))
		m.step()
		for _, name := range []string{"a", "b", "c"} {
			m.jobState(m.act(name), request.JobSent)
			m.ends(name, done(1))
		}
		m.jobState(m.act("d"), request.JobSent)
	})
}

func TestSoftOrder(t *testing.T) {
	third, own, identity := connector("ads", "email").tier(1), connector("shop", "email").tier(2), connector("crm", "email").tier(3)
	t.Run("in turn", func(t *testing.T) {
		m := newSim(t, request.Delete, email, identity, own, third)
		m.step()
		m.jobState(m.act("shop"), request.JobPlanned)
		m.jobState(m.act("crm"), request.JobPlanned)
		m.ends("ads", done(1))
		m.jobState(m.act("shop"), request.JobSent)
		m.jobState(m.act("crm"), request.JobPlanned)
		m.ends("shop", done(1))
		m.jobState(m.act("crm"), request.JobSent)
	})
	t.Run("one that is put off or fails is not waited for", func(t *testing.T) {
		for name, o := range map[string]*habeasv1.Outcome{"deferred": deferred(simStart.Add(time.Hour)), "failed": failed(false)} {
			m := newSim(t, request.Delete, email, own, third)
			m.step()
			m.ends("ads", o)
			if m.act("shop").State != request.JobSent {
				t.Errorf("%s: shop is %s", name, m.act("shop").State)
			}
		}
	})
	t.Run("no longer than patience", func(t *testing.T) {
		m := newSim(t, request.Delete, email, identity, own, third)
		m.step()
		if got := m.act("shop").NextAt; !got.Equal(simStart.Add(simRules.Patience)) {
			t.Errorf("shop is looked at %s after the start", got.Sub(simStart))
		}
		m.pass(simRules.Patience)
		m.jobState(m.act("shop"), request.JobSent)
		m.jobState(m.act("crm"), request.JobPlanned) // shop has only just been asked
		m.ends("shop", done(1))
		m.jobState(m.act("crm"), request.JobSent)
	})
	// ads is down and shop must wait for it; crm would only rather wait for shop.
	t.Run("not for one that waits in turn", func(t *testing.T) {
		m := newSim(t, request.Delete, email, identity, own.after("ads"), third)
		m.step()
		for range 3 {
			m.pass(simRules.Patience)
		}
		m.jobState(m.act("shop"), request.JobPlanned)
		m.jobState(m.act("crm"), request.JobSent)
	})
	t.Run("for a resolver", func(t *testing.T) {
		index := connector("index", "email").only().resolves("device_id")
		m := newSim(t, request.Delete, email, index, connector("shop", "email", "device_id"), connector("crm", "email"))
		m.step()
		m.jobState(m.act("crm"), request.JobSent)
		m.jobState(m.act("shop"), request.JobPlanned)
		m.pass(simRules.Patience)
		m.jobState(m.act("shop"), request.JobSent)
	})
}
