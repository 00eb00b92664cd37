package coordinator

import (
	"slices"
	"testing"

	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// Who was erased or opted out is on the suppression list the moment their
// request is closed, also when commits fail and answers to them are lost.
func TestClosingSuppresses_DE11_OO11(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: []string{"email"}})
		f := &faultyStore{Store: r.store, faults: &faults{}}
		r.start(func(c *Config) { c.Store = f })
		r.known("crm")
		gone, out, in := id("email", "gone@example.com"), id("email", "out@example.com"), id("email", "in@example.com")
		list := suppression.List{Store: r.store, Vault: r.vault}
		is := func(want ...suppression.Answer) bool {
			got, err := list.Check(t.Context(), []request.Identifier{gone, out, in, id("email", "stranger@example.com")})
			if err != nil {
				t.Fatal(err)
			}
			return slices.Equal(got, want)
		}
		if !is(suppression.None, suppression.None, suppression.None, suppression.None) {
			t.Fatal("somebody is on the list before anything was asked")
		}
		f.set(sometimes(25, didNot))
		first := r.submit(r.fresh(request.Delete, gone), r.fresh(request.OptOutSaleShare, out))
		second := r.submit(r.fresh(request.OptOutSaleShare, in))
		r.closed(request.ResultComplete, append(first, second...)...)
		if !is(suppression.Deleted, suppression.OptedOut, suppression.OptedOut, suppression.None) {
			t.Error("closed, and not on the list")
		}
		f.set(sometimes(25, answerLost))
		r.closed(request.ResultComplete, r.submit(r.fresh(request.Delete, in))...)
		if !is(suppression.Deleted, suppression.OptedOut, suppression.Deleted, suppression.None) {
			t.Error("closed, and not on the list")
		}
	})
}

// An opt-in that was carried out takes the opt-out off the list, under whatever
// key it was put there, and leaves an erasure; what was not carried out changes
// nothing.
func TestOptInLifts_OO11(t *testing.T) {
	r := newRig(t)
	room := r.room(nil)
	jane := id("email", "jane@example.com")
	add := func(why store.Why) {
		p, err := room.suppression.Peppers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.Suppress(t.Context(), p.Entries([]request.Identifier{jane}, why, simStart)); err != nil {
			t.Fatal(err)
		}
	}
	add(store.WhyOptedOut)
	if err := room.suppression.Rotate(t.Context(), simStart.AddDate(100, 0, 0)); err != nil {
		t.Fatal(err)
	}
	add(store.WhyOptedOut)
	peppers, err := room.suppression.Peppers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		result request.Result
		want   suppression.Answer
	}{{request.ResultDenied, suppression.OptedOut}, {request.ResultComplete, suppression.None}} {
		n := r.fresh(request.OptOutSaleShare, jane)
		was := *n.Request.Request
		was.Ending = &request.Ending{Result: c.result, Code: "code", Reason: "reason"}
		if n.Request.Request, err = request.Restore(was, request.OptInSaleShare, request.Closing, nil); err != nil {
			t.Fatal(err)
		}
		st := &step{w: &world{now: simStart}, s: &store.Snapshot{Request: n.Request}}
		if err := room.suppress(t.Context(), peppers, st); err != nil {
			t.Fatal(err)
		}
		rid := r.submit(r.fresh(request.OptOutSaleShare, jane))[0] // any request can carry it
		if _, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{rid}}, false, func(s []*store.Snapshot) error {
			s[0].Suppress, s[0].Unsuppress = st.s.Suppress, st.s.Unsuppress
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		got, err := room.suppression.Check(t.Context(), []request.Identifier{jane})
		if err != nil || got[0] != c.want {
			t.Errorf("after an opt-in that ended %s: %v, want %s: %v", c.result, got, c.want, err)
		}
	}
}
