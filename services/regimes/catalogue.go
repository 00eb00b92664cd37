package regimes

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

// Text is what a consumer is told, by language. Every text of a regime exists
// in English and Spanish.
type Text map[string]string

// languages are those every text must exist in.
var languages = []string{"en", "es"}

// In returns the text in a language such as "es", or else in English.
func (t Text) In(language string) string {
	if s := t[language]; s != "" {
		return s
	}
	return t["en"]
}

func (t Text) check() error {
	for _, l := range languages {
		if t[l] == "" {
			return fmt.Errorf("text.%s is required", l)
		}
	}
	return nil
}

// Exception is a basis on which one record may be kept, or held back, although
// the consumer asked (Civ. Code 1798.105(d), 1798.145). It is never a basis to
// refuse a whole request.
type Exception struct {
	Code string `yaml:"code"`
	// Aliases are the names by which connectors report it.
	Aliases  []string        `yaml:"aliases"`
	Citation string          `yaml:"citation"`
	Rights   []request.Right `yaml:"rights"`
	// Needs are the facts that must be given with it, such as [NeedsLegalRef].
	Needs []Need `yaml:"needs"`
	Text  Text   `yaml:"text"`
	// ValidFrom and ValidTo are the days of receipt it may be used for, both
	// included; a zero ValidTo is open.
	ValidFrom request.Date `yaml:"valid_from"`
	ValidTo   request.Date `yaml:"valid_to"`
}

// Denial is a reason to refuse a request, in whole or in part. Those
// with a rule of their own in the program are the codes of [request.DenialCode];
// one code may be there several times, with other words for other rights.
type Denial struct {
	Code     string          `yaml:"code"`
	Citation string          `yaml:"citation"`
	Rights   []request.Right `yaml:"rights"`
	Needs    []Need          `yaml:"needs"`
	// Offers are what the denial must come with.
	Offers    []Offer      `yaml:"offers"`
	Text      Text         `yaml:"text"`
	ValidFrom request.Date `yaml:"valid_from"`
	ValidTo   request.Date `yaml:"valid_to"`
}

// Need is a fact without which an exception or denial cannot be used.
type Need string

// The needs.
const (
	NeedsLegalRef   Need = "legal_ref"  // the statute, order or contract term
	NeedsReference  Need = "reference"  // a case, invoice, incident or warrant number; names nobody
	NeedsUntil      Need = "until"      // the day it ends or is looked at again
	NeedsAssessment Need = "assessment" // a written weighing that can be shown
	NeedsFacts      Need = "facts"      // what happened, told to the consumer
	NeedsApprover   Need = "approver"   // a second person
	NeedsDocument   Need = "document"   // a documented belief, kept with the record
)

// Offer is what comes with a denial.
type Offer string

// The offers.
const (
	OfferCategories Offer = "know_categories" // the request goes on as one for categories (11 CCR 7024(a))
	OfferPolicy     Offer = "policy_link"     // where to read the general practices (7024(b))
	OfferOptOut     Offer = "opt_out"         // to opt out, where the business sells or shares (7022(g))
	OfferFix        Offer = "fix"             // how to put the request right (7020(e))
	OfferAppeal     Offer = "appeal"          // how to appeal
	OfferStatement  Offer = "statement"       // to add a statement (7023(f)(3))
)

// Withheld is a kind of value that is never disclosed in answer to a request
// to know. That it is held is said, in the words of Text (11 CCR 7024(d)).
type Withheld struct {
	Kind string `yaml:"kind"`
	Text Text   `yaml:"text"`
}

var (
	// ErrNeeds says that facts are missing without which a basis cannot be used.
	ErrNeeds = errors.New("facts are missing")
	// ErrAmbiguous says that a name stands for several bases.
	ErrAmbiguous = errors.New("stands for several bases")
)

// Check reports, as [ErrNeeds], which facts that e needs are not in given.
func (e Exception) Check(given map[Need]string) error { return missing(e.Code, e.Needs, given) }

// Check reports, as [ErrNeeds], which facts that d needs are not in given.
func (d Denial) Check(given map[Need]string) error { return missing(d.Code, d.Needs, given) }

func missing(code string, has []Need, given map[Need]string) error {
	var lacks []Need
	for _, n := range has {
		if strings.TrimSpace(given[n]) == "" {
			lacks = append(lacks, n)
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("%s needs %v: %w", code, lacks, ErrNeeds)
	}
	return nil
}

var (
	codeShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
	needs     = []Need{NeedsLegalRef, NeedsReference, NeedsUntil, NeedsAssessment, NeedsFacts, NeedsApprover, NeedsDocument}
	offers    = []Offer{OfferCategories, OfferPolicy, OfferOptOut, OfferFix, OfferAppeal, OfferStatement}
)

// IsFact reports whether n is something that is told in words when a basis is
// claimed; an end is a day.
func IsFact(n Need) bool { return slices.Contains(needs, n) && n != NeedsUntil }

// checkCatalogues reports what does not hold in the lists of codes.
func (r *regime) checkCatalogues() error {
	var errs []error
	seen := make(map[string]bool)
	for i, e := range r.Exceptions {
		err := errors.Join(checkEntry(seen, e.Code, e.Citation, e.Rights, e.Needs, e.Text), checkSpan(e.ValidFrom, e.ValidTo))
		if err != nil {
			errs = append(errs, fmt.Errorf("exceptions[%d] %s: %w", i, e.Code, err))
		}
	}
	for i, e := range r.Outside {
		err := errors.Join(checkEntry(seen, e.Code, e.Citation, e.Rights, e.Needs, e.Text), checkSpan(e.ValidFrom, e.ValidTo))
		if err != nil {
			errs = append(errs, fmt.Errorf("outside[%d] %s: %w", i, e.Code, err))
		}
	}
	clear(seen)
	for i, d := range r.Denials {
		err := errors.Join(checkEntry(seen, d.Code, d.Citation, d.Rights, d.Needs, d.Text), checkSpan(d.ValidFrom, d.ValidTo))
		for _, o := range d.Offers {
			if !slices.Contains(offers, o) {
				err = errors.Join(err, fmt.Errorf("offers: %q is none of %v", o, offers))
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("denials[%d] %s: %w", i, d.Code, err))
		}
	}
	if r.NeverDisclose != nil {
		err := checkRule(r, *r.NeverDisclose, func(list []Withheld) bool {
			return len(list) > 0 && !slices.ContainsFunc(list, func(w Withheld) bool {
				return !codeShape.MatchString(w.Kind) || w.Text.check() != nil
			})
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("never_disclose: %w", err))
		}
	}
	return errors.Join(errs...)
}

func checkEntry(seen map[string]bool, code, citation string, rights []request.Right, has []Need, text Text) error {
	switch {
	case !codeShape.MatchString(code):
		return errors.New("code: want letters, digits, _ and -, at most 64")
	case citation == "" || len(rights) == 0:
		return errors.New("citation and rights are required")
	}
	for _, right := range rights {
		if !right.Valid() {
			return fmt.Errorf("unknown right %q", right)
		}
		if seen[code+" "+string(right)] {
			return fmt.Errorf("is there twice for %s", right)
		}
		seen[code+" "+string(right)] = true
	}
	for _, n := range has {
		if !slices.Contains(needs, n) {
			return fmt.Errorf("needs: %q is none of %v", n, needs)
		}
	}
	return text.check()
}

func checkSpan(from, to request.Date) error {
	if from.IsZero() || !to.IsZero() && to.Before(from) {
		return errors.New("valid_from is required, and valid_to is not before it")
	}
	return nil
}

func within(day, from, to request.Date) bool {
	return !day.Before(from) && (to.IsZero() || !day.After(to))
}

// Exceptions returns the bases that may be used for a record when right was
// asked for on the day of these rules.
func (r Rules) Exceptions(right request.Right) []Exception {
	return inForce(r, r.regime.Exceptions, right)
}

// Exception returns the basis of a code. Errors are [ErrUnknown] when the
// regime has no such basis for the right and [ErrNotInForce] when it had one
// and it has ended, or not begun.
func (r Rules) Exception(right request.Right, code string) (Exception, error) {
	return find(r, "exception", r.regime.Exceptions, right, code)
}

// Catalogued reports whether the regime's file lists the bases for keeping a
// record at all. Where it lists none, nothing can be held against it.
func (r Rules) Catalogued() bool { return len(r.regime.Exceptions) > 0 }

// Basis returns what a connector means by a name: the code of an exception or
// one of its aliases, or a reason for which the right does not reach a record at
// all, with outside true. Errors are those of [Rules.Exception], and
// [ErrAmbiguous] with the codes that the name may stand for.
func (r Rules) Basis(right request.Right, name string) (e Exception, outside bool, err error) {
	var found []Exception
	ended := error(nil)
	look := func(list []Exception, out bool) {
		for _, x := range list {
			switch {
			case x.Code != name && !slices.Contains(x.Aliases, name) || !slices.Contains(x.Rights, right):
			case !within(r.day, x.ValidFrom, x.ValidTo):
				ended = fmt.Errorf("exception %s of regime %s on %s (%s): %w", x.Code, r.regime.ID, r.day, x.Citation, ErrNotInForce)
			default:
				found, outside = append(found, x), out
			}
		}
	}
	look(r.regime.Exceptions, false)
	look(r.regime.Outside, true)
	switch {
	case len(found) == 1:
		return found[0], outside, nil
	case len(found) > 1:
		codes := make([]string, len(found))
		for i, x := range found {
			codes[i] = x.Code
		}
		return Exception{}, false, fmt.Errorf("%q %w: %s", name, ErrAmbiguous, strings.Join(codes, ", "))
	case ended != nil:
		return Exception{}, false, ended
	}
	return Exception{}, false, fmt.Errorf("exception %q for %s in regime %s: %w", name, right, r.regime.ID, ErrUnknown)
}

// Denials returns the reasons for which a request for right may be refused.
func (r Rules) Denials(right request.Right) []Denial {
	return inForce(r, r.regime.Denials, right)
}

// Denial returns the reason of a code. Errors are those of [Rules.Exception].
func (r Rules) Denial(right request.Right, code string) (Denial, error) {
	return find(r, "denial", r.regime.Denials, right, code)
}

// An entry of a catalogue is for some rights, and for receipts of some days.
type entry interface {
	about() (code, citation string, rights []request.Right, from, to request.Date)
}

func (e Exception) about() (code, citation string, rights []request.Right, from, to request.Date) {
	return e.Code, e.Citation, e.Rights, e.ValidFrom, e.ValidTo
}

func (d Denial) about() (code, citation string, rights []request.Right, from, to request.Date) {
	return d.Code, d.Citation, d.Rights, d.ValidFrom, d.ValidTo
}

// inForce are the entries for a right on the day of the rules.
func inForce[E entry](r Rules, all []E, right request.Right) []E {
	var list []E
	for _, e := range all {
		if _, _, rights, from, to := e.about(); slices.Contains(rights, right) && within(r.day, from, to) {
			list = append(list, e)
		}
	}
	return list
}

// find is the first entry of a code for a right, which must be in force.
func find[E entry](r Rules, what string, all []E, right request.Right, code string) (E, error) {
	var none E
	for _, e := range all {
		of, citation, rights, from, to := e.about()
		if of != code || !slices.Contains(rights, right) {
			continue
		}
		if !within(r.day, from, to) {
			return none, fmt.Errorf("%s %s of regime %s on %s (%s): %w", what, code, r.regime.ID, r.day, citation, ErrNotInForce)
		}
		return e, nil
	}
	return none, fmt.Errorf("%s %q for %s in regime %s: %w", what, code, right, r.regime.ID, ErrUnknown)
}

// NeverDisclose returns the kinds of value that no answer to a request to know
// may hold; nil when the regime names none.
func (r Rules) NeverDisclose() []Withheld {
	if r.regime.NeverDisclose == nil {
		return nil
	}
	return at(r.regime.NeverDisclose.Values, r.day)
}
