package delivery

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/proto/wire"
)

// Order asks for one package. Nothing in it is personal but Identity.
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
	// CategoriesOnly makes a report of categories, without specific pieces.
	CategoriesOnly bool
	// Practices say where categories come from and go to (11 CCR 7024(k)).
	Practices []Practice
	// Notes say what is not in the package although it is held, and why.
	Notes []Note
	// Missing are connectors that gave no answer, or not the whole of it.
	Missing []Missing
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

// Located is how many records one store holds.
type Located struct {
	Connector, Store string
	// Categories are the statutory letters of these records: one when they were
	// counted by category, else all that the manifest gives for the store.
	Categories []string
	Count      int64
}

// Practice is what the company does with one category (11 CCR 7024(k)).
type Practice struct {
	Category    string   // statutory letter
	Sources     []string // categories of sources
	Purposes    []string // business or commercial purposes
	SoldTo      []string // categories of third parties it was sold to or shared with
	DisclosedTo []string // categories of persons it was disclosed to for a business purpose
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
	return nil
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
