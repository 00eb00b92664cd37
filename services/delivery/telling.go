package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Practices is what the company tells people of the categories it collects
// (Civ. Code 1798.110(a)(2)-(3)), in the language of the order.
type Practices interface {
	// At returns what applies to a category that was found in a store; none
	// when nothing was written down for it.
	At(category, connector, store string) []Practice
}

// Practice is where a category comes from and what it is for. The lists are
// read by people.
type Practice struct {
	Sources      []string // categories of sources
	Purposes     []string // of collecting
	SalePurposes []string // of selling or sharing
}

// Sense is in which sense of the law a category was given away.
type Sense string

// The senses (Civ. Code 1798.140(e), (ad), (ah)).
const (
	ForBusiness Sense = "business_purpose"
	Sold        Sense = "sold"
	Shared      Sense = "shared"
)

// Disclosure is a category of this person's that went to somebody within the
// range (Civ. Code 1798.115).
type Disclosure struct {
	Category string // statutory letter
	// To is the category of persons it went to, as the person reads it, and
	// ThirdParty says that those are no service providers or contractors.
	To         string
	ThirdParty bool
	Sense      Sense
	Purpose    string
}

// NoteKind is why something held is not in the package.
type NoteKind string

// The kinds of notes.
const (
	NoteWithheld    NoteKind = "withheld"     // may not be disclosed (11 CCR 7024(d), (e))
	NoteKept        NoteKind = "kept"         // held for another company or under a basis of its own
	NoteNotSearched NoteKind = "not_searched" // not searched, on the conditions of 11 CCR 7024(c)
	NoteOutOfRange  NoteKind = "out_of_range" // older than the range (11 CCR 7024(h))
)

// Note tells the person of something that is not in the package.
type Note struct {
	Kind             NoteKind
	Connector, Store string   // where; both may be empty
	Categories       []string // statutory letters
	Count            int64    // records, when known
	Reason           string   // in plain words; names nobody
	Basis            string   // the rule relied on, such as "11 CCR 7024(c)"
	Until            time.Time
}

// Missing is a connector whose answer is not in the package.
type Missing struct {
	Connector string
	// State is how its job stands, such as "failed" or "sent".
	State string
	// Reason is told to the person; it names nobody.
	Reason string
}

// Statement is what the person wants said about a disputed field, in at most
// 250 words (11 CCR 7023(f)(3)). It goes where the field goes.
type Statement struct {
	Field string
	Text  request.Secret
}

// Withholding leaves a field, or all of them, out of a store's records under an
// exception; the rest is disclosed and the person is told (11 CCR 7024(e)).
type Withholding struct {
	Connector, Store string
	Field            string            // all fields when empty
	When             map[string]string // fields with their values a record must have
	What             string            // what it is, without telling it
	Reason, Basis    string            // why, and the rule
}

// checkTelling names the first thing that is missing.
func (o *Order) checkTelling() error {
	for i, d := range o.Disclosures {
		if !validLetter.MatchString(d.Category) || d.To == "" || d.Sense != ForBusiness && d.Sense != Sold && d.Sense != Shared {
			return fmt.Errorf("order: Disclosures[%d]: want a statutory letter, To and a Sense", i)
		}
	}
	for i, w := range o.Withholdings {
		if w.Connector == "" || w.Store == "" || w.What == "" || w.Basis == "" {
			return fmt.Errorf("order: Withholdings[%d]: want Connector, Store, What and Basis", i)
		}
	}
	if o.CategoriesOnly && len(o.Statements) > 0 {
		return errors.New("order: Statements: a report of categories has no items they could belong to")
	}
	return nil
}
