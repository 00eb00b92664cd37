package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

var acceptsEmail = []string{"email"}

func TestEveryRightFromEndToEnd(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		crm := standin.Join(t, r.bus.JS, standin.Script{
			Name: "crm", Accepts: acceptsEmail, Yields: []string{"device_id"},
			Do: func(job *habeasv1.Job, _ *habeasv1.Subject) standin.Reply {
				if job.GetAction() == habeasv1.Action_ACTION_RESOLVE {
					return standin.Reply{Found: []*habeasv1.Identifier{{Kind: "device_id", Value: "d-1"}, {Kind: "secret_kind", Value: "not announced"}}}
				}
				return standin.Reply{Located: 2}
			},
		})
		ads := standin.Join(t, r.bus.JS, standin.Script{Name: "ads", Accepts: []string{"device_id"}})
		r.start(nil)
		r.known("crm", "ads")
		for _, right := range []request.Right{request.Delete, request.OptOutSaleShare, request.LimitSPI, request.KnowSpecific, request.KnowCategories} {
			rid := r.submit(r.fresh(right, id("email", "jane@example.com")))[0]
			if right.Packaged() {
				r.state(rid, request.Packaging)
			} else {
				r.closed(request.ResultComplete, rid)
			}
			for c, want := range map[*standin.Connector]string{crm: "email=jane@example.com", ads: "device_id=d-1"} {
				acts := actsOf(c, rid, wireAction(right.Action()))
				if len(acts) != 1 || !slices.Equal(acts[0].Who, []string{want}) {
					t.Errorf("%s: %s acted as %+v, want once for %s", right, c.Name, acts, want)
				}
			}
			_, jobs := r.get(rid)
			for _, j := range jobs {
				if j.LocatedEnvelope != nil {
					t.Errorf("%s: a located record is kept with job %s", right, j.Connector)
				}
			}
		}
	})
}

func actsOf(c *standin.Connector, rid request.ID, action habeasv1.Action) []standin.Act {
	return slices.DeleteFunc(c.Acts(), func(a standin.Act) bool { return a.Request != string(rid) || a.Action != action })
}

// Eight are done and shown so while two are away; the two follow when they are
// back.
func TestTwoOfTenAreDown(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var names []string
		var down []*standin.Connector
		for i := range 10 {
			c := standin.New(t, r.bus.JS, standin.Script{Name: fmt.Sprintf("c%d", i), Accepts: acceptsEmail})
			names = append(names, c.Name)
			if i == 3 || i == 7 {
				down = append(down, c)
				continue
			}
			c.Work()
		}
		r.start(nil)
		r.known(names...)
		rid := r.one("jane@example.com")
		states := func() map[request.JobState][]string {
			_, jobs := r.get(rid)
			out := make(map[request.JobState][]string)
			for _, j := range jobs {
				out[j.State] = append(out[j.State], j.Connector)
			}
			return out
		}
		r.until("eight are done", func() bool { return len(states()[request.JobDone]) == 8 })
		if got := states()[request.JobSent]; !slices.Equal(got, []string{"c3", "c7"}) {
			t.Errorf("waiting for %v", got)
		}
		if req, _ := r.get(rid); req.State() != request.Running || req.Attention != "" {
			t.Errorf("the request is %s with attention %q", req.State(), req.Attention)
		}
		for _, c := range down {
			c.Work()
		}
		r.closed(request.ResultComplete, rid)
		for _, c := range down {
			if n := len(c.Acts()); n != 1 {
				t.Errorf("%s acted %d times", c.Name, n)
			}
		}
	})
}

// Requests that come before any connector wait, and go on when one is there.
func TestRequestsWaitForConnectors(t *testing.T) {
	r := newRig(t)
	r.start(nil)
	rid := r.one("jane@example.com")
	r.until("somebody must look", func() bool {
		req, _ := r.get(rid)
		return req.Attention == AttentionNobody
	})
	standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
	r.closed(request.ResultComplete, rid)
	if req, _ := r.get(rid); req.Attention != "" {
		t.Errorf("attention %q at the end", req.Attention)
	}
}

// Nothing on the path waits for a ticker.
func TestNothingWaitsForAClock(t *testing.T) {
	aloneOnBothStores(t, func(t *testing.T, r *rig) {
		r.rules = Rules{}
		standin.Join(t, r.bus.JS, standin.Script{
			Name: "crm", Accepts: acceptsEmail, Yields: []string{"device_id"}, Tier: habeasv1.Tier_TIER_IDENTITY_STORE,
			Do: func(job *habeasv1.Job, _ *habeasv1.Subject) standin.Reply {
				if job.GetAction() == habeasv1.Action_ACTION_RESOLVE {
					return standin.Reply{Found: []*habeasv1.Identifier{{Kind: "device_id", Value: "d-1"}}}
				}
				return standin.Reply{Located: 2}
			},
		})
		standin.Join(t, r.bus.JS, standin.Script{Name: "ads", Accepts: []string{"device_id"}, Tier: habeasv1.Tier_TIER_THIRD_PARTY})
		standin.Join(t, r.bus.JS, standin.Script{Name: "shop", Accepts: []string{"email", "device_id"}, After: []string{"ads"}})
		r.start(nil)
		r.known("crm", "ads", "shop")
		const enough, most = 5, 40 // a busy machine may be slow, now and then or for a while
		fast, tried := 0, 0
		for ; fast < enough && tried < most; tried++ {
			i := tried
			begun := time.Now()
			r.closed(request.ResultComplete, r.one(fmt.Sprintf("jane%d@example.com", i)))
			if took := time.Since(begun); took < 500*time.Millisecond {
				fast++
			} else {
				t.Logf("request %d took %s", i, took)
			}
		}
		if fast < enough {
			t.Errorf("only %d of %d requests closed within half a second", fast, tried)
		}
	})
}

func TestAnnouncingAgainIsFollowed(t *testing.T) {
	r := newRig(t)
	crm := standin.New(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
	r.start(nil)
	r.known("crm")
	rid := r.one("jane@example.com")
	r.until("the job is out", func() bool {
		_, jobs := r.get(rid)
		return len(jobs) == 1 && jobs[0].State == request.JobSent
	})
	crm.SetDigest("sha256:2")
	crm.Work()
	r.closed(request.ResultComplete, rid)
	acts := crm.Acts()
	if len(acts) != 1 || acts[0].Digest != "sha256:2" {
		t.Errorf("acted as %+v, want once by the new digest", acts)
	}
	_, jobs := r.get(rid)
	if jobs[0].ManifestDigest != "sha256:2" {
		t.Errorf("the job is bound to %s", jobs[0].ManifestDigest)
	}
}

// One request that can't be decided about must not hold up those that come in
// the same batch.
func TestAStuckRequestHoldsUpNobody(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
		bad := r.fresh(request.Delete, id("email", "bad@example.com"))
		bad.Request.Plan = []byte(`"not a plan"`)
		news := []store.New{bad}
		for i := range 20 {
			news = append(news, r.fresh(request.Delete, id("email", fmt.Sprintf("p%d@example.com", i))))
		}
		r.start(nil)
		r.known("crm")
		ids := r.submit(news...)
		r.closed(request.ResultComplete, ids[1:]...)
		if req, jobs := r.get(ids[0]); req.State() != request.Accepted || len(jobs) != 0 {
			t.Errorf("the bad one is %s with %d jobs", req.State(), len(jobs))
		}
		if !strings.Contains(r.logs.String(), string(ids[0])) {
			t.Error("nobody was told")
		}
	})
}

// What was found before a failure is known to the next attempt, although the
// failure was for good and a person had to ask again.
func TestRetryKnowsWhatThereWas(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var prior [][]byte
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Do: func(job *habeasv1.Job, _ *habeasv1.Subject) standin.Reply {
			prior = append(prior, job.GetPriorLocated())
			if len(prior) == 1 {
				return standin.Reply{Located: 7, Outcome: standin.Failed(true)}
			}
			return standin.Reply{Outcome: standin.Done(7)}
		}})
		r.start(nil)
		r.known("crm")
		rid := r.one("jane@example.com")
		r.until("a person must look", func() bool {
			req, _ := r.get(rid)
			return req.Attention == AttentionFailed
		})
		if _, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{rid}}, true, func(snaps []*store.Snapshot) error {
			snaps[0].Jobs[0].State, snaps[0].Jobs[0].NextAt = request.JobPlanned, time.Now().UTC()
			snaps[0].Touch(0)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r.hint([]request.ID{rid})
		r.closed(request.ResultComplete, rid)
		if len(prior) != 2 || len(prior[0]) != 0 || len(prior[1]) == 0 {
			t.Errorf("told of what there was: %d bytes at attempt 1, %d at attempt 2, of %d", len(prior[0]), len(prior[len(prior)-1]), len(prior))
		}
	})
}
