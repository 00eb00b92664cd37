package row

import (
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Tally is a row of the numbers.
type Tally struct {
	Right, Result, Code string
	Days, N             int64
}

// Tallies are its columns.
var Tallies = []Column[Tally]{
	{"consumer_right", Text, false, func(t *Tally) any { return &t.Right }},
	{"result", Text, false, func(t *Tally) any { return &t.Result }},
	{"reason_code", Text, false, func(t *Tally) any { return &t.Code }},
	{"days", Int, false, func(t *Tally) any { return &t.Days }},
	{"n", Int, false, func(t *Tally) any { return &t.N }},
}

// Domain returns the row as callers know it.
func (t *Tally) Domain() store.Tally {
	return store.Tally{Right: request.Right(t.Right), Result: request.Result(t.Result), Code: t.Code, Days: int(t.Days), N: t.N}
}

// LogEntry is a row of the log of requests.
type LogEntry struct {
	ID, Regime, Received, Right, Channel, Zone, Result, Code, Reason string
	CreatedAt, ClosedAt                                              time.Time
}

// LogEntries are its columns; received and zone stand for what is in the terms.
var LogEntries = []Column[LogEntry]{
	{"id", Text, false, func(e *LogEntry) any { return &e.ID }},
	{"regime", Text, false, func(e *LogEntry) any { return &e.Regime }},
	{"received", Text, false, func(e *LogEntry) any { return &e.Received }},
	{"consumer_right", Text, false, func(e *LogEntry) any { return &e.Right }},
	{"channel", Text, false, func(e *LogEntry) any { return &e.Channel }},
	{"zone", Text, false, func(e *LogEntry) any { return &e.Zone }},
	{"result", Text, false, func(e *LogEntry) any { return &e.Result }},
	{"reason_code", Text, false, func(e *LogEntry) any { return &e.Code }},
	{"reason", Text, false, func(e *LogEntry) any { return &e.Reason }},
	{"created_at", Time, false, func(e *LogEntry) any { return &e.CreatedAt }},
	{"closed_at", Time, false, func(e *LogEntry) any { return &e.ClosedAt }},
}

// Domain returns the row as callers know it.
func (e *LogEntry) Domain() (store.LogEntry, error) {
	received, err := request.ParseDate(e.Received)
	if err != nil {
		return store.LogEntry{}, fmt.Errorf("reading request %s of the log: %w", e.ID, err)
	}
	out := store.LogEntry{
		ID: request.ID(e.ID), Regime: e.Regime, Received: received, Nature: request.Right(e.Right), Manner: request.Channel(e.Channel),
		CreatedAt: e.CreatedAt,
	}
	if e.ClosedAt.IsZero() {
		return out, nil // it is not answered yet, whatever was decided
	}
	loc, err := request.Zone(e.Zone)
	if err != nil {
		return store.LogEntry{}, fmt.Errorf("reading request %s of the log: %w", e.ID, err)
	}
	out.Responded, out.Response = request.DateOf(e.ClosedAt, loc), request.Result(e.Result)
	out.Basis, out.BasisWords = e.Code, e.Reason
	return out, nil
}

// Access is a row of table log_access.
type Access struct {
	store.Access
	Allowed int64
}

// AccessColumns are the columns of table log_access.
var AccessColumns = []Column[Access]{
	{"at", Time, false, func(a *Access) any { return &a.At }},
	{"who", Text, false, func(a *Access) any { return &a.Who }},
	{"role", Text, false, func(a *Access) any { return &a.Role }},
	{"purpose", Text, false, func(a *Access) any { return &a.Purpose }},
	{"allowed", Int, false, func(a *Access) any { return &a.Allowed }},
}

// OfAccess is an access as a row.
func OfAccess(a store.Access) *Access {
	out := &Access{Access: a}
	if a.Allowed {
		out.Allowed = 1
	}
	return out
}

// Domain returns the row as callers know it.
func (a *Access) Domain() store.Access {
	out := a.Access
	out.Allowed = a.Allowed == 1
	return out
}

// Training is a row of table training.
type Training struct{ Who, On, Course string }

// Trainings are its columns.
var Trainings = []Column[Training]{
	{"who", Text, false, func(t *Training) any { return &t.Who }},
	{"trained_on", Text, false, func(t *Training) any { return &t.On }},
	{"course", Text, false, func(t *Training) any { return &t.Course }},
}

// Domain returns the row as callers know it.
func (t *Training) Domain() (store.Training, error) {
	on, err := request.ParseDate(t.On)
	return store.Training{Who: t.Who, Course: t.Course, On: on}, err
}

// Versions are the columns of table version.
var Versions = []Column[store.Version]{
	{"kind", Text, false, func(v *store.Version) any { return &v.Kind }},
	{"name", Text, false, func(v *store.Version) any { return &v.Name }},
	{"at", Time, false, func(v *store.Version) any { return &v.At }},
	{"version", Text, false, func(v *store.Version) any { return &v.Version }},
	{"digest", Bytes, false, func(v *store.Version) any { return &v.Digest }},
	{"content", Bytes, false, func(v *store.Version) any { return &v.Content }},
	{"by_whom", Text, false, func(v *store.Version) any { return &v.By }},
}
