package coordinator

import (
	"sync"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// advertiser is a system that links profiles to people and can be opted out of.
type advertiser struct {
	mu     sync.Mutex
	counts bool // it says in how many profiles
	silent bool // it says nothing of what was before
	out    map[string]int64
	linked map[string]int64
}

func newAdvertiser(counts bool) *advertiser {
	return &advertiser{counts: counts, out: map[string]int64{}, linked: map[string]int64{}}
}

// link ties n more profiles to people.
func (a *advertiser) link(n int64, emails ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range emails {
		a.linked[e] += n
	}
}

// reached is how many profiles of somebody are opted out.
func (a *advertiser) reached(email string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out[email]
}

func (a *advertiser) do(job *habeasv1.Job, who *habeasv1.Subject) standin.Reply {
	a.mu.Lock()
	defer a.mu.Unlock()
	if job.GetAction() != habeasv1.Action_ACTION_OPT_OUT {
		return standin.Reply{Outcome: standin.NoMatch()}
	}
	var stood, anew int64
	for _, id := range who.GetIdentifiers() {
		e := id.GetValue()
		stood, anew = stood+a.out[e], anew+a.linked[e]-a.out[e]
		a.out[e] = a.linked[e]
	}
	o := &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Standing: habeasv1.Standing_STANDING_ALREADY}
	if anew > 0 {
		o.Standing = habeasv1.Standing_STANDING_ANEW
	}
	if a.silent {
		o.Standing = habeasv1.Standing_STANDING_UNSPECIFIED
	}
	if a.counts {
		o.Stores = []*habeasv1.StoreCount{{Store: "profiles", LocatedCount: stood + anew, StandingCount: stood, AnewCount: anew}}
	}
	return standin.Reply{Outcome: o}
}

// After 1, 30 and 90 days it is looked again whether an opt-out holds. What was
// linked since is opted out too, with an incident that names the system and, where
// that counts, how much; a choice that stood is none; and who opted in is left alone.
func TestOptOutIsLookedAfter_OO5(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var c clock
		ads, mail, quiet := newAdvertiser(true), newAdvertiser(false), newAdvertiser(false)
		quiet.silent = true
		abilities := []habeasv1.Action{habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_OPT_OUT}
		for name, system := range map[string]*advertiser{"ads": ads, "mail": mail, "quiet": quiet} {
			standin.Join(t, r.bus.JS, standin.Script{Name: name, Accepts: acceptsEmail, Do: system.do, Abilities: abilities})
			system.link(2, "jane@example.com", "joe@example.com", "back@example.com")
		}
		day := 24 * time.Hour
		r.rules.Rechecks = []time.Duration{day, 30 * day, 90 * day}
		for range 2 {
			r.start(c.set)
		}
		r.known("ads", "mail", "quiet")
		out := func(email string) request.ID {
			return r.submit(r.fresh(request.OptOutSaleShare, id("email", email)))[0]
		}
		jane, joe, back := out("jane@example.com"), out("joe@example.com"), out("back@example.com")
		r.closed(request.ResultComplete, jane, joe, back)
		if n := r.incidents(); n != 0 {
			t.Fatalf("%d incidents of first choices", n)
		}
		r.told()
		list := suppression.List{Store: r.store, Vault: r.vault}
		in := r.consented(request.OptInSaleShare, "back@example.com")
		r.closed(request.ResultComplete, in)
		if got, err := list.Check(t.Context(), []request.Identifier{id("email", "back@example.com")}); err != nil || got[0] != suppression.None {
			t.Fatalf("the list says %v of who opted in, %v", got, err)
		}

		for i, after := range r.rules.Rechecks {
			if i == 1 {
				for _, system := range []*advertiser{ads, mail, quiet} {
					system.link(3, "jane@example.com", "back@example.com")
				}
			}
			c.after(after + time.Hour)
			for _, parent := range []request.ID{jane, joe} {
				look := r.lookOf(parent, i)
				r.closed(request.ResultComplete, look)
				req, _ := r.get(look)
				if req.Right() != request.OptOutSaleShare || req.Case.Origin != request.FromRecheck {
					t.Errorf("look %d is %s of %s", i, req.Case.Origin, req.Right())
				}
				if n := len(r.audit.Records(string(look), wire.RecordVerification)); n != 3 {
					t.Errorf("look %d: %d records of what was seen, want one of each system", i, n)
				}
			}
			if n := r.incidents(); n != 2*min(i, 1) {
				t.Errorf("%d incidents after look %d", n, i)
			}
		}
		open, err := r.store.Incidents(t.Context(), true, 10)
		if err != nil || len(open) != 2 {
			t.Fatalf("%d incidents, %v", len(open), err)
		}
		want := map[string]store.Incident{"ads": {Store: "profiles", Records: 3}, "mail": {Records: 1}}
		for _, got := range open {
			w := want[got.Connector]
			if got.Kind != store.Lapsed || got.Store != w.Store || got.Records != w.Records || got.ParentID != jane || got.RequestID != r.lookOf(jane, 1) {
				t.Errorf("the incident is %+v, want %+v", got, w)
			}
		}
		for name, system := range map[string]*advertiser{"ads": ads, "mail": mail, "quiet": quiet} {
			for email, n := range map[string]int64{"jane@example.com": 5, "joe@example.com": 2, "back@example.com": 2} {
				if got := system.reached(email); got != n {
					t.Errorf("%s has opted out %d profiles of one, want %d", name, got, n)
				}
			}
		}
		notices, err := r.store.Notices(t.Context(), 100)
		if err != nil || len(notices) > 1 || len(notices) == 1 && notices[0].RequestID != in {
			t.Errorf("people are told of it: %+v, %v", notices, err)
		}
	})
}
