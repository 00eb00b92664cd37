package verify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

func validAttorney() verify.Attorney {
	return verify.Attorney{Dated: true, SignedByPrincipal: true, Notarised: true, CoversRequests: true, NamesTheAgent: true}
}

// VE-15: the Probate Code's checklist.
func TestAttorney_VE15(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*verify.Attorney)
		cites  string
	}{
		{"valid", func(*verify.Attorney) {}, ""},
		{"two witnesses, no notary", func(a *verify.Attorney) { a.Notarised, a.Witnesses = false, 2 }, ""},
		{"one witness, no notary", func(a *verify.Attorney) { a.Notarised, a.Witnesses = false, 1 }, "4121(c)"},
		{"the agent as witness", func(a *verify.Attorney) { a.Notarised, a.Witnesses, a.AgentIsWitness = false, 2, true }, "4122(c)"},
		{"undated", func(a *verify.Attorney) { a.Dated = false }, "4121(a)"},
		{"unsigned", func(a *verify.Attorney) { a.SignedByPrincipal = false }, "4121(b)"},
		{"for other things", func(a *verify.Attorney) { a.CoversRequests = false }, "4123"},
		{"revoked", func(a *verify.Attorney) { a.Ended = true }, "4127"},
		{"springing, condition open", func(a *verify.Attorney) { a.Springing = true }, "4129"},
		{"springing, condition met", func(a *verify.Attorney) { a.Springing, a.ConditionMet = true, true }, ""},
		{"another agent", func(a *verify.Attorney) { a.NamesTheAgent = false }, "4302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := validAttorney()
			c.change(&a)
			got := strings.Join(a.Problems(), "; ")
			if (got == "") != (c.cites == "") || !strings.Contains(got, c.cites) {
				t.Errorf("problems: %q, want one that cites %q", got, c.cites)
			}
		})
	}
}

// VE-14: a policy can't ask for both.
func TestAgentPolicy_VE14(t *testing.T) {
	p := verify.DefaultPolicy()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	p.Agent = "consumer_verified, consumer_confirmed"
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "7063(a)") {
		t.Errorf("asking for both: %v, want an error that cites 7063(a)", err)
	}
}

func TestIdentityDocument_VE13(t *testing.T) {
	p := verify.DefaultPolicy()
	if p.IdentityDocument.Enabled {
		t.Error("an identity document is asked for by default")
	}
	p.IdentityDocument.Enabled = true
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "identity_document") {
		t.Errorf("without a reason: %v", err)
	}
	p.IdentityDocument.Reason, p.IdentityDocument.ApprovedBy = "no other data is held", "counsel"
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

func TestPolicyCheck(t *testing.T) {
	for name, change := range map[string]func(*verify.Policy){
		"verify.fresh":     func(p *verify.Policy) { p.Fresh = 0 },
		"verify.code_life": func(p *verify.Policy) { p.Tries = 0 },
		"points[0].form":   func(p *verify.Policy) { p.Points = []verify.Point{{Name: "x", Form: "colour"}} },
		"points[0].fields": func(p *verify.Policy) { p.Points = []verify.Point{{Name: "x", Form: wire.FormText}} },
		"necessity": func(p *verify.Policy) {
			p.Points[0].Necessity = map[string]string{"en": "We compare it."}
		},
		"points[1].name": func(p *verify.Policy) { p.Points = append(p.Points[:1:1], p.Points[0]) },
	} {
		p := verify.DefaultPolicy()
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// permission is a signed permission for an agent.
func permission(r *rig) *verify.Permission {
	return &verify.Permission{SignedOn: r.now.AddDate(0, 0, -3), Document: []byte("I permit Planted Agent to ask for me. Signed: Planted Person")}
}

func TestAgentRequest_VE15_NoMessage(t *testing.T) {
	r := newRig(t)
	id := r.take(request.KnowSpecific, planted)
	attorney := validAttorney()
	if err := r.room.ByAgent(t.Context(), id, verify.Authority{Attorney: &attorney, Anchor: request.NewIdentifier(request.Email, planted)}); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.Accepted)
	if n := len(r.mail.Letters()); n != 0 {
		t.Errorf("the consumer was sent %d messages, want none", n)
	}
}

func TestAgentRequest_VE14(t *testing.T) {
	for policy, letters := range map[verify.AgentPolicy]int{verify.AgentNothingMore: 0, verify.AgentConsumerConfirmed: 1, verify.AgentConsumerVerified: 1} {
		t.Run(string(policy), func(t *testing.T) {
			r := newRig(t, func(c *verify.Config) { c.Policy.Agent = policy })
			id := r.take(request.Delete, planted)
			err := r.room.ByAgent(t.Context(), id, verify.Authority{Permission: permission(r), Anchor: request.NewIdentifier(request.Email, planted), Points: points("postal_code", "94110")})
			if err != nil {
				t.Fatal(err)
			}
			r.work()
			if got := len(r.mail.Letters()); got != letters {
				t.Fatalf("%d letters, want %d", got, letters)
			}
			if letters > 0 {
				r.want(id, request.AwaitingVerification)
				if err := r.answer(id, r.code(1)); err != nil {
					t.Fatal(err)
				}
				r.work()
			}
			r.want(id, request.Accepted)
			docs, err := r.store.Documents(t.Context(), id)
			if err != nil || len(docs) != 1 || docs[0].Kind != "signed_permission" {
				t.Errorf("kept documents: %+v, %v", docs, err)
			}
		})
	}
}

func TestAgentRequestRefused(t *testing.T) {
	r := newRig(t)
	id := r.take(request.Delete, planted)
	bad := validAttorney()
	bad.Dated = false
	for name, a := range map[string]verify.Authority{
		"nothing":              {},
		"an invalid attorney":  {Attorney: &bad},
		"an empty permission":  {Permission: &verify.Permission{SignedOn: r.now}},
		"an unsigned document": {Permission: &verify.Permission{Document: []byte("x")}},
	} {
		a.Anchor = request.NewIdentifier(request.Email, planted)
		var fields request.FieldErrors
		if err := r.room.ByAgent(t.Context(), id, a); !errors.As(err, &fields) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.want(id, request.AwaitingVerification)
}

// VE-16: an opt-out by an agent needs a signed permission and nothing of the
// consumer.
func TestAgentOptOut_VE16(t *testing.T) {
	r := newRig(t)
	id := r.take(request.OptOutSaleShare, planted)
	if err := r.room.ByAgent(t.Context(), id, verify.Authority{Permission: permission(r), Anchor: request.NewIdentifier(request.Email, planted)}); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.Accepted)
	if n := len(r.mail.Letters()); n != 0 {
		t.Errorf("the consumer was sent %d messages, want none", n)
	}
	if r.systems.asked != 0 {
		t.Error("systems were asked about somebody who opts out")
	}
}
