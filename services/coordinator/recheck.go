package coordinator

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// scheduleRechecks decides when it is looked again whether what was erased is
// still gone, or an opt-out still holds for all that is linked to the person by then.
// Each look is a request of our own, like the first: it looks before it acts, so
// that finding and doing again are one job, and its records are evidence like any
// other.
func (st *step) scheduleRechecks() {
	if len(st.w.rules.Rechecks) == 0 {
		return
	}
	at := make([]time.Time, len(st.w.rules.Rechecks))
	for i, after := range st.w.rules.Rechecks {
		at[i] = st.w.now.Add(after)
	}
	st.s.Request.Recheck(at...)
	st.s.Changed = true
}

// lookedAgain puts on record what a later look saw, and opens an incident for
// every store in which a recheck found what had been erased, or an opt-out that was
// not in force.
func (st *step) lookedAgain() {
	r := &st.s.Request
	found := make(map[source]int64)
	lapsed := make(map[source]int64)
	for i := range st.s.Jobs {
		j := &st.s.Jobs[i]
		if !undoable(j) || !j.State.Terminal() {
			continue
		}
		v := &habeasv1.VerificationRecord{
			RequestId: string(r.ID), JobId: string(j.ID), Connector: j.Connector, Stores: storesOf(j.Outcome),
			SubjectCommitment: r.Commitment, Cause: string(r.Case.Origin), OtherRequestId: string(r.Case.Parent),
		}
		st.verifications = append(st.verifications, v)
		if j.Action == request.ActionOptOut {
			r.Case.Redone += st.heldOut(j, lapsed)
			continue
		}
		for _, s := range v.GetStores() {
			if n := s.GetLocatedCount() - max(s.GetKeptCount(), r.Case.Left[leftKey(j.Connector, s.GetStore())]); n > 0 {
				found[source{j.Connector, s.GetStore()}] += n
				r.Case.Redone += n
			}
		}
		if j.Action != request.ActionErase && j.State == request.JobDone {
			r.Case.Redone++ // whether it had been forgotten can't be told
		}
	}
	if r.Case.Origin != request.FromRecheck {
		return // a restored system holds what it forgot: that is no news
	}
	st.incidents(store.Resurrected, found)
	st.incidents(store.Lapsed, lapsed)
}

func (st *step) incidents(kind store.IncidentKind, found map[source]int64) {
	r := &st.s.Request
	for _, s := range sources(found) {
		st.s.Incidents = append(st.s.Incidents, store.Incident{
			ID: string(request.NewID()), Kind: kind, Connector: s.connector, Store: s.store,
			RequestID: r.ID, ParentID: r.Case.Parent, Records: found[s], OpenedAt: st.w.now,
		})
	}
}

// heldOut adds to lapsed where an opt-out had to be put in force anew, and returns
// how much: records where the system counts them, and else the choice itself. A
// choice that was made and of which it can't be told whether it had lapsed counts as
// one that had to be made, and is no news.
func (st *step) heldOut(j *store.Job, lapsed map[source]int64) (redone int64) {
	o := &habeasv1.Outcome{}
	if j.State != request.JobDone || len(j.Outcome) == 0 || protojson.Unmarshal(j.Outcome, o) != nil {
		return 0
	}
	for _, s := range o.GetStores() {
		if n := s.GetAnewCount(); n > 0 {
			lapsed[source{j.Connector, s.GetStore()}] += n
			redone += n
		}
	}
	switch {
	case redone > 0 || o.GetStanding() == habeasv1.Standing_STANDING_ALREADY:
		return redone
	case o.GetStanding() == habeasv1.Standing_STANDING_ANEW:
		lapsed[source{connector: j.Connector}]++
	}
	return 1
}

// source is where something was found.
type source struct{ connector, store string }

func sources(found map[source]int64) []source {
	out := make([]source, 0, len(found))
	for s := range found {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b source) int {
		return cmp.Or(cmp.Compare(a.connector, b.connector), cmp.Compare(a.store, b.store))
	})
	return out
}

// undoable reports whether a job did, or was to do, what a restored backup
// undoes.
func undoable(j *store.Job) bool {
	return j.Purpose == "" && (j.Action == request.ActionErase || j.Action == request.ActionOptOut || j.Action == request.ActionLimit)
}

func storesOf(outcome []byte) []*habeasv1.StoreCount {
	o := &habeasv1.Outcome{}
	if len(outcome) == 0 || protojson.Unmarshal(outcome, o) != nil {
		return nil
	}
	return o.GetStores()
}

func leftKey(connector, store string) string { return connector + "/" + store }

// left counts what a deletion left by law.
func left(jobs []store.Job) map[string]int64 {
	var out map[string]int64
	for i := range jobs {
		if !undoable(&jobs[i]) {
			continue
		}
		for _, s := range storesOf(jobs[i].Outcome) {
			if s.GetKeptCount() > 0 {
				if out == nil {
					out = make(map[string]int64)
				}
				out[leftKey(jobs[i].Connector, s.GetStore())] += s.GetKeptCount()
			}
		}
	}
	return out
}

// forgetPerson destroys the identifiers of a look of our own that found nothing:
// nothing was done that could have to be done again.
func (r *Room) forgetPerson(st *step) error {
	req := &st.s.Request
	if !req.Case.Origin.Ours() || len(req.Sealed) == 0 || req.Case.Redone > 0 {
		return nil
	}
	records, err := r.shreddedRecords([]request.ID{req.ID}, st.w.now)
	if err != nil {
		return err
	}
	st.forgotten = req.WrappedKey
	req.Sealed, req.WrappedKey, st.s.Changed = nil, nil, true
	st.s.Records = append(st.s.Records, records...)
	return nil
}

// stay reports for each look to come whether its person is to stay erased, or opted
// out: somebody who came back since is not to be erased again, and who opted in
// since is not to be opted out.
func (r *Room) stay(ctx context.Context, looks []look) ([]bool, error) {
	out := make([]bool, len(looks))
	for right, why := range map[request.Right]store.Why{request.Delete: store.WhyDeleted, request.OptOutSaleShare: store.WhyOptedOut} {
		var at []int
		var people [][]request.Identifier
		for i := range looks {
			if looks[i].n.Request.Right() == right {
				at, people = append(at, i), append(people, looks[i].ids)
			}
		}
		if len(people) == 0 {
			continue
		}
		ask := r.suppression.Has
		if why == store.WhyDeleted {
			ask = r.suppression.Whole // whoever came back by one identifier is not erased by another
		}
		is, err := ask(ctx, people, why)
		if err != nil {
			return nil, err
		}
		for i, n := range at {
			out[n] = is[i]
		}
	}
	return out, nil
}
