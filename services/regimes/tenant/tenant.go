// Package tenant is what one company decided about the requests it answers: its
// published policy, its forms, how it verifies, whom it gives data to. It is
// configuration, and the law is not: [File.Lint] holds the one against the
// other and says, line by line, where the company asks for more or gives less
// than the law of a day lets it.
//
// It promises that what it finds can be acted on: a finding names the line of
// the file, the line of the published policy it comes from, the requirement's
// ID, the citation and what to do.
package tenant

import (
	"errors"
	"fmt"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

// Tenant is one company's decisions. Line fields are lines of the published
// policy, where that is what the decision was read from; 0 elsewhere.
type Tenant struct {
	ID     string `yaml:"tenant"`
	Name   string `yaml:"name"`
	Policy Policy `yaml:"policy"`
	// Regimes are the laws it answers under. Those whose files are unconfirmed
	// need a confirmation.
	Regimes       []string       `yaml:"regimes"`
	Confirmations []Confirmation `yaml:"confirmations"`
	// OnlineOnly says that it deals with its consumers directly and only
	// online; SellsOrShares that it sells or shares in the sense of the law.
	OnlineOnly    bool `yaml:"online_only"`
	SellsOrShares bool `yaml:"sells_or_shares"`
	// SensitiveBeyond says that it uses sensitive data beyond the purposes that
	// need no choice (11 CCR 7027(m)), so that limiting has something to limit.
	SensitiveBeyond bool `yaml:"sensitive_beyond"`

	Rights       []Offered    `yaml:"rights"`
	Exclusions   []Exclusion  `yaml:"exclusions"`
	Channels     []string     `yaml:"channels"`
	LookBack     LookBack     `yaml:"look_back"`
	Deletion     Deletion     `yaml:"deletion"`
	Forms        []Form       `yaml:"forms"`
	Verification Verification `yaml:"verification"`
	Agents       Agents       `yaml:"agents"`
	OptOut       OptOut       `yaml:"opt_out"`
	Vendors      []Vendor     `yaml:"vendors"`
	Categories   []Category   `yaml:"categories"`
	Records      Records      `yaml:"records"`

	// Practices are what people are told of each category, Withhold what copies
	// leave out, and Translations the texts of both, by language.
	Practices []Practice    `yaml:"practices"`
	Withhold  []Withholding `yaml:"withhold"`
	// NamesOthers are fields that name others than the person they are about.
	NamesOthers []NamesOthers `yaml:"names_others"`
	// Bases are the names under which connectors keep records, and what each
	// rests on.
	Bases        []Named                      `yaml:"bases"`
	Translations map[string]map[string]string `yaml:"translations"`
	// TrainingMonths is how old the training of who decides may be.
	TrainingMonths int `yaml:"training_months"`
}

// Policy is the published text the file was read from.
type Policy struct {
	URL     string       `yaml:"url"`
	Version string       `yaml:"version"`
	From    request.Date `yaml:"from"`
}

// Confirmation says who looked up what an unconfirmed regime file names.
type Confirmation struct {
	Regime string       `yaml:"regime"`
	By     string       `yaml:"by"`
	On     request.Date `yaml:"on"`
}

// Offered is a right the company tells people they have.
type Offered struct {
	Right request.Right `yaml:"right"`
	Line  int           `yaml:"line"`
}

// Exclusion is data or people the policy says it does not apply to.
type Exclusion struct {
	Code string       `yaml:"code"` // of the regime's exceptions, or service_provider
	Use  ExclusionUse `yaml:"use"`
	To   string       `yaml:"to"` // the queue, for [RouteElsewhere]
	Line int          `yaml:"line"`
}

// ExclusionUse is what an exclusion does.
type ExclusionUse string

// The uses.
const (
	RefuseRequest  ExclusionUse = "refuse" // the whole request is turned away
	RouteElsewhere ExclusionUse = "route"  // another team answers, on the same clocks
	KeepRecord     ExclusionUse = "record" // single records are kept, under the code
)

// LookBack is how far back people are told they can reach.
type LookBack struct {
	Everything bool `yaml:"everything"` // the form offers all since 2022
	Line       int  `yaml:"line"`
}

// Deletion is what a deletion reaches and how it is offered.
type Deletion struct {
	Scope    request.DeleteScope `yaml:"scope"`
	Portions bool                `yaml:"portions"` // parts can be chosen
	AllFirst bool                `yaml:"all_first"`
	// Deidentifies says that records are deidentified instead of erased, under
	// the public commitment at CommitmentURL.
	Deidentifies  bool   `yaml:"deidentifies"`
	CommitmentURL string `yaml:"commitment_url"`
	// Measures are those that keep the records from being tied to anybody again,
	// and RecipientsBound the term by which whoever gets them is bound to the same
	// (Civ. Code 1798.140(m)(1), (3)).
	Measures        string `yaml:"measures"`
	RecipientsBound string `yaml:"recipients_bound"`
	Line            int    `yaml:"line"`
}

// ErrNotDeidentified says that what a company does is no deidentifying in the sense
// of the law.
var ErrNotDeidentified = errors.New("this is no deidentifying (Civ. Code 1798.140(m))")

// Deidentified reports, as [ErrNotDeidentified], which parts of the law's test the
// company's file does not say it meets.
func (d Deletion) Deidentified() error {
	var lacks []string
	for _, part := range []struct {
		has  bool
		name string
	}{
		{d.Deidentifies, "deidentifies"}, {strings.TrimSpace(d.Measures) != "", "measures"},
		{strings.HasPrefix(d.CommitmentURL, "https://"), "commitment_url"}, {strings.TrimSpace(d.RecipientsBound) != "", "recipients_bound"},
	} {
		if !part.has {
			lacks = append(lacks, "deletion."+part.name)
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("%w: the company's file lacks %s", ErrNotDeidentified, strings.Join(lacks, ", "))
	}
	return nil
}

// Form is what is asked of who makes a request.
type Form struct {
	Right   request.Right `yaml:"right"`
	Fields  []Field       `yaml:"fields"`
	Account bool          `yaml:"account"` // an account has to be made to use it
	// Steps is how many clicks it takes, and Opposite how many the opposite
	// choice takes, where there is one.
	Steps    int `yaml:"steps"`
	Opposite int `yaml:"opposite"`
}

// Field is one thing a form asks.
type Field struct {
	Name      string `yaml:"name"`
	Necessity string `yaml:"necessity"` // why the request can't be answered without
}

// Verification is how the company becomes sure of a requester.
type Verification struct {
	Methods []Method `yaml:"methods"`
	// OptOut says that requests to opt out or to limit are verified.
	OptOut bool `yaml:"opt_out"`
	// ResidencyDocument says that residency has to be proven by a document;
	// ResidencyLine is where the policy says so.
	ResidencyDocument bool `yaml:"residency_document"`
	ResidencyLine     int  `yaml:"residency_line"`
	// ReauthenticateMinutes is how fresh a log-in has to be at release.
	ReauthenticateMinutes int `yaml:"reauthenticate_minutes"`
	// DeleteAfterDays is how long what was given to verify is kept after the
	// decision.
	DeleteAfterDays int `yaml:"delete_after_days"`
}

// Method is one way of verifying.
type Method struct {
	Method     string `yaml:"method"` // such as account_login; see the Method constants
	Reason     string `yaml:"reason"`
	Approver   string `yaml:"approver"`
	Reimbursed bool   `yaml:"reimbursed"`
	Line       int    `yaml:"line"`
}

// The methods the linter knows more of.
const (
	MethodAccount     = "account_login"
	MethodDataPoints  = "data_points"
	MethodDeclaration = "declaration"
	MethodIdentity    = "identity_document"
	MethodNotary      = "notary"
)

// Agents is what is asked of those who act for somebody.
type Agents struct {
	PowerOfAttorney PowerOfAttorney `yaml:"power_of_attorney"`
	Otherwise       Permission      `yaml:"otherwise"` // know, delete, correct without power of attorney
	OptOut          Permission      `yaml:"opt_out"`
}

// PowerOfAttorney is how a power of attorney is dealt with.
type PowerOfAttorney struct {
	Required bool `yaml:"required"` // an agent without one is turned away
	// Accepted are the sections of the Probate Code as the policy names them.
	Accepted string `yaml:"accepted"`
	// Besides is what is asked on top of a valid one; only [AgentIdentified]
	// may be.
	Besides []string `yaml:"besides"`
	Line    int      `yaml:"line"`
}

// AgentIdentified is to see that the agent is the one the power of attorney
// names (Prob. Code 4302).
const AgentIdentified = "agent_identified"

// Permission is what is asked of an agent without power of attorney.
type Permission struct {
	Signed bool `yaml:"signed"`
	// Consumer is what the person has to do besides.
	Consumer []Proof `yaml:"consumer"`
	Line     int     `yaml:"line"`
}

// Proof is what the person behind an agent has to do.
type Proof string

// The proofs, of which the law allows one at most.
const (
	ConsumerVerifies Proof = "verifies" // verify their own identity
	ConsumerConfirms Proof = "confirms" // confirm that they gave the permission
)

// OptOut is how people opt out.
type OptOut struct {
	Methods []string `yaml:"methods"` // gpc, web_link, banner, industry_page, phone, email, mail
	Covers  []string `yaml:"covers"`  // sale, sharing
	// ReaskMonths is how long nobody is asked to opt in again.
	ReaskMonths int  `yaml:"reask_months"`
	ShowStatus  bool `yaml:"show_status"` // the person sees that it was honoured
	Line        int  `yaml:"line"`
}

// Vendor is somebody who gets personal data.
type Vendor struct {
	Name string     `yaml:"name"`
	Role VendorRole `yaml:"role"`
	// Contract names the contract with the terms the law asks for.
	Contract string `yaml:"contract"`
	Line     int    `yaml:"line"`

	// ID is the short name by which the disclosure ledger and the evidence speak
	// of it; it never changes. Who has none is in no ledger.
	ID string `yaml:"id"`
	// Kind is the category of persons it belongs to, as the consumer is told
	// (11 CCR 7024(k)), such as "advertising networks".
	Kind string `yaml:"kind"`
	// Gets is what flows to it all the time.
	Gets []Flow `yaml:"gets"`
	// Gives is what the company has from it: it is told when a person has that
	// corrected, and named to the person.
	Gives []Supply `yaml:"gives"`
	// Tell is how it is told of a deletion, an opt-out or a correction.
	Tell Tell `yaml:"tell"`
}

// Supply is what one source gives for one system: another business, a data broker,
// somebody who infers.
type Supply struct {
	To string `yaml:"to"` // the connector of the system it goes to
	// Stores are those of the connector that it goes to; none is all.
	Stores     []string `yaml:"stores"`
	Categories []string `yaml:"categories"` // statutory letters
	// Fields are the names or data categories by which people dispute it, such as
	// user.contact.address; none is all.
	Fields []string `yaml:"fields"`
	// Since and Until are its first and last day; without Until it goes on.
	Since request.Date `yaml:"since"`
	Until request.Date `yaml:"until"`
}

// Flow is a standing disclosure: what one vendor gets from one system.
type Flow struct {
	From string `yaml:"from"` // the connector of the system it comes from
	// Stores are those of the connector that it comes from; none is all.
	Stores     []string  `yaml:"stores"`
	Categories []string  `yaml:"categories"` // statutory letters
	Purpose    string    `yaml:"purpose"`    // as the consumer is told
	As         Disclosed `yaml:"as"`
	// Since and Until are its first and last day; without Until it goes on.
	Since request.Date `yaml:"since"`
	Until request.Date `yaml:"until"`
}

// Disclosed is in which sense of the law data is given away.
type Disclosed string

// The senses (Civ. Code 1798.140(e), (ad), (ah)).
const (
	ForBusiness Disclosed = "business_purpose"
	Sold        Disclosed = "sold"
	Shared      Disclosed = "shared"
)

// Valid reports whether d is one of the senses.
func (d Disclosed) Valid() bool { return d == ForBusiness || d == Sold || d == Shared }

// Tell is how a vendor is told of a deletion or an opt-out.
type Tell struct {
	// Connector tells it as a part of its own work, where there is one that does.
	Connector string `yaml:"connector"`
	Email     string `yaml:"email"`   // the address for privacy requests
	Webhook   string `yaml:"webhook"` // https, and then no e-mail is sent
	// Identifiers are the kinds by which it knows people. It is shown no others.
	Identifiers []string `yaml:"identifiers"`
	// AcknowledgeDays is how long it has to say that it did; 0 means 10.
	AcknowledgeDays int `yaml:"acknowledge_days"`
	// Cannot says why a third party is not told, and the consumer is (11 CCR
	// 7022(b)(3)).
	Cannot *Cannot `yaml:"cannot"`
}

// Cannot is why a third party can't be told.
type Cannot struct {
	Why Impediment `yaml:"why"`
	// Explanation is what the consumer is told: detailed enough to understand why.
	Explanation string `yaml:"explanation"`
}

// Impediment is what stands against telling a third party.
type Impediment string

// The impediments of 11 CCR 7022(b)(3).
const (
	Impossible       Impediment = "impossible"
	Disproportionate Impediment = "disproportionate"
)

// VendorRole is what a vendor is to the company.
type VendorRole string

// The roles.
const (
	ServiceProvider VendorRole = "service_provider"
	Contractor      VendorRole = "contractor"
	ThirdParty      VendorRole = "third_party"
)

// Counts returns what a vendor counts as: without a contract it is a third party,
// whatever it is called (11 CCR 7050(e)), and what it gets is sold or shared.
func (v Vendor) Counts() VendorRole {
	if v.Contract == "" || v.Role == "" {
		return ThirdParty
	}
	return v.Role
}

// As returns what giving data to the vendor counts as: to one that was called
// something else and has no contract with the terms of the law, it is a sale (11
// CCR 7050(e), Civ. Code 1798.140(ad)).
func (v Vendor) As(said Disclosed) Disclosed {
	if v.Contract == "" && said == ForBusiness {
		return Sold
	}
	return said
}

// Category is a category of personal information that the policy says is
// collected, by the letter of Civ. Code 1798.140(v)(1).
type Category struct {
	Letter string `yaml:"letter"`
	Line   int    `yaml:"line"`
}

// Records is how the log of requests is kept.
type Records struct {
	KeepMonths int `yaml:"keep_months"`
	// Uses are what the log is used for.
	Uses []string `yaml:"uses"`
}
