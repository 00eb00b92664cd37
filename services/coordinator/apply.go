package coordinator

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// apply writes a verified record of a connector into the snapshot. It takes
// them in any order and any number of times. kept is false for records that
// were applied before or that belong to no job of the request.
func (st *step) apply(rec *wire.Record) (kept bool) {
	i := slices.IndexFunc(st.s.Jobs, func(j store.Job) bool { return string(j.ID) == rec.JobID() })
	if i < 0 || st.s.Jobs[i].Connector != rec.Issuer() {
		return false
	}
	if !st.note(rec) {
		return false
	}
	switch p := rec.Predicate.(type) {
	case *habeasv1.LocatedRecord:
		st.located(i, p, rec.Envelope)
	case *habeasv1.OutcomeRecord:
		st.outcome(i, p)
	}
	return true
}

// note puts a record among those the closure will name. It is false for one
// that is there already, and after the closure was made.
func (st *step) note(rec *wire.Record) bool {
	r := &st.s.Request
	if len(r.ClosureDigest) > 0 || hasDigest(r.RecordDigests, rec.Digest[:]) {
		return false
	}
	r.RecordDigests = append(slices.Clip(r.RecordDigests), rec.Digest[:]...)
	st.s.Changed = true
	st.s.Records = append(st.s.Records, store.Record{
		Digest: rec.Digest[:], RequestID: r.ID, JobID: request.ID(rec.JobID()), Type: string(rec.Type),
		Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: st.w.now,
	})
	return true
}

func hasDigest(all, one []byte) bool {
	for i := 0; i+sha256.Size <= len(all); i += sha256.Size {
		if bytes.Equal(all[i:i+sha256.Size], one) {
			return true
		}
	}
	return false
}

// located keeps the first thing that was seen: a later attempt, after the act,
// sees less and must not replace it.
func (st *step) located(i int, p *habeasv1.LocatedRecord, envelope []byte) {
	j := &st.s.Jobs[i]
	if len(j.Located) > 0 || j.State.Terminal() {
		return
	}
	j.Located, j.LocatedEnvelope, j.UpdatedAt = storesJSON(p.GetStores()), envelope, st.w.now
	st.s.Touch(i)
}

// storesJSON writes store counts as the JSON of an Outcome that has them.
func storesJSON(stores []*habeasv1.StoreCount) []byte {
	text, err := protojson.Marshal(&habeasv1.Outcome{Stores: stores})
	if err != nil {
		return []byte("{}") // strings came out of a parsed message, which are valid UTF-8
	}
	return text
}

func (st *step) outcome(i int, p *habeasv1.OutcomeRecord) {
	j := &st.s.Jobs[i]
	state, code, message := stateOf(j, st.s.Request.Right(), p.GetOutcome())
	no := st.unfounded(j, p.GetOutcome())
	if no != nil {
		state, code, message = request.JobFailed, no.Code, no.Error()
	}
	said := p.GetOutcome()
	if state == request.JobNoMatch && denied(j) {
		// It forgot what it had located, or another instance did: asked again it is
		// given its own record of that.
		state, code, message = request.JobFailed, "located_before", "it says that it holds nothing, and had located records before"
		said = &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: code, Message: message}}}
	}
	if state == "" || p.GetAction() != wireAction(j.Action) || !request.CanMoveJob(j.State, state) {
		return
	}
	if attempt := int(p.GetAttempt()); attempt < j.Attempt || attempt <= j.Attempt && j.State == request.JobPlanned {
		if !state.Success() {
			return // the job was sent again since, or is about to be: that answer counts
		}
		if attempt < j.Attempt {
			j.Round = 0 // what was found since may have gone out with the later attempt alone
		}
	}
	text, err := protojson.Marshal(p.GetOutcome())
	if err != nil {
		return
	}
	j.Outcome, j.Code, j.Message, j.UpdatedAt = text, code, message, st.w.now
	st.s.Touch(i)
	if j.Action == request.ActionResolve && state == request.JobDone && !j.Discovered {
		// The identifiers are still on their way, sealed, on another stream.
		// Until they are here the job has not ended.
		return
	}
	if no != nil {
		st.refused(no)
	}
	st.settle(i, state, said)
}

// denied reports whether "nothing is held" contradicts what a job located before
// it may have erased.
func denied(j *store.Job) bool {
	if j.Action != request.ActionErase || len(j.LocatedEnvelope) == 0 {
		return false
	}
	before := &habeasv1.Outcome{}
	return protojson.Unmarshal(j.Located, before) == nil && total(before) > 0
}

// Bounds of how long a connector can put a job off.
const (
	shortestDeferral = time.Second
	longestDeferral  = 30 * 24 * time.Hour
)

// settle moves a job to what its outcome says, or puts it off where trying
// again may help.
func (st *step) settle(i int, state request.JobState, o *habeasv1.Outcome) {
	j := &st.s.Jobs[i]
	rules := st.w.rules
	again := state == request.JobPlanChanged || state == request.JobFailed && o.GetFailed() != nil && !o.GetFailed().GetPermanent()
	if again {
		j.Failures++
	}
	switch {
	case state == request.JobDeferred:
		until := later(o.GetDeferred().GetUntilTime().AsTime(), st.w.now.Add(shortestDeferral))
		if most := st.w.now.Add(longestDeferral); until.After(most) {
			until = most
		}
		j.State, j.NextAt = state, until
	case again && j.Failures < rules.Attempts:
		// A connector whose plan changed announces itself anew; until we have
		// heard of it, asking again gets the same answer.
		j.State, j.NextAt = request.JobDeferred, st.w.now.Add(backoff(rules, j.Failures))
	case state == request.JobFailed && again:
		j.State, j.Code = state, "exhausted"
	default:
		j.State = state
	}
	if j.State.Success() { // one that is retried must still know what there was
		j.LocatedEnvelope = nil
	}
}

func backoff(r Rules, failures int) time.Duration {
	d := r.Retry
	for range failures - 1 {
		if d *= 2; d >= r.RetryMost {
			return r.RetryMost
		}
	}
	return d
}

// stateOf is the job state an outcome stands for; "" for one that is not set.
func stateOf(j *store.Job, right request.Right, o *habeasv1.Outcome) (state request.JobState, code, message string) {
	switch r := o.GetResult().(type) {
	case *habeasv1.Outcome_Done:
		if j.Action == request.ActionLocate && j.Purpose == "" && right != request.KnowCategories && total(o) > 0 {
			return request.JobNotSupported, "not_supported", "the system holds records and has no ability for this right"
		}
		return request.JobDone, "", ""
	case *habeasv1.Outcome_NoMatch:
		return request.JobNoMatch, "", ""
	case *habeasv1.Outcome_Retained:
		return request.JobRetained, r.Retained.GetBasis(), ""
	case *habeasv1.Outcome_Deferred:
		return request.JobDeferred, r.Deferred.GetReason(), ""
	case *habeasv1.Outcome_NeedsIdentifier:
		return request.JobNeedsIdentifier, "needs_identifier", ""
	case *habeasv1.Outcome_Partial:
		return request.JobPartial, "partial", r.Partial.GetReason()
	case *habeasv1.Outcome_OverLimit:
		return request.JobOverLimit, "over_limit", ""
	case *habeasv1.Outcome_PlanChanged:
		return request.JobPlanChanged, "plan_changed", "the connector is not the one the plan was made for"
	case *habeasv1.Outcome_NotSupported:
		return request.JobNotSupported, "not_supported", ""
	case *habeasv1.Outcome_Failed:
		return request.JobFailed, r.Failed.GetCode(), r.Failed.GetMessage()
	default:
		return "", "", ""
	}
}

func total(o *habeasv1.Outcome) int64 {
	var n int64
	for _, s := range o.GetStores() {
		n += s.GetLocatedCount()
	}
	return n
}

// discovered records that the identifiers of a resolve job have arrived; fresh
// are the kinds that gained a value.
func (st *step) discovered(jobID request.ID, fresh []string) {
	i := slices.IndexFunc(st.s.Jobs, func(j store.Job) bool { return j.ID == jobID })
	if i < 0 {
		return
	}
	j := &st.s.Jobs[i]
	if len(fresh) > 0 {
		r := &st.s.Request
		r.Round++
		st.s.Changed = true
		for _, kind := range fresh {
			entry := store.Kind{Name: kind, Round: r.Round, By: j.Connector}
			if k := slices.IndexFunc(r.Kinds, func(k store.Kind) bool { return k.Name == kind && k.By == j.Connector }); k >= 0 {
				r.Kinds[k] = entry
				continue
			}
			r.Kinds = append(slices.Clip(r.Kinds), entry)
		}
	}
	if j.Discovered {
		return
	}
	j.Discovered, j.UpdatedAt = true, st.w.now
	st.s.Touch(i)
	if len(j.Outcome) > 0 && !j.State.Terminal() {
		o := &habeasv1.Outcome{}
		if err := protojson.Unmarshal(j.Outcome, o); err == nil {
			if state, _, _ := stateOf(j, st.s.Request.Right(), o); state == request.JobDone {
				st.settle(i, state, o)
			}
		}
	}
}
