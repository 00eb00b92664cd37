package request

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Submission is what arrives at intake, before it is believed. It holds
// personal data and prints as little of it as its parts do.
type Submission struct {
	// Tenant is the company asked, in a deployment that serves several.
	Tenant string
	// Regime is the law the request is made under, such as "us-ca-ccpa".
	Regime string
	// Right is what is asked.
	Right Right
	// Channel is how it came: one of the [Channel] values or, for a way the
	// company did not name, any short code. Such a request counts all the same
	// (11 CCR 7020(e)).
	Channel Channel
	// Subject is who it is about; only a person has these rights.
	Subject Subject
	// Identifiers are what is known of the person, at least one that can find
	// them.
	Identifiers []Identifier
	// Range is how far back a request to know reaches.
	Range Range
	// Corrections are the fields to put right, for [Correct] alone. NewPapers
	// says that documents support them (11 CCR 7023(g)).
	Corrections []Correction
	NewPapers   bool
	// Portions are the categories a deletion is limited to, as letters of Civ.
	// Code 1798.140(v)(1); none is everything, which is what is offered first
	// (11 CCR 7022(h)).
	Portions []string
	// TwoStep says that the request counts only once it is confirmed. A
	// deletion may ask for it (11 CCR 7020(d)); an opt-in always does (7028).
	TwoStep bool
	// Requester is who asks, when that is not the consumer, and Minor how young
	// the consumer is known to be.
	Requester Requester
	Minor     Minor
	// Language is what the person is written to in, such as "es"; "" where it is
	// not known.
	Language string
	// Answer is how the answer to a request to know is to come.
	Answer Answer
	// Undesignated says that the channel is none the company named.
	Undesignated bool
	// Parent is the request this one follows from, and Origin how.
	Parent ID
	Origin Origin
}

// languageTag is a primary language subtag (RFC 5646).
var languageTag = regexp.MustCompile(`^[a-z]{2,3}$`)

// caseOf is what the submission says of the request's case.
func (s Submission) caseOf() Case {
	c := Case{
		Requester: s.Requester, Minor: s.Minor, Undesignated: s.Undesignated, Language: s.Language, Unconfirmed: s.TwoStep, Portions: s.Portions, NewPapers: s.NewPapers,
		Parent: s.Parent, Origin: s.Origin, Answer: s.Answer,
	}
	if s.Subject == HouseholdSubject {
		c.Subject = s.Subject
	}
	for _, f := range s.Corrections {
		if !slices.Contains(c.Disputed, f.Field) {
			c.Disputed = append(c.Disputed, f.Field)
		}
	}
	return c
}

// Channel is how a request was made.
type Channel string

// The channels a company can name.
const (
	ChannelAPI      Channel = "api"
	ChannelWeb      Channel = "web"
	ChannelEmail    Channel = "email"
	ChannelPhone    Channel = "phone"
	ChannelMail     Channel = "mail"
	ChannelInPerson Channel = "in_person"
	ChannelAgent    Channel = "agent_api" // an authorised agent's system
	ChannelGPC      Channel = "gpc"       // an opt-out preference signal
	ChannelDROP     Channel = "drop"      // the state's deletion platform
	// ChannelProbe is the company's own made-up request, which shows that the way
	// works. Nobody made it: it is in no log of requests and no yearly numbers.
	ChannelProbe Channel = "probe"
)

// Channels returns the channels.
func Channels() []Channel {
	return []Channel{ChannelAPI, ChannelWeb, ChannelEmail, ChannelPhone, ChannelMail, ChannelInPerson, ChannelAgent, ChannelGPC, ChannelDROP}
}

// Valid reports whether c is one of the channels.
func (c Channel) Valid() bool { return slices.Contains(Channels(), c) }

// Answer is how the answer to a request to know comes: electronically, or by
// mail where the consumer chose that (Civ. Code 1798.130(a)(2)(A)).
type Answer string

// The ways.
const (
	AnswerHere   Answer = ""     // to fetch where the request is
	AnswerByMail Answer = "mail" // on paper, to the postal address that is held
)

// Valid reports whether a is one of the ways.
func (a Answer) Valid() bool { return a == AnswerHere || a == AnswerByMail }

// Subject is who a request is about.
type Subject string

// The subjects. A household has no right of its own (Civ. Code 1798.145(p)).
const (
	PersonSubject    Subject = "person"
	HouseholdSubject Subject = "household"
)

// Correction replaces the value of one disputed field.
type Correction struct {
	Field string // the data category or field name
	Value Secret // the right value
}

// Range is how far back a request to know reaches (11 CCR 7024(h)). The zero
// Range is the law's default.
type Range struct {
	Kind RangeKind
	From Date // for RangeFrom
}

// RangeKind is one way of saying how far back.
type RangeKind string

// The kinds of range.
const (
	RangeDefault RangeKind = ""     // what the regime gives when nothing is said: twelve months under the CCPA
	RangeAll     RangeKind = "all"  // as far back as the law reaches
	RangeFrom    RangeKind = "from" // from a day on
)

// FieldError says what is wrong with one field of a submission and what to do
// about it. It never carries the field's value.
type FieldError struct {
	Field   string // such as "identifiers[0].value"
	Problem string
	Fix     string
}

// Error implements error.
func (e FieldError) Error() string { return e.Field + ": " + e.Problem + "; " + e.Fix }

// FieldErrors is everything that is wrong with a submission, in the order of
// its fields.
type FieldErrors []FieldError

// Error implements error.
func (es FieldErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

func (es *FieldErrors) add(field, problem, fix string) {
	*es = append(*es, FieldError{field, problem, fix})
}

// Validate reports everything that is wrong with s as [FieldErrors], or nil.
func (s Submission) Validate() error {
	_, err := s.Normalize()
	return err
}

// Normalize returns s with defaults filled in and every identifier normalised,
// each once. The error is [FieldErrors] and names everything that is wrong, so
// that a caller is told once.
func (s Submission) Normalize() (Submission, error) {
	var errs FieldErrors
	if len(s.Tenant) > maxCode || !plainText(s.Tenant) {
		errs.add("tenant", "is not a tenant name", fmt.Sprintf("use at most %d bytes of plain text", maxCode))
	}
	if s.Regime == "" || len(s.Regime) > maxCode || !plainText(s.Regime) {
		errs.add("regime", "is missing or not a regime", "name one that is configured, such as us-ca-ccpa")
	}
	if !s.Right.Valid() || s.Right == Appeal && s.Parent == "" {
		errs.add("right", "is missing or unknown", fmt.Sprintf("use one of %v, %s or %s", Rights(), OptInSaleShare, OptInSPI))
	}
	if s.Channel == "" {
		s.Channel = ChannelAPI
	}
	if !isCode(string(s.Channel)) {
		errs.add("channel", "is not a channel", "use a short code of lower-case letters, digits and underscores, such as web")
	}
	switch s.Subject {
	case "":
		s.Subject = PersonSubject
	case PersonSubject:
	case HouseholdSubject: // logged, and refused with a reason (Civ. Code 1798.145(p))
		if s.Right.Valid() && !s.Right.Verifiable() {
			errs.add("subject", "a household can't opt anybody out or in", "send one request for each person")
		}
	default:
		errs.add("subject", "is unknown", "use person")
	}
	s.Identifiers = normalizeIdentifiers(s.Identifiers, &errs)
	s.checkRange(&errs)
	s.checkCorrections(&errs)
	s.checkCase(&errs)
	if s.Right.OptsIn() {
		s.TwoStep = true
	}
	if len(errs) > 0 {
		return Submission{}, errs
	}
	return s, nil
}

func normalizeIdentifiers(ids []Identifier, errs *FieldErrors) []Identifier {
	if len(ids) > MaxIdentifiers {
		errs.add("identifiers", fmt.Sprintf("has %d entries", len(ids)), fmt.Sprintf("send at most %d", MaxIdentifiers))
		return nil
	}
	var out []Identifier
	bad, finds := false, false
	for i, id := range ids {
		normal, err := id.Normalize()
		if err != nil {
			bad = true
			errs.add(fmt.Sprintf("identifiers[%d]", i), "cannot be used", err.Error())
			continue
		}
		finds = finds || normal.Kind != Name
		if !slices.Contains(out, normal) {
			out = append(out, normal)
		}
	}
	switch {
	case bad:
	case len(out) == 0:
		errs.add("identifiers", "is empty", "send at least one, such as an email address")
	case !finds:
		errs.add("identifiers", "has only a name, which other people may share", "add one that is the person's alone, such as an email address")
	}
	return out
}

func (s Submission) checkRange(errs *FieldErrors) {
	if s.Range != (Range{}) && s.Right.Valid() && s.Right != KnowCategories && s.Right != KnowSpecific {
		errs.add("range", "applies to requests to know only", "leave it out")
		return
	}
	switch s.Range.Kind {
	case RangeDefault, RangeAll:
		if !s.Range.From.IsZero() {
			errs.add("range.from", "is set for another kind of range", `leave it out or set range.kind to "from"`)
		}
	case RangeFrom:
		if s.Range.From.IsZero() {
			errs.add("range.from", "is missing", "give the first day as yyyy-mm-dd")
		}
	default:
		errs.add("range.kind", "is unknown", `leave it out, or use "all" or "from"`)
	}
}

func (s Submission) checkCase(errs *FieldErrors) {
	if !s.Requester.Valid() {
		errs.add("requester", "is unknown", "leave it out for the consumer, or use parent, guardian or agent")
	}
	if s.Language != "" && !languageTag.MatchString(s.Language) {
		errs.add("language", "is not a language", "use a tag such as en or es, or leave it out")
	}
	if !s.Answer.Valid() || s.Answer != AnswerHere && !s.Right.Know() {
		errs.add("answer", "is no way for this answer to come", "leave it out, or use mail for a request to know")
	}
	if !s.Minor.Valid() {
		errs.add("minor", "is unknown", "leave it out, or use under_13 or 13_to_15")
	}
	if s.Right == OptInSaleShare && s.Minor == Under13 && s.Requester != ByParent && s.Requester != ByGuardian {
		errs.add("requester", "a child under 13 is opted in by a parent or guardian (Civ. Code 1798.120(c))", "use parent or guardian")
	}
	if len(s.Portions) > 0 && s.Right != Delete {
		errs.add("portions", "applies to requests to delete only", "leave it out")
	}
	for i, letter := range s.Portions {
		if len(letter) != 1 || letter[0] < 'A' || letter[0] > 'L' {
			errs.add(fmt.Sprintf("portions[%d]", i), "is no category", "use a letter from A to L of Civ. Code 1798.140(v)(1)")
		}
	}
	if s.TwoStep && s.Right.Valid() && s.Right != Delete && !s.Right.OptsIn() {
		errs.add("two_step", "applies to requests to delete and to opt in only; an opt-out is one step", "leave it out")
	}
	if s.NewPapers && s.Right != Correct {
		errs.add("new_papers", "applies to requests to correct only", "leave it out")
	}
}

// MaxStatementWords bounds the statement a consumer may leave with one disputed
// item (11 CCR 7023(f)(3)).
const MaxStatementWords = 250

// CheckStatement reports what is wrong with a statement about a disputed field.
// The error is [FieldErrors] and does not repeat the statement.
func CheckStatement(field string, text Secret) error {
	var errs FieldErrors
	if field == "" || len(field) > 200 || !plainText(field) {
		errs.add("field", "is missing or not a field name", "name the disputed field")
	}
	switch n := len(strings.Fields(text.Reveal())); {
	case n == 0:
		errs.add("text", "is empty", "write what the consumer wants said")
	case n > MaxStatementWords:
		errs.add("text", fmt.Sprintf("has %d words", n), fmt.Sprintf("use at most %d for each disputed item (11 CCR 7023(f)(3))", MaxStatementWords))
	case len(text.Reveal()) > maxStatementBytes:
		errs.add("text", "is too long", fmt.Sprintf("use at most %d bytes", maxStatementBytes))
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

const maxStatementBytes = 16 << 10

// maxCorrectionBytes bounds the right value of one field.
const maxCorrectionBytes = 4096

func (s Submission) checkCorrections(errs *FieldErrors) {
	if s.Right != Correct {
		if len(s.Corrections) > 0 {
			errs.add("corrections", "applies to requests to correct only", "leave it out")
		}
		return
	}
	if len(s.Corrections) == 0 || len(s.Corrections) > MaxIdentifiers {
		errs.add("corrections", "is empty or too long", fmt.Sprintf("say what to put right, in 1 to %d entries", MaxIdentifiers))
		return
	}
	for i, c := range s.Corrections {
		field := fmt.Sprintf("corrections[%d]", i)
		if c.Field == "" || len(c.Field) > 200 || !plainText(c.Field) {
			errs.add(field+".field", "is missing or not a field name", "name the field or data category in dispute")
		}
		if v := c.Value.Reveal(); len(v) > maxCorrectionBytes || !plainText(v) {
			errs.add(field+".value", "is too long or not plain text", fmt.Sprintf("use at most %d bytes without control characters", maxCorrectionBytes))
		}
	}
}
