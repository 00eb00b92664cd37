package row

import "github.com/habeas-data/habeas/services/request/store"

// Pauses are the columns of table connector_pause.
var Pauses = []Column[store.Pause]{
	{"connector", Text, false, func(p *store.Pause) any { return &p.Connector }},
	{"since", Time, false, func(p *store.Pause) any { return &p.Since }},
	{"who", Text, false, func(p *store.Pause) any { return &p.By }},
	{"reason", Text, false, func(p *store.Pause) any { return &p.Reason }},
	{"until_at", Time, true, func(p *store.Pause) any { return &p.Until }},
	{"ended_by", Text, true, func(p *store.Pause) any { return &p.EndedBy }},
}

// DeadEnds are the columns of a count of dead letters.
var DeadEnds = []Column[store.Stuck]{
	{"j.connector", Text, false, func(v *store.Stuck) any { return &v.Connector }},
	{"j.state", Text, false, func(v *store.Stuck) any { return (*string)(&v.State) }},
	{"j.code", Text, false, func(v *store.Stuck) any { return &v.Code }},
	{"count(*)", Int, false, func(v *store.Stuck) any { return &v.Jobs }},
	{"min(j.updated_at)", Time, false, func(v *store.Stuck) any { return &v.Oldest }},
}

// Letters are the columns of a listing of dead letters.
var Letters = []Column[store.Letter]{
	{"j.request_id", Text, false, func(l *store.Letter) any { return (*string)(&l.RequestID) }},
	{"j.id", Text, false, func(l *store.Letter) any { return (*string)(&l.JobID) }},
	{"j.connector", Text, false, func(l *store.Letter) any { return &l.Connector }},
	{"j.action", Text, false, func(l *store.Letter) any { return (*string)(&l.Action) }},
	{"j.state", Text, false, func(l *store.Letter) any { return (*string)(&l.State) }},
	{"j.code", Text, false, func(l *store.Letter) any { return &l.Code }},
	{"j.message", Text, false, func(l *store.Letter) any { return &l.Message }},
	{"j.attempt", Int, false, func(l *store.Letter) any { return &l.Attempt }},
	{"j.updated_at", Time, false, func(l *store.Letter) any { return &l.EndedAt }},
	{"r.consumer_right", Text, false, func(l *store.Letter) any { return (*string)(&l.Right) }},
	{"r.respond_by", Time, false, func(l *store.Letter) any { return &l.RespondBy }},
}

// Dead is where dead letters are found: jobs of open requests that a person must
// look at and that nobody asked again.
const Dead = `FROM job j JOIN request r ON r.id = j.request_id
	WHERE j.state IN ('failed', 'over_limit', 'plan_changed') AND r.state IN ('accepted', 'held', 'resolving', 'running')
	AND NOT EXISTS (SELECT 1 FROM job n WHERE n.request_id = j.request_id AND n.connector = j.connector AND n.place > j.place
		AND (n.action = 'resolve') = (j.action = 'resolve'))`
