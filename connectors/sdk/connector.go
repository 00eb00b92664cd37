package sdk

import (
	"context"
	"time"
)

// A Connector finds one person's records in one system.
//
// Methods may be called concurrently and more than once for the same person:
// jobs are delivered at least once. They stop when ctx is cancelled.
type Connector interface {
	// Locate counts the person's records, store by store. It changes nothing.
	// Somebody the system does not know is not an error: Locate returns
	// nil, nil. Records older than [Person.Since] are left out when it is set.
	Locate(ctx context.Context, p Person) ([]Found, error)
}

// An Eraser is a Connector whose system can forget.
type Eraser interface {
	Connector
	// Erase removes every record that Locate counts for p, except those it
	// marks Keep; of those it removes what the basis for keeping does not
	// need. Erasing somebody who is already erased succeeds. What was erased
	// is not reported: the runtime locates before and after, and believes that.
	Erase(ctx context.Context, p Person) error
}

// An Exporter is a Connector whose system can be copied from.
type Exporter interface {
	Connector
	// Export writes every record that Locate counts for p to w, one at a time,
	// in memory that does not grow with their number. Items that may never be
	// disclosed (11 CCR 7024(d)) are written as [Withheld].
	Export(ctx context.Context, p Person, w RecordWriter) error
}

// A Corrector is a Connector whose system can put a wrong field right.
type Corrector interface {
	Connector
	// Correct applies the corrections to every record of p that has the field.
	// Applying the same corrections twice is the same as once.
	Correct(ctx context.Context, p Person, corrections []Correction) error
}

// A CorrectionReader is a Corrector that can tell whether corrections are in
// force. The runtime believes this, and not that Correct returned. A Corrector
// that is none must be an [Exporter]: the runtime then reads the fields off an
// export, by name.
type CorrectionReader interface {
	Corrector
	// Corrected counts, over all records of p, the fields that the corrections
	// name: how many the system holds, and how many of those have another value
	// than the right one.
	Corrected(ctx context.Context, p Person, corrections []Correction) (held, wrong int64, err error)
}

// A Limiter is a Connector whose system can limit the use of sensitive personal
// information to what the law permits.
type Limiter interface {
	Connector
	// LimitSPI limits the use and disclosure of the person's sensitive personal
	// information to the purposes of 11 CCR 7027(m) (Civ. Code 1798.121). It
	// succeeds for a person the system does not know yet by remembering the
	// choice, and it is never conditional on a verified identity (11 CCR
	// 7060(b)).
	LimitSPI(ctx context.Context, p Person) error
	// LimitedSPI reports whether the choice is in force for every identifier of
	// p that the system accepts. The runtime calls it after LimitSPI.
	LimitedSPI(ctx context.Context, p Person) (bool, error)
}

// A LimitLifter is a [Limiter] whose system can take a limit back.
type LimitLifter interface {
	Limiter
	// LiftLimit lets the person's sensitive personal information be used again,
	// after the person allowed it in two steps (11 CCR 7028). What the limit
	// withdrew need not be made anew. It lifts the choice for the identifiers of p
	// and for what is the person's alone; an opt-out stays as it is. Lifting the
	// limit of somebody who has none succeeds. The runtime then asks LimitedSPI of
	// each identifier alone, which must say no.
	LiftLimit(ctx context.Context, p Person) error
}

// Scoped is a Connector that can leave single stores of a person alone: Erase
// touches no store that [Person.Covers] says no to. One that is not Scoped is
// never asked to erase only a part.
type Scoped interface {
	Connector
	// Scopes reports whether the system, as it is configured, can.
	Scopes() bool
}

// An OptOuter is a Connector whose system can stop selling or sharing.
type OptOuter interface {
	Connector
	// OptOut stops the sale and sharing of the person's data from this system
	// (Civ. Code 1798.120) and, where the system is a device graph, of every
	// device and profile tied to the person (11 CCR 7025(c)(1)). It succeeds
	// for a person the system does not know yet by remembering the choice, and
	// it is never conditional on a verified identity (11 CCR 7060(b)).
	OptOut(ctx context.Context, p Person) error
	// OptedOut reports whether the choice is in force for every identifier of
	// p that the system accepts. The runtime calls it after OptOut.
	OptedOut(ctx context.Context, p Person) (bool, error)
}

// A StandingTeller is an [OptOuter] that can tell, store by store, how far an opt-out
// is in force. The runtime asks it before it makes the choice again, so that the
// outcome says what the choice had not reached: what the system has linked to the
// person since.
type StandingTeller interface {
	OptOuter
	// OptOutStanding counts the person's records that an opt-out of theirs reaches. It
	// changes nothing.
	OptOutStanding(ctx context.Context, p Person) ([]Standing, error)
}

// Standing is how far a choice is in force in one store.
type Standing struct {
	// Store is the store, as in the manifest.
	Store string
	// InForce and Open are the records in which the choice is in force and in which
	// it is not.
	InForce, Open int64
}

// A Resumer is an [OptOuter] whose system can take an opt-out back.
type Resumer interface {
	OptOuter
	// OptIn lets the sale and sharing of the person's data go on, after the
	// person allowed it again in two steps (11 CCR 7028). What the opt-out
	// withdrew need not be made anew. It lifts the choice for the identifiers of
	// p and for what is the person's alone; what they share with others and did
	// not name stays opted out. Opting in somebody who is not opted out succeeds. The runtime then
	// asks OptedOut of each identifier alone, which must say no.
	OptIn(ctx context.Context, p Person) error
}

// A Resolver is a Connector that knows further identifiers of a person.
type Resolver interface {
	Connector
	// Resolve returns the identifiers the system ties to p, of the kinds the
	// manifest says it yields. Identifiers shared with other people are left
	// out: a wrong link would erase a stranger.
	Resolve(ctx context.Context, p Person) ([]Identifier, error)
}

// A BatchLocator can look for many people in one pass.
//
// It is for systems where one pass costs what one person costs: a lake of
// files, an API with a daily quota.
type BatchLocator interface {
	Connector
	// LocateBatch returns one result for each of people, in their order.
	LocateBatch(ctx context.Context, people []Person) ([][]Found, error)
}

// A BatchEraser can erase many people in one pass.
type BatchEraser interface {
	BatchLocator
	Eraser
	// EraseBatch erases each of people as Erase would and returns one error
	// for each, in their order; nil means all succeeded.
	EraseBatch(ctx context.Context, people []Person) []error
}

// Found is what Locate saw in one store.
type Found struct {
	// Store names a table, a collection or an API resource, as in the manifest.
	Store string
	// Category is the CCPA letter of these records when the store mixes
	// several (Civ. Code 1798.140(v)(1)); empty means all that the manifest
	// declares for the store.
	Category string
	// Count is the number of records of this person's, at least 1.
	Count int64
	// Keep is set when the law wants these records kept; nil means they can go.
	Keep *Keep
}

// Keep says why records stay and until when.
type Keep struct {
	// Basis is the code of the exception, for example
	// "ccpa-1798.105(d)(8)". See proto/README.md for the closed list.
	Basis string
	// Until is the day the basis ends, in UTC.
	Until time.Time
	// Facts are what the basis needs to hold; without them the coordinator may
	// not take the records as kept by law.
	Facts Facts
}

// Facts are what a basis for keeping needs. They say why records of a kind are
// kept, and nothing of any person. Which basis needs which, the catalogue of the
// law says.
type Facts struct {
	// LegalRef is the statute, order or contract term.
	LegalRef string `json:"legal_ref,omitempty" yaml:"legal_ref"`
	// Reference is a case, an invoice series, an incident or a warrant.
	Reference string `json:"reference,omitempty" yaml:"reference"`
	// Assessment is where a written weighing is kept that can be shown.
	Assessment string `json:"assessment,omitempty" yaml:"assessment"`
	// Facts are what happened, as the consumer is told.
	Facts string `json:"facts,omitempty" yaml:"facts"`
}

// named gives the facts under the names of the contract; nil for none.
func (f Facts) named() map[string]string {
	var out map[string]string
	for name, text := range map[string]string{"legal_ref": f.LegalRef, "reference": f.Reference, "assessment": f.Assessment, "facts": f.Facts} {
		if text == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = text
	}
	return out
}

// Correction replaces the value of one field.
type Correction struct {
	// Field is the data category or field name the person disputes.
	Field string
	// Value is the right value. It is personal data: it redacts itself.
	Value Secret
}

// RecordWriter takes the records of an export.
type RecordWriter interface {
	// Write adds one record. It returns an error when the export can't go on;
	// Export then returns that error.
	Write(ctx context.Context, r Record) error
}

// Record is one exported record.
type Record struct {
	// Store is the store the record was located in.
	Store string
	// Category is the CCPA letter, or empty as in [Found].
	Category string
	// Fields are the record's fields in the order a reader should see them.
	Fields []Field
}

// Field is one named value of a record.
type Field struct {
	// Name is the field's name in its system.
	Name string
	// Value is nil, a string, a bool, an integer, a float, a time.Time,
	// json.RawMessage for nested data, [Document], or [Withheld].
	Value any
}

// Document is a file as the value of a field: a letter, a scan. The person gets
// it as a file of her package. It must be of a type that the package knows:
// text/plain in UTF-8, or application/pdf.
type Document struct {
	// MediaType says what it is.
	MediaType string
	// Content is the file.
	Content []byte
	// Text is what can be read in a PDF; it is searched for items that may never
	// be disclosed (11 CCR 7024(d)), and the file is withheld when there are any.
	Text string
}

// Withheld stands in an export for an item that may never be disclosed
// (11 CCR 7024(d)); it names the type of the item, such as
// "driver's licence number", so that the person learns it was collected.
type Withheld string
