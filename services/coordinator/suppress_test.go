package coordinator

import (
	"slices"
	"testing"

	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
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
