package verify

import (
	"context"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Attorney is what a reviewer saw on a power of attorney. The paper itself is
// verification data; this is not.
type Attorney struct {
	Dated bool `json:"dated" doc:"It bears a date (Probate Code 4121(a))"`
	// SignedByPrincipal, or by another adult in her presence and at her
	// direction.
	SignedByPrincipal bool `json:"signed_by_principal" doc:"Signed by the consumer, or by an adult at her direction (4121(b))"`
	Notarised         bool `json:"notarised" doc:"Acknowledged before a notary (4121(c))"`
	Witnesses         int  `json:"witnesses" doc:"Adult witnesses who saw the signing (4121(c), 4122)" minimum:"0" maximum:"20"`
	AgentIsWitness    bool `json:"agent_is_witness" doc:"The agent is one of the witnesses (4122(c))"`
	CoversRequests    bool `json:"covers_requests" doc:"Its scope covers privacy requests (4123)"`
	Ended             bool `json:"ended" doc:"Past its end, revoked, or ended by death (4127, 4150-4155)"`
	Springing         bool `json:"springing" doc:"It takes effect only on a condition (4129)"`
	ConditionMet      bool `json:"condition_met" doc:"The condition is certified (4129)"`
	NamesTheAgent     bool `json:"names_the_agent" doc:"The agent it names is the one who asks (4302)"`
}

// Problems says why a power of attorney does not suffice under Probate Code
// 4121-4130; none means that nothing more may be asked (11 CCR 7063(b)).
func (a Attorney) Problems() []string {
	var out []string
	need := func(ok bool, problem string) {
		if !ok {
			out = append(out, problem)
		}
	}
	need(a.Dated, "it has no date (Probate Code 4121(a))")
	need(a.SignedByPrincipal, "it is not signed by the consumer or at her direction (Probate Code 4121(b))")
	need(a.Notarised || a.Witnesses >= 2, "it is neither acknowledged before a notary nor signed by two witnesses (Probate Code 4121(c))")
	need(a.Notarised || !a.AgentIsWitness, "the agent is a witness (Probate Code 4122(c))")
	need(a.CoversRequests, "its scope does not cover this (Probate Code 4123)")
	need(!a.Ended, "it has ended or was revoked (Probate Code 4127, 4150-4155)")
	need(!a.Springing || a.ConditionMet, "its condition is not certified (Probate Code 4129)")
	need(a.NamesTheAgent, "it names another agent (Probate Code 4302)")
	return out
}

// Permission is a consumer's signed permission for an agent.
type Permission struct {
	SignedOn time.Time `json:"signed_on" doc:"The day the consumer signed"`
	// Document is the signed paper, which is kept with the record of the
	// request for 24 months.
	Document []byte `json:"document" doc:"The signed permission" maxLength:"1500000"`
}

// Valid reports whether there is a signed permission.
func (p *Permission) Valid(now time.Time) bool {
	return p != nil && len(p.Document) > 0 && !p.SignedOn.IsZero() && !p.SignedOn.After(now.Add(24*time.Hour))
}

// Authority is what an agent shows: a power of attorney or a signed permission.
type Authority struct {
	Attorney   *Attorney
	Permission *Permission
	// Anchor and Points are the consumer's, for when she is to be asked.
	Anchor   request.Identifier
	Points   map[string]string
	Language string
}

// Check names what is missing.
func (a Authority) Check(now time.Time) error {
	var errs request.FieldErrors
	switch {
	case a.Attorney != nil:
		for _, p := range a.Attorney.Problems() {
			errs = append(errs, request.FieldError{Field: "power_of_attorney", Problem: p, Fix: "send a valid one, or a signed permission"})
		}
	case !a.Permission.Valid(now):
		errs = append(errs, request.FieldError{
			Field: "signed_permission", Problem: "is missing, or has no date or document", Fix: "send the permission the consumer signed, or a power of attorney",
		})
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// ByAgent takes what an agent shows for a request. With a power of attorney
// nothing more is asked of anybody (11 CCR 7063(b)); with a signed permission
// the consumer is asked for the one thing the policy says (11 CCR 7063(a)). For
// an opt-out the signed permission is all that may be asked for (11 CCR
// 7026(j), 7027).
func (r *Room) ByAgent(ctx context.Context, id request.ID, a Authority) error {
	if err := a.Check(r.Now()); err != nil {
		return err
	}
	req, err := r.Requests.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if a.Attorney == nil {
		if err := r.Keep(ctx, &req, "signed_permission", a.Permission.Document); err != nil {
			return err
		}
	}
	if !req.Right().Verifiable() {
		return nil
	}
	method := MethodPermission
	switch {
	case a.Attorney != nil:
		method = MethodAttorney
	case r.Policy.Agent == AgentConsumerConfirmed:
		return r.Open(ctx, id, Claimed{Language: a.Language, Anchor: a.Anchor, Confirm: true})
	case r.Policy.Agent == AgentConsumerVerified:
		return r.Open(ctx, id, Claimed{Language: a.Language, Anchor: a.Anchor, Points: a.Points})
	}
	return r.Requests.Attest(ctx, id, request.Verified{Method: method, Level: req.Level()}, By)
}
