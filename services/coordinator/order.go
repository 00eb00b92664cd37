package coordinator

import (
	"cmp"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ready sends the jobs whose time has come, those that others wait for first.
func (st *step) ready() {
	for _, i := range st.inOrder() {
		j := &st.s.Jobs[i]
		lost := j.State == request.JobSent && st.w.lost[j.Connector] && st.w.now.Sub(j.SentAt) >= st.w.rules.Lease
		due := j.State == request.JobDeferred && !j.NextAt.After(st.w.now)
		if j.State != request.JobPlanned && !due && !lost {
			continue
		}
		if st.paused(i) {
			continue
		}
		c, known := st.w.connector(j.Connector)
		if !known {
			st.wait(i, st.w.now.Add(st.w.rules.RetryMost))
			continue
		}
		if until := st.blocked(i, c); until.After(st.w.now) && !lost {
			// A planned job is looked at whenever its request is.
			j.State = request.JobPlanned
			st.wait(i, until)
			continue
		}
		if j.Action == request.ActionErase && !lost {
			if no := st.declared(c); no != nil {
				st.stop(i, no)
				continue
			}
		}
		st.dispatch(i, c)
	}
}

// paused keeps a job back whose connector is paused, without a time at which to
// look again: the store names it when the pause is over. What was sent stays on
// the bus, which keeps it back as well.
func (st *step) paused(i int) bool {
	j := &st.s.Jobs[i]
	is := st.w.paused[j.Connector]
	switch {
	case is && j.State != request.JobSent && (j.Code != store.CodePaused || !j.NextAt.IsZero()):
		j.Code, j.Message, j.NextAt, j.UpdatedAt = store.CodePaused, "the connector is paused", time.Time{}, st.w.now
		st.s.Touch(i)
	case !is && j.Code == store.CodePaused:
		j.Code, j.Message = "", ""
		st.s.Touch(i)
	}
	return is
}

// inOrder gives the jobs by the tier of their connectors.
func (st *step) inOrder() []int {
	order, tiers := make([]int, len(st.s.Jobs)), make([]int, len(st.s.Jobs))
	for i := range st.s.Jobs {
		order[i] = i
		if c, known := st.w.connector(st.s.Jobs[i].Connector); known && st.s.Jobs[i].Action == request.ActionErase {
			tiers[i] = st.w.tier(c)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tiers[a], tiers[b]) })
	return order
}

func (st *step) dispatch(i int, c Connector) {
	j := &st.s.Jobs[i]
	if j.ManifestDigest != c.Digest || j.KeyID != c.KeyID || !slices.Equal(j.Kinds, st.kinds(c)) {
		st.plan(i, c)
	}
	j.State, j.SentAt, j.NextAt, j.UpdatedAt = request.JobSent, st.w.now, time.Time{}, st.w.now
	j.Round = st.s.Request.Round
	j.Attempt++
	st.s.Touch(i)
	st.send = append(st.send, i)
}

// wait leaves a job for later.
func (st *step) wait(i int, until time.Time) {
	if j := &st.s.Jobs[i]; !j.NextAt.Equal(until) {
		j.NextAt = until
		st.s.Touch(i)
	}
}

// blocked says until when a job should wait for others of its request: for the
// time being when it must, for the connector's patience when it would rather,
// and not at all when nothing stands before it. A connector that is down so
// delays those that need it, and the others by no more than patience.
func (st *step) blocked(i int, c Connector) time.Time {
	j := &st.s.Jobs[i]
	if j.Action == request.ActionResolve || j.Purpose != "" {
		return time.Time{}
	}
	var until time.Time
	for k := range st.s.Jobs {
		o := &st.s.Jobs[k]
		if k == i || o.State.Terminal() && (!needsPerson(o.State) || st.superseded(k)) {
			continue
		}
		other, known := st.w.connector(o.Connector)
		order := o.Action == request.ActionErase && j.Action == request.ActionErase && !st.w.comesAfter(other, c.Name, nil)
		switch {
		case order && slices.Contains(c.After, o.Connector):
			until = later(until, st.w.now.Add(st.w.rules.RetryMost))
		case o.State.Terminal():
		case o.Action == request.ActionResolve && o.Connector != c.Name && known && overlap(other.Yields, c.Accepts):
			until = later(until, st.patience(o))
		case order && known && st.w.tier(other) < st.w.tier(c):
			until = later(until, st.patience(o))
		}
	}
	return until
}

// comesAfter reports whether c must wait for the named connector, itself or
// through those it waits for. Two that wait for each other would wait for
// ever, so neither does; and nobody waits for one that waits for it.
func (w *world) comesAfter(c Connector, name string, seen []string) bool {
	for _, before := range c.After {
		if before == name {
			return true
		}
		if slices.Contains(seen, before) {
			continue
		}
		seen = append(seen, before)
		if other, known := w.connector(before); known && w.comesAfter(other, name, seen) {
			return true
		}
	}
	return false
}

// tier is a connector's place among the tiers: its own, or that of one which
// must wait for it where that is earlier, so that tiers never contradict what
// must be.
func (w *world) tier(c Connector) int {
	w.tiersOnce.Do(func() {
		w.tiers = make(map[string]int, len(w.connectors))
		for _, c := range w.connectors {
			w.tiers[c.Name] = c.Tier
			for _, o := range w.connectors {
				if o.Tier < w.tiers[c.Name] && w.comesAfter(o, c.Name, nil) {
					w.tiers[c.Name] = o.Tier
				}
			}
		}
	})
	return w.tiers[c.Name]
}

// patience is until when others wait for job o. A job that was put off or
// failed is not waited for, one that itself has to wait for others no longer
// than one that is silent, and a silent connector once and not for each of its
// jobs.
func (st *step) patience(o *store.Job) time.Time {
	if o.State == request.JobDeferred || o.Attempt > 1 || o.State != request.JobSent && st.w.paused[o.Connector] {
		return time.Time{}
	}
	since := o.SentAt
	if since.IsZero() {
		since = o.UpdatedAt
	}
	for i := range st.s.Jobs {
		if p := &st.s.Jobs[i]; p.Connector == o.Connector && p.State == request.JobSent && p.SentAt.Before(since) {
			since = p.SentAt
		}
	}
	return since.Add(st.w.rules.Patience)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
