package delivery

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
)

// Order asks for one package. Personal in it are Statements, Masked and Own alone.
type Order struct {
	// RequestID is the request that the package answers.
	RequestID string
	// Regime and Right are those of the request, such as "us-ca-ccpa" and
	// "know_specific".
	Regime, Right string
	// ReceivedAt is when the request was received.
	ReceivedAt time.Time
	// Since is where the look-back range begins; zero is everything.
	Since time.Time
	// Parts are the sealed export parts of all connectors.
	Parts []Part
	// Located are the counts that a report of categories is made of, and those
	// of stores that hold something and export nothing.
	Located []Located
	// Finer are the data categories that are declared of each store, such as
	// user.contact.email, so that the person learns what a category of the law
	// means for her (11 CCR 7024(l)).
	Finer map[Place][]string
	// CategoriesOnly makes a report of categories, without specific pieces.
	CategoriesOnly bool
	// Practices say where categories come from and what they are for, and
	// Disclosures where they went (11 CCR 7024(k)). A nil Practices, like a
	// false Recorded, says that nobody wrote it down: then the report does not
	// say either that nothing was sold or disclosed.
	Practices   Practices
	Disclosures []Disclosure
	Recorded    bool
	// Notes say what is not in the package although it is held, and why.
	Notes []Note
	// Missing are connectors that gave no answer, or not the whole of it.
	Missing []Missing
	// Statements are what the person wants said about disputed fields.
	Statements []Statement
	// Withholdings are left out of the records under exceptions.
	Withholdings []Withholding
	// Masked are words that stand for others, which somebody found when they looked at
	// an earlier copy; they are masked wherever they stand.
	Masked []string
	// FindTexts asks where texts are ([Result.Texts]).
	FindTexts bool
	// NamesOthers are the fields that name others than the person.
	NamesOthers []NamesOthers
	// Own are the person's identifiers; addresses, numbers and names of others
	// are not disclosed (Civ. Code 1798.145(k)).
	Own []request.Identifier
	// Language is that of the report, such as "es"; see [Languages].
	Language string
	// Identity opens the parts.
	Identity age.Identity
	// Recipient is whom the package is encrypted to; nil means Identity's own,
	// when that is an X25519 identity.
	Recipient age.Recipient
}

// Part is one sealed export part, as the connector's signed record gives it.
type Part struct {
	Connector string
	// Object is the name in the connector's export bucket.
	Object string
	// Store is the store the records are of.
	Store string
	// Categories are the statutory letters the manifest gives for the store.
	Categories []string
	// Records is how many records it holds.
	Records int64
	// Size and SHA256 are those of the sealed bytes.
	Size   int64
	SHA256 [sha256.Size]byte
	// Withheld are the types of items the connector withheld.
	Withheld []string
}

// Place is one category in one store.
type Place struct {
	Connector, Store string
	Category         string // statutory letter
}

// Located is how many records one store holds.
type Located struct {
	Connector, Store string
	// Categories are the statutory letters of these records: one when they were
	// counted by category, else all that the manifest gives for the store.
	Categories []string
	Count      int64
}

var (
	validRequestID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	validLetter    = regexp.MustCompile(`^[A-Z]$`)
)

// check names the first field of an order that is missing or wrong.
func (o *Order) check() error {
	if !validRequestID.MatchString(o.RequestID) {
		return errors.New("order: RequestID: want letters, digits, - and _, at most 64")
	}
	if o.ReceivedAt.IsZero() {
		return errors.New("order: ReceivedAt is missing")
	}
	if o.CategoriesOnly && len(o.Parts) > 0 {
		return errors.New("order: Parts: a report of categories has no specific pieces")
	}
	if len(o.Parts) > 0 && o.Identity == nil {
		return errors.New("order: Identity: the parts cannot be opened without it")
	}
	for i, p := range o.Parts {
		if err := wire.CheckName(p.Connector); err != nil {
			return fmt.Errorf("order: Parts[%d].Connector: %w", i, err)
		}
		if p.Object == "" || p.Store == "" || p.Records < 0 || p.Size <= 0 {
			return fmt.Errorf("order: Parts[%d] of %s: Object, Store and Size are required and Records is not negative", i, p.Connector)
		}
		if err := checkLetters(p.Categories); err != nil {
			return fmt.Errorf("order: Parts[%d] of %s: %w", i, p.Connector, err)
		}
	}
	for i, l := range o.Located {
		if err := checkLetters(l.Categories); err != nil || l.Connector == "" || l.Store == "" || l.Count < 0 {
			return fmt.Errorf("order: Located[%d]: want Connector, Store, statutory letters and a count", i)
		}
	}
	return o.checkTelling()
}

func checkLetters(letters []string) error {
	for _, l := range letters {
		if l != "" && !validLetter.MatchString(l) {
			return errors.New("field Categories: want statutory letters")
		}
	}
	return nil
}

// recipient is whom the package is encrypted to.
func (o *Order) recipient() (age.Recipient, error) {
	if o.Recipient != nil {
		return o.Recipient, nil
	}
	if own, ok := o.Identity.(interface{ Recipient() *age.X25519Recipient }); ok {
		return own.Recipient(), nil
	}
	return nil, errors.New("order: Recipient is missing, and Identity is not an X25519 identity")
}

// distinctParts drops repetitions: outcomes are delivered at least once. Two
// different parts under one name are an error.
func distinctParts(parts []Part) ([]Part, error) {
	type key struct{ connector, object string }
	seen := map[key]Part{}
	var distinct []Part
	for _, p := range parts {
		k := key{p.Connector, p.Object}
		if before, ok := seen[k]; ok {
			if before.SHA256 != p.SHA256 || before.Store != p.Store || before.Size != p.Size || before.Records != p.Records {
				return nil, &PartError{Connector: p.Connector, Object: p.Object, Err: errors.New("named twice, with different content")}
			}
			continue
		}
		seen[k] = p
		distinct = append(distinct, p)
	}
	return distinct, nil
}
