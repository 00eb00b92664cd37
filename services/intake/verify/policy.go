package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
)

// Policy is how a company verifies. The zero Policy is not usable; see
// [DefaultPolicy].
type Policy struct {
	// Fresh is how old a login may be when data is released, erased or
	// corrected (11 CCR 7061(a)).
	Fresh time.Duration `yaml:"fresh"`
	// CodeLife is how long a code that was sent can be used, and Tries how
	// often it may be guessed.
	CodeLife time.Duration `yaml:"code_life"`
	Tries    int           `yaml:"tries"`
	// Points are what a person may be asked for.
	Points []Point `yaml:"points"`
	// Agent is what is asked of a consumer whose agent has signed permission
	// and no power of attorney. It is one thing: the law does not let a company
	// ask for both (11 CCR 7063(a)).
	Agent AgentPolicy `yaml:"agent"`
	// IdentityDocument is off unless there is a reason, written down and
	// approved (11 CCR 7060(c)).
	IdentityDocument IdentityDocument `yaml:"identity_document"`
}

// Point is one data point a person may give.
type Point struct {
	// Name is a short code, such as postal_code. Form is how it is compared and
	// Fields the names of the fields that hold it in the company's systems.
	Name   string   `yaml:"name"`
	Form   string   `yaml:"form"`
	Fields []string `yaml:"fields"`
	// Label and Necessity are shown in each language: what it is, and why it
	// is asked for.
	Label     map[string]string `yaml:"label"`
	Necessity map[string]string `yaml:"necessity"`
}

// AgentPolicy is what is asked of the consumer besides signed permission.
type AgentPolicy string

// The policies. There is none that asks for both.
const (
	AgentNothingMore       AgentPolicy = "nothing_more"
	AgentConsumerVerified  AgentPolicy = "consumer_verified"
	AgentConsumerConfirmed AgentPolicy = "consumer_confirmed"
)

// IdentityDocument is the setting for asking for an identity document.
type IdentityDocument struct {
	Enabled    bool   `yaml:"enabled"`
	Reason     string `yaml:"reason"`
	ApprovedBy string `yaml:"approved_by"`
}

// How many matched data points make a requester the consumer (11 CCR 7062).
const (
	pointsReasonable     = 2
	pointsReasonablyHigh = 3
)

// DefaultPolicy is what applies where a company says nothing else.
func DefaultPolicy() Policy {
	return Policy{
		Fresh: 15 * time.Minute, CodeLife: 24 * time.Hour, Tries: 5, Agent: AgentConsumerConfirmed,
		Points: []Point{
			{
				Name: "postal_code", Form: wire.FormText, Fields: []string{"postal_code", "postcode", "zip", "zip_code", "postal"},
				Label:     map[string]string{"en": "ZIP or postal code on your account", "es": "Código postal de su cuenta"},
				Necessity: map[string]string{"en": "We compare it with the address we hold.", "es": "Lo comparamos con la dirección que tenemos."},
			},
			{
				Name: "phone", Form: wire.FormPhone, Fields: []string{"phone", "phone_number", "mobile", "telephone"},
				Label:     map[string]string{"en": "Phone number you gave us", "es": "Número de teléfono que nos dio"},
				Necessity: map[string]string{"en": "We compare it with the number we hold. We don't call it.", "es": "Lo comparamos con el número que tenemos. No llamamos."},
			},
			{
				Name: "full_name", Form: wire.FormText, Fields: []string{"name", "full_name", "contact_name", "customer_name"},
				Label:     map[string]string{"en": "Full name on your account", "es": "Nombre completo de su cuenta"},
				Necessity: map[string]string{"en": "We compare it with the name we hold.", "es": "Lo comparamos con el nombre que tenemos."},
			},
			{
				Name: "customer_number", Form: wire.FormText, Fields: []string{"customer_id", "customer_number", "account_number", "customer"},
				Label:     map[string]string{"en": "Customer number, from an invoice", "es": "Número de cliente, de una factura"},
				Necessity: map[string]string{"en": "We compare it with your account.", "es": "Lo comparamos con su cuenta."},
			},
		},
	}
}

// Check names what is wrong with a policy.
func (p Policy) Check() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf("verify."+format, args...)) }
	if p.Fresh <= 0 || p.Fresh > 24*time.Hour {
		say("fresh: want a duration up to 24h, such as 15m")
	}
	if p.CodeLife <= 0 || p.Tries < 1 || p.Tries > 10 {
		say("code_life, tries: want a duration and 1 to 10 tries")
	}
	switch p.Agent {
	case AgentNothingMore, AgentConsumerVerified, AgentConsumerConfirmed:
	default:
		say("agent: want one of nothing_more, consumer_verified and consumer_confirmed; 11 CCR 7063(a) allows one and never both")
	}
	if d := p.IdentityDocument; d.Enabled && (strings.TrimSpace(d.Reason) == "" || strings.TrimSpace(d.ApprovedBy) == "") {
		say("identity_document: needs a reason and approved_by; leave it off unless nothing else can do (11 CCR 7060(c))")
	}
	seen := map[string]bool{}
	for i, pt := range p.Points {
		switch {
		case pt.Name == "" || seen[pt.Name]:
			say("points[%d].name: is missing or used twice", i)
		case !slices.Contains(wire.Forms(), pt.Form):
			say("points[%d].form: want one of %v", i, wire.Forms())
		case len(pt.Fields) == 0:
			say("points[%d].fields: name the fields that hold it", i)
		}
		for _, language := range Languages() {
			if pt.Label[language] == "" || pt.Necessity[language] == "" {
				say("points[%d]: label and necessity are needed in %s: say why it is asked for (11 CCR 7060(d))", i, language)
			}
		}
		seen[pt.Name] = true
	}
	return errors.Join(errs...)
}

// Languages are those in which consumers are spoken to.
func Languages() []string { return []string{"en", "es"} }

// Facts is what is known of a requester when it is decided.
type Facts struct {
	// LoggedIn is when the consumer last proved to be the account's holder;
	// zero for never.
	LoggedIn time.Time
	// Suspicion is set when something points at fraud: then a login is not
	// enough (11 CCR 7061(b)).
	Suspicion bool
	// Possession says that a code came back from a mailbox that a system held
	// before the request. It counts as one data point.
	Possession bool
	// Phone says the same of a code that went to a phone.
	Phone bool
	// Matched are the data points that agree with what is held, and Disputed
	// those that a correction is about: they prove nothing (11 CCR 7060(h)).
	Matched, Disputed []string
	// Declared says that there is a signed declaration under penalty of perjury.
	Declared bool
}

// Methods of verification, as they stand in evidence.
const (
	MethodLogin      = "account_login"
	MethodPoints     = "data_points"
	MethodDeclared   = "data_points_and_declaration"
	MethodAttorney   = "agent_power_of_attorney"
	MethodPermission = "agent_signed_permission"
)

// Level says how sure the facts make one, and by what method; "" for not sure.
func (p Policy) Level(f Facts, now time.Time) (request.Level, string) {
	if p.IsFresh(f.LoggedIn, now) && !f.Suspicion {
		return request.ReasonablyHigh, MethodLogin
	}
	points := 0
	if f.Possession {
		points++
	}
	if f.Phone {
		points++
	}
	seen := map[string]bool{}
	for _, m := range f.Matched {
		if !seen[m] && !slices.Contains(f.Disputed, m) {
			seen[m] = true
			points++
		}
	}
	switch {
	case points >= pointsReasonablyHigh && f.Declared:
		return request.ReasonablyHigh, MethodDeclared
	case points >= pointsReasonable:
		return request.Reasonable, MethodPoints
	default:
		return "", ""
	}
}

// IsFresh reports whether a login is young enough to act on.
func (p Policy) IsFresh(at, now time.Time) bool {
	return !at.IsZero() && !at.After(now.Add(time.Minute)) && now.Sub(at) <= p.Fresh
}
