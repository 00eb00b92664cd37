// Package row describes the tables once for every store: which column holds
// which field, and how fields that are not plain values are written.
package row

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Type is how a column's value is kept.
type Type int

// The types. A nil or zero value of Bytes, JSON and Time is NULL.
const (
	Text  Type = iota // *string
	Int               // *int64
	Bytes             // *[]byte
	JSON              // *[]byte
	Time              // *time.Time
)

// Column is one column of a table whose rows are T.
type Column[T any] struct {
	Name string
	Type Type
	// Mutable columns are written by an update; the others are set once.
	Mutable bool
	// Ptr points at the column's field.
	Ptr func(*T) any
}

// Names joins the columns' names for a statement.
func Names[T any](columns []Column[T]) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// Mutable returns the columns an update writes.
func Mutable[T any](columns []Column[T]) []Column[T] {
	var out []Column[T]
	for _, c := range columns {
		if c.Mutable {
			out = append(out, c)
		}
	}
	return out
}

// Request is a row of table request.
type Request struct {
	ID, Tenant, Regime, Right, State, Result, ReasonCode, Reason string
	Channel, Kinds, IdempotencyKey, Attention, Assignee          string
	RespondBy, CreatedAt, UpdatedAt, ClosedAt                    time.Time
	Terms, Extension, Verification, Plan, Package, Case          []byte
	Corrections, Statements                                      []byte
	WakeAt                                                       time.Time
	WrappedKey, Sealed, Commitment, Fingerprint                  []byte
	PlanDigest, RecordDigests, ClosureDigest                     []byte
	Round, Version                                               int64
}

// Requests are the columns of table request.
var Requests = []Column[Request]{
	{"id", Text, false, func(r *Request) any { return &r.ID }},
	{"tenant", Text, false, func(r *Request) any { return &r.Tenant }},
	{"regime", Text, false, func(r *Request) any { return &r.Regime }},
	{"consumer_right", Text, false, func(r *Request) any { return &r.Right }},
	{"state", Text, true, func(r *Request) any { return &r.State }},
	{"result", Text, true, func(r *Request) any { return &r.Result }},
	{"reason_code", Text, true, func(r *Request) any { return &r.ReasonCode }},
	{"reason", Text, true, func(r *Request) any { return &r.Reason }},
	{"channel", Text, false, func(r *Request) any { return &r.Channel }},
	{"terms", JSON, false, func(r *Request) any { return &r.Terms }},
	{"extension", JSON, true, func(r *Request) any { return &r.Extension }},
	{"respond_by", Time, true, func(r *Request) any { return &r.RespondBy }},
	{"verification", JSON, true, func(r *Request) any { return &r.Verification }},
	{"wrapped_key", Bytes, true, func(r *Request) any { return &r.WrappedKey }},
	{"sealed", Bytes, true, func(r *Request) any { return &r.Sealed }},
	{"kinds", Text, true, func(r *Request) any { return &r.Kinds }},
	{"commitment", Bytes, false, func(r *Request) any { return &r.Commitment }},
	{"idempotency_key", Text, false, func(r *Request) any { return &r.IdempotencyKey }},
	{"fingerprint", Bytes, false, func(r *Request) any { return &r.Fingerprint }},
	{"round", Int, true, func(r *Request) any { return &r.Round }},
	{"plan_digest", Bytes, true, func(r *Request) any { return &r.PlanDigest }},
	{"plan", JSON, true, func(r *Request) any { return &r.Plan }},
	{"record_digests", Bytes, true, func(r *Request) any { return &r.RecordDigests }},
	{"closure_digest", Bytes, true, func(r *Request) any { return &r.ClosureDigest }},
	{"attention", Text, true, func(r *Request) any { return &r.Attention }},
	{"package", JSON, true, func(r *Request) any { return &r.Package }},
	{"created_at", Time, false, func(r *Request) any { return &r.CreatedAt }},
	{"updated_at", Time, true, func(r *Request) any { return &r.UpdatedAt }},
	{"closed_at", Time, true, func(r *Request) any { return &r.ClosedAt }},
	{"version", Int, true, func(r *Request) any { return &r.Version }},
	{"details", JSON, true, func(r *Request) any { return &r.Case }},
	{"corrections", Bytes, true, func(r *Request) any { return &r.Corrections }},
	{"statements", Bytes, true, func(r *Request) any { return &r.Statements }},
	{"wake_at", Time, true, func(r *Request) any { return &r.WakeAt }},
	{"assignee", Text, true, func(r *Request) any { return &r.Assignee }},
}

// Job is a row of table job.
type Job struct {
	ID, RequestID, Connector, ConnectorVersion, ManifestDigest, KeyID string
	Action, After, Kinds, State, Code, Message                        string
	Round, Place, Attempt, CapOverride, Discovered, Failures          int64
	Purpose                                                           string
	PlanDigest, Located, Outcome, LocatedEnvelope                     []byte
	SentAt, NextAt, UpdatedAt                                         time.Time
}

// Jobs are the columns of table job.
var Jobs = []Column[Job]{
	{"id", Text, false, func(j *Job) any { return &j.ID }},
	{"request_id", Text, false, func(j *Job) any { return &j.RequestID }},
	{"connector", Text, false, func(j *Job) any { return &j.Connector }},
	{"connector_version", Text, true, func(j *Job) any { return &j.ConnectorVersion }},
	{"manifest_digest", Text, true, func(j *Job) any { return &j.ManifestDigest }},
	{"key_id", Text, true, func(j *Job) any { return &j.KeyID }},
	{"action", Text, false, func(j *Job) any { return &j.Action }},
	{"round", Int, true, func(j *Job) any { return &j.Round }},
	{"place", Int, false, func(j *Job) any { return &j.Place }},
	{"after", Text, false, func(j *Job) any { return &j.After }},
	{"kinds", Text, true, func(j *Job) any { return &j.Kinds }},
	{"state", Text, true, func(j *Job) any { return &j.State }},
	{"attempt", Int, true, func(j *Job) any { return &j.Attempt }},
	{"plan_digest", Bytes, true, func(j *Job) any { return &j.PlanDigest }},
	{"located", JSON, true, func(j *Job) any { return &j.Located }},
	{"outcome", JSON, true, func(j *Job) any { return &j.Outcome }},
	{"discovered", Int, true, func(j *Job) any { return &j.Discovered }},
	{"code", Text, true, func(j *Job) any { return &j.Code }},
	{"message", Text, true, func(j *Job) any { return &j.Message }},
	{"cap_override", Int, true, func(j *Job) any { return &j.CapOverride }},
	{"located_envelope", Bytes, true, func(j *Job) any { return &j.LocatedEnvelope }},
	{"sent_at", Time, true, func(j *Job) any { return &j.SentAt }},
	{"next_at", Time, true, func(j *Job) any { return &j.NextAt }},
	{"updated_at", Time, true, func(j *Job) any { return &j.UpdatedAt }},
	{"failures", Int, true, func(j *Job) any { return &j.Failures }},
	{"purpose", Text, false, func(j *Job) any { return &j.Purpose }},
}

// Records are the columns of table record.
var Records = []Column[store.Record]{
	{"digest", Bytes, false, func(r *store.Record) any { return &r.Digest }},
	{"request_id", Text, false, func(r *store.Record) any { return (*string)(&r.RequestID) }},
	{"job_id", Text, false, func(r *store.Record) any { return (*string)(&r.JobID) }},
	{"type", Text, false, func(r *store.Record) any { return &r.Type }},
	{"issuer", Text, false, func(r *store.Record) any { return &r.Issuer }},
	{"envelope", Bytes, false, func(r *store.Record) any { return &r.Envelope }},
	{"created_at", Time, false, func(r *store.Record) any { return &r.CreatedAt }},
}

// OfRequest makes the row of a request.
func OfRequest(r *store.Request) (*Request, error) {
	out := &Request{
		ID: string(r.ID), Tenant: r.Tenant, Regime: r.Regime, Right: string(r.Right()), State: string(r.State()),
		Channel: string(r.Channel), Kinds: joinKinds(r.Kinds), IdempotencyKey: r.IdempotencyKey,
		Attention: r.Attention, Assignee: r.Assignee, RespondBy: r.RespondBy, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		ClosedAt: r.ClosedAt, Plan: r.Plan, WrappedKey: r.WrappedKey, Sealed: r.Sealed, Commitment: r.Commitment,
		Fingerprint: r.Fingerprint, PlanDigest: r.PlanDigest, RecordDigests: r.RecordDigests, ClosureDigest: r.ClosureDigest,
		Round: int64(r.Round), Version: r.Version, Corrections: r.Corrections, Statements: r.Statements, WakeAt: r.Wake(),
	}
	if e := r.Ending; e != nil {
		out.Result, out.ReasonCode, out.Reason = string(e.Result), e.Code, e.Reason
	}
	type field struct {
		to   *[]byte
		from any
	}
	fields := []field{{&out.Terms, r.Terms}}
	if r.Request.Extension != nil {
		fields = append(fields, field{&out.Extension, r.Request.Extension})
	}
	if v, _ := r.Verification(); v != nil {
		if done, ok := v.(request.Verified); ok {
			fields = append(fields, field{&out.Verification, done})
		}
	}
	if !r.Case.IsZero() {
		fields = append(fields, field{&out.Case, r.Case})
	}
	if r.Package.Key != "" {
		fields = append(fields, field{&out.Package, r.Package})
	}
	for _, f := range fields {
		text, err := json.Marshal(f.from)
		if err != nil {
			return nil, fmt.Errorf("encoding request %s: %w", r.ID, err)
		}
		*f.to = text
	}
	return out, nil
}

// Domain makes the request of a row.
func (r *Request) Domain() (store.Request, error) {
	out := store.Request{
		RespondBy: r.RespondBy, WrappedKey: r.WrappedKey, Sealed: r.Sealed,
		Commitment: r.Commitment, IdempotencyKey: r.IdempotencyKey, Fingerprint: r.Fingerprint,
		Round: int(r.Round), PlanDigest: r.PlanDigest, Plan: r.Plan, RecordDigests: r.RecordDigests, ClosureDigest: r.ClosureDigest,
		Attention: r.Attention, Assignee: r.Assignee, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ClosedAt: r.ClosedAt, Version: r.Version,
		Corrections: r.Corrections, Statements: r.Statements,
	}
	var err error
	if out.Kinds, err = splitKinds(r.Kinds); err != nil {
		return out, fmt.Errorf("decoding request %s: %w", r.ID, err)
	}
	base := request.Request{ID: request.ID(r.ID), Tenant: r.Tenant, Regime: r.Regime, Channel: request.Channel(r.Channel)}
	if r.Result != "" {
		base.Ending = &request.Ending{Result: request.Result(r.Result), Code: r.ReasonCode, Reason: r.Reason}
	}
	var verified *request.Verified
	for _, f := range []struct {
		from []byte
		to   any
	}{{r.Terms, &base.Terms}, {r.Extension, &base.Extension}, {r.Verification, &verified}, {r.Package, &out.Package}, {r.Case, &base.Case}} {
		if f.from == nil {
			continue
		}
		if err := json.Unmarshal(f.from, f.to); err != nil {
			return out, fmt.Errorf("decoding request %s: %w", r.ID, err)
		}
	}
	right := request.Right(r.Right)
	var v request.Verification
	switch {
	case verified != nil:
		v = *verified
	case right.Verifiable():
		v = request.Unverified{}
	}
	restored, err := request.Restore(base, right, request.State(r.State), v)
	if err != nil {
		return out, fmt.Errorf("decoding request %s: %w", r.ID, err)
	}
	out.Request = restored
	return out, nil
}

// OfJob makes the row of a job, without its place among the others.
func OfJob(j *store.Job) *Job {
	var discovered int64
	if j.Discovered {
		discovered = 1
	}
	after := make([]string, len(j.After))
	for i, id := range j.After {
		after[i] = string(id)
	}
	return &Job{
		ID: string(j.ID), RequestID: string(j.RequestID), Connector: j.Connector, ConnectorVersion: j.ConnectorVersion,
		ManifestDigest: j.ManifestDigest, KeyID: j.KeyID, Action: string(j.Action), After: strings.Join(after, ","),
		Kinds: strings.Join(j.Kinds, ","), State: string(j.State), Code: j.Code, Message: j.Message,
		Discovered: discovered, Round: int64(j.Round), Attempt: int64(j.Attempt), Failures: int64(j.Failures), Purpose: string(j.Purpose), CapOverride: j.CapOverride, PlanDigest: j.PlanDigest,
		Located: j.Located, Outcome: j.Outcome, LocatedEnvelope: j.LocatedEnvelope,
		SentAt: j.SentAt, NextAt: j.NextAt, UpdatedAt: j.UpdatedAt,
	}
}

// Domain makes the job of a row.
func (j *Job) Domain() store.Job {
	var after []request.ID
	for _, id := range split(j.After) {
		after = append(after, request.ID(id))
	}
	return store.Job{
		ID: request.ID(j.ID), RequestID: request.ID(j.RequestID), Connector: j.Connector, ConnectorVersion: j.ConnectorVersion,
		ManifestDigest: j.ManifestDigest, KeyID: j.KeyID, Action: request.Action(j.Action), After: after,
		Kinds: split(j.Kinds), State: request.JobState(j.State), Code: j.Code, Message: j.Message,
		Discovered: j.Discovered != 0, Round: int(j.Round), Attempt: int(j.Attempt), Failures: int(j.Failures), Purpose: store.Purpose(j.Purpose), CapOverride: j.CapOverride, PlanDigest: j.PlanDigest,
		Located: j.Located, Outcome: j.Outcome, LocatedEnvelope: j.LocatedEnvelope,
		SentAt: j.SentAt, NextAt: j.NextAt, UpdatedAt: j.UpdatedAt,
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// joinKinds writes kinds as "email@0@,user_id@1@crm".
func joinKinds(kinds []store.Kind) string {
	parts := make([]string, len(kinds))
	for i, k := range kinds {
		parts[i] = k.Name + "@" + strconv.Itoa(k.Round) + "@" + k.By
	}
	return strings.Join(parts, ",")
}

func splitKinds(text string) ([]store.Kind, error) {
	var kinds []store.Kind
	for _, part := range split(text) {
		fields := strings.Split(part, "@")
		if len(fields) != 3 {
			return nil, errors.New("kinds: not name@round@connector")
		}
		round, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, errors.New("kinds: round is not a number")
		}
		kinds = append(kinds, store.Kind{Name: fields[0], Round: round, By: fields[2]})
	}
	return kinds, nil
}
