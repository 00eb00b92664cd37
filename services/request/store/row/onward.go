package row

import (
	"maps"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Onward is a row of table onward.
type Onward struct {
	ID, RequestID, Recipient, Role, Contract, Letters, Basis, Channel string
	State, Code, Explanation, AcknowledgedBy, Failed, Note            string
	DecidedAt, Deadline, ToldAt, ShownAt, AcknowledgedAt, NextAt      time.Time
	Reminders, Tries                                                  int64
}

// Onwards are the columns of table onward.
var Onwards = []Column[Onward]{
	{"id", Text, false, func(o *Onward) any { return &o.ID }},
	{"request_id", Text, false, func(o *Onward) any { return &o.RequestID }},
	{"recipient", Text, false, func(o *Onward) any { return &o.Recipient }},
	{"role", Text, false, func(o *Onward) any { return &o.Role }},
	{"contract", Text, false, func(o *Onward) any { return &o.Contract }},
	{"letters", Text, true, func(o *Onward) any { return &o.Letters }},
	{"basis", Text, false, func(o *Onward) any { return &o.Basis }},
	{"channel", Text, true, func(o *Onward) any { return &o.Channel }},
	{"state", Text, true, func(o *Onward) any { return &o.State }},
	{"code", Text, false, func(o *Onward) any { return &o.Code }},
	{"explanation", Text, false, func(o *Onward) any { return &o.Explanation }},
	{"decided_at", Time, false, func(o *Onward) any { return &o.DecidedAt }},
	{"deadline", Time, false, func(o *Onward) any { return &o.Deadline }},
	{"told_at", Time, true, func(o *Onward) any { return &o.ToldAt }},
	{"shown_at", Time, true, func(o *Onward) any { return &o.ShownAt }},
	{"acknowledged_at", Time, true, func(o *Onward) any { return &o.AcknowledgedAt }},
	{"acknowledged_by", Text, true, func(o *Onward) any { return &o.AcknowledgedBy }},
	{"reminders", Int, true, func(o *Onward) any { return &o.Reminders }},
	{"tries", Int, true, func(o *Onward) any { return &o.Tries }},
	{"failed", Text, true, func(o *Onward) any { return &o.Failed }},
	{"next_at", Time, true, func(o *Onward) any { return &o.NextAt }},
	{"note", Text, true, func(o *Onward) any { return &o.Note }},
}

// OfOnward makes the row of a recipient to be told.
func OfOnward(o *store.Onward) *Onward {
	return &Onward{
		ID: string(o.ID), RequestID: string(o.RequestID), Recipient: o.Recipient, Role: o.Role, Contract: o.Contract, Letters: o.Letters,
		Basis: o.Basis, Channel: o.Channel, State: string(o.State), Code: o.Code, Explanation: o.Explanation, AcknowledgedBy: o.AcknowledgedBy,
		Failed: o.Failed, DecidedAt: o.DecidedAt, Deadline: o.Deadline, ToldAt: o.ToldAt, ShownAt: o.ShownAt, AcknowledgedAt: o.AcknowledgedAt,
		NextAt: o.NextAt, Reminders: int64(o.Reminders), Tries: int64(o.Tries), Note: o.Note,
	}
}

// Domain makes the recipient of a row.
func (o *Onward) Domain() store.Onward {
	return store.Onward{
		ID: request.ID(o.ID), RequestID: request.ID(o.RequestID), Recipient: o.Recipient, Role: o.Role, Contract: o.Contract, Letters: o.Letters,
		Basis: o.Basis, Channel: o.Channel, State: request.OnwardState(o.State), Code: o.Code, Explanation: o.Explanation, AcknowledgedBy: o.AcknowledgedBy,
		Failed: o.Failed, DecidedAt: o.DecidedAt, Deadline: o.Deadline, ToldAt: o.ToldAt, ShownAt: o.ShownAt, AcknowledgedAt: o.AcknowledgedAt,
		NextAt: o.NextAt, Reminders: int(o.Reminders), Tries: int(o.Tries), Note: o.Note,
	}
}

// Onwarded is what a transaction needs to load recipients into its snapshots: the
// requests that have any.
func Onwarded(snaps []*store.Snapshot) []string {
	var ids []string
	for _, s := range snaps {
		if s.Request.Case.Onward != nil {
			ids = append(ids, string(s.Request.ID))
		}
	}
	return ids
}

// Spread gives each snapshot its recipients.
func Spread(snaps []*store.Snapshot, rows []Onward) {
	byRequest := make(map[request.ID][]store.Onward)
	for i := range rows {
		o := rows[i].Domain()
		byRequest[o.RequestID] = append(byRequest[o.RequestID], o)
	}
	for _, s := range snaps {
		s.Onward = byRequest[s.Request.ID]
		s.StoredOnward = len(s.Onward)
	}
}

// OnwardStandings are the columns of how telling recipients stands.
var OnwardStandings = []Column[store.OnwardStanding]{
	{"waiting", Int, false, func(s *store.OnwardStanding) any { return &s.Waiting }},
	{"told", Int, false, func(s *store.OnwardStanding) any { return &s.Told }},
	{"unsent", Int, false, func(s *store.OnwardStanding) any { return &s.Unsent }},
	{"overdue", Int, false, func(s *store.OnwardStanding) any { return &s.Overdue }},
}

// OnwardCounts are the columns of how each recipient stands.
var OnwardCounts = []Column[store.OnwardCount]{
	{"recipient", Text, false, func(c *store.OnwardCount) any { return &c.Recipient }},
	{"waiting", Int, false, func(c *store.OnwardCount) any { return &c.Waiting }},
	{"told", Int, false, func(c *store.OnwardCount) any { return &c.Told }},
	{"unsent", Int, false, func(c *store.OnwardCount) any { return &c.Unsent }},
	{"overdue", Int, false, func(c *store.OnwardCount) any { return &c.Overdue }},
	{"acknowledged", Int, false, func(c *store.OnwardCount) any { return &c.Acknowledged }},
}

// MergeOnwardCounts makes one row of each recipient's, in the order of their ids.
func MergeOnwardCounts(rows ...[]store.OnwardCount) []store.OnwardCount {
	byID := make(map[string]*store.OnwardCount)
	for _, r := range slices.Concat(rows...) {
		c := byID[r.Recipient]
		if c == nil {
			c = &store.OnwardCount{Recipient: r.Recipient}
			byID[r.Recipient] = c
		}
		c.Waiting, c.Told, c.Unsent = c.Waiting+r.Waiting, c.Told+r.Told, c.Unsent+r.Unsent
		c.Overdue, c.Acknowledged = c.Overdue+r.Overdue, c.Acknowledged+r.Acknowledged
	}
	out := make([]store.OnwardCount, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out
}

// OnwardWhere is what follows FROM onward for a filter. arg takes a value and
// returns what stands for it in the statement; at makes a value of an instant.
func OnwardWhere(f *store.OnwardFilter, arg func(any) string, at func(time.Time) any) string {
	text, by, compare := " WHERE true", "deadline DESC, id DESC", "<"
	if f.Ascending() {
		text, by, compare = " WHERE state IN ('waiting', 'told')", "deadline, id", ">"
	}
	if f.Recipient != "" {
		text += " AND recipient = " + arg(f.Recipient)
	}
	if f.Unsent {
		text += " AND state = 'waiting' AND failed <> ''"
	}
	if !f.Overdue.IsZero() {
		text += " AND deadline <= " + arg(at(f.Overdue))
	}
	if f.Acknowledged {
		text += " AND state = 'acknowledged'"
	}
	if f.After.ID != "" {
		text += " AND (deadline, id) " + compare + " (" + arg(at(f.After.Deadline)) + ", " + arg(string(f.After.ID)) + ")"
	}
	return text + " ORDER BY " + by + " LIMIT " + arg(store.PageSize(f.Limit))
}
