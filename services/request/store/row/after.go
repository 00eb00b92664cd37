package row

import (
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Kept are the columns of table kept_subject.
var Kept = []Column[store.Kept]{
	{"request_id", Text, false, func(k *store.Kept) any { return (*string)(&k.RequestID) }},
	{"connector", Text, false, func(k *store.Kept) any { return &k.Connector }},
	{"wrapped_key", Bytes, false, func(k *store.Kept) any { return &k.WrappedKey }},
	{"sealed", Bytes, false, func(k *store.Kept) any { return &k.Sealed }},
	{"keep_until", Time, false, func(k *store.Kept) any { return &k.Until }},
}

// Replays are the columns of table replay.
var Replays = []Column[store.Replay]{
	{"id", Text, false, func(r *store.Replay) any { return &r.ID }},
	{"connector", Text, false, func(r *store.Replay) any { return &r.Connector }},
	{"since", Time, false, func(r *store.Replay) any { return &r.Since }},
	{"by_whom", Text, false, func(r *store.Replay) any { return &r.By }},
	{"created_at", Time, false, func(r *store.Replay) any { return &r.CreatedAt }},
	{"after_job", Text, true, func(r *store.Replay) any { return (*string)(&r.After) }},
	{"planned", Int, true, func(r *store.Replay) any { return &r.Planned }},
	{"lost", Int, true, func(r *store.Replay) any { return &r.Lost }},
	{"released", Int, true, func(r *store.Replay) any { return &r.Released }},
	{"planned_at", Time, true, func(r *store.Replay) any { return &r.PlannedAt }},
}

// Incidents are the columns of table incident.
var Incidents = []Column[store.Incident]{
	{"id", Text, false, func(i *store.Incident) any { return &i.ID }},
	{"kind", Text, false, func(i *store.Incident) any { return (*string)(&i.Kind) }},
	{"connector", Text, false, func(i *store.Incident) any { return &i.Connector }},
	{"store", Text, false, func(i *store.Incident) any { return &i.Store }},
	{"request_id", Text, false, func(i *store.Incident) any { return (*string)(&i.RequestID) }},
	{"parent_id", Text, false, func(i *store.Incident) any { return (*string)(&i.ParentID) }},
	{"records", Int, false, func(i *store.Incident) any { return &i.Records }},
	{"opened_at", Time, false, func(i *store.Incident) any { return &i.OpenedAt }},
	{"closed_at", Time, true, func(i *store.Incident) any { return &i.ClosedAt }},
	{"by_whom", Text, true, func(i *store.Incident) any { return &i.By }},
	{"note", Text, true, func(i *store.Incident) any { return &i.Note }},
}

// ForgottenJob is a job that a restored system has forgotten, and what is kept
// for it.
type ForgottenJob struct {
	JobID, RequestID, Action string
	Outcome                  []byte
	Kept                     store.Kept
}

// ForgottenJobs are the columns of a query for forgotten jobs: of job j and of
// kept_subject k.
var ForgottenJobs = []Column[ForgottenJob]{
	{"j.id", Text, false, func(f *ForgottenJob) any { return &f.JobID }},
	{"j.request_id", Text, false, func(f *ForgottenJob) any { return &f.RequestID }},
	{"j.action", Text, false, func(f *ForgottenJob) any { return &f.Action }},
	{"j.outcome", JSON, false, func(f *ForgottenJob) any { return &f.Outcome }},
	{"k.wrapped_key", Bytes, false, func(f *ForgottenJob) any { return &f.Kept.WrappedKey }},
	{"k.sealed", Bytes, false, func(f *ForgottenJob) any { return &f.Kept.Sealed }},
	{"k.keep_until", Time, false, func(f *ForgottenJob) any { return &f.Kept.Until }},
}

// ForgottenOf joins forgotten jobs with their requests.
func ForgottenOf(jobs []ForgottenJob, requests []store.Request, connector string) []store.Forgotten {
	byID := make(map[request.ID]store.Request, len(requests))
	for _, r := range requests {
		byID[r.ID] = r
	}
	out := make([]store.Forgotten, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		out[i] = store.Forgotten{JobID: request.ID(j.JobID), Action: request.Action(j.Action), Request: byID[request.ID(j.RequestID)], Outcome: j.Outcome}
		if len(j.Kept.Sealed) > 0 {
			kept := j.Kept
			kept.RequestID, kept.Connector = request.ID(j.RequestID), connector
			out[i].Kept = &kept
		}
	}
	return out
}

// ByConnector counts what is kept by connector.
func ByConnector(kept []store.Kept) map[string]int64 {
	out := make(map[string]int64)
	for i := range kept {
		out[kept[i].Connector]++
	}
	return out
}

// ProgressColumns are the columns of [ProgressOfPart].
var ProgressColumns = []Column[store.Progress]{
	{"requests", Int, false, func(p *store.Progress) any { return &p.Requests }},
	{"closed", Int, false, func(p *store.Progress) any { return &p.Closed }},
	{"again", Int, false, func(p *store.Progress) any { return &p.Again }},
	{"clean", Int, false, func(p *store.Progress) any { return &p.Clean }},
	{"failed", Int, false, func(p *store.Progress) any { return &p.Failed }},
	{"attention", Int, false, func(p *store.Progress) any { return &p.Attention }},
}

// ProgressOfPart counts a replay's requests, which part names with their state,
// result, attention and how much they redid.
const ProgressOfPart = `SELECT count(*), count(*) FILTER (WHERE state = 'closed'),
	count(*) FILTER (WHERE state = 'closed' AND result IN ('complete', 'complete_with_exceptions') AND redone > 0),
	count(*) FILTER (WHERE state = 'closed' AND result IN ('complete', 'complete_with_exceptions') AND redone = 0),
	count(*) FILTER (WHERE state = 'closed' AND result NOT IN ('complete', 'complete_with_exceptions')),
	count(*) FILTER (WHERE state <> 'closed' AND attention <> '') FROM part`

// Troubles are the columns of [TroubleQuery].
var Troubles = []Column[store.Trouble]{
	{"kind", Text, false, func(t *store.Trouble) any { return (*string)(&t.Kind) }},
	{"connector", Text, false, func(t *store.Trouble) any { return &t.Connector }},
	{"store", Text, false, func(t *store.Trouble) any { return &t.Store }},
	{"incidents", Int, false, func(t *store.Trouble) any { return &t.Incidents }},
	{"records", Int, false, func(t *store.Trouble) any { return &t.Records }},
	{"first", Time, false, func(t *store.Trouble) any { return &t.First }},
	{"last", Time, false, func(t *store.Trouble) any { return &t.Last }},
}

// TroubleQuery counts the open incidents by kind and source.
const TroubleQuery = `SELECT kind, connector, store, count(*), CAST(sum(records) AS bigint), min(opened_at), max(opened_at)
	FROM incident WHERE closed_at IS NULL GROUP BY kind, connector, store ORDER BY max(opened_at) DESC, kind, connector, store`
