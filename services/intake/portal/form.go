package portal

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

// field is one thing a form asks for.
type field struct {
	Name, Type, Autocomplete string
	// Mode is the keyboard that a phone shows; empty for the type's own.
	Mode  string
	Label string
	// Necessity says why it is asked for (11 CCR 7060(d)).
	Necessity string
	Required  bool
	Value     string
}

// form is one right's page.
type form struct {
	Key, Path      string
	Right          request.Right
	Fields         []field
	Points         []field
	Signature      field
	Declaration    bool
	Range          bool
	Correction     bool
	Corrections    []portion
	Portions       []portion
	Button         string
	IdempotencyKey string
}

// portion is a category of personal information (Civ. Code 1798.140(v)(1)), or
// a field, that can be chosen.
type portion struct{ Letter, Label string }

// portionLetters are the categories a deletion can be limited to.
var portionLetters = []string{"A", "B", "D", "F", "G", "H", "I", "K"}

// correctable are the fields a person can name, as data categories, each with
// the data point it makes disputed.
var correctable = []struct{ name, category, point string }{
	{"name", "user.name", "full_name"},
	{"email", "user.contact.email", ""},
	{"phone", "user.contact.phone_number", "phone"},
	{"street", "user.contact.address.street", ""},
	{"city", "user.contact.address.city", ""},
	{"postal_code", "user.contact.address.postal_code", "postal_code"},
	{"other", "as_described", ""},
}

// forms are the rights in the order in which they are offered.
func (p *Portal) forms(language string) []form {
	w := p.words[language]
	email := field{Name: "email", Type: "email", Autocomplete: "email", Label: w["email"], Necessity: w["email_necessity"], Required: p.Login == nil}
	optional := email
	optional.Necessity, optional.Required = w["email_necessity_optout"], p.Login == nil
	again := optional
	again.Necessity = w["email_necessity_again"]
	if p.byPhone() {
		email.Necessity, email.Required = w["email_necessity_phone"], false
	}
	var points []field
	for _, pt := range p.Verify.Policy.Points {
		point := field{Name: "point_" + pt.Name, Type: "text", Autocomplete: autocomplete(pt.Name), Label: pt.Label[language], Necessity: pt.Necessity[language]}
		if pt.Name == p.Verify.Policy.PhonePoint() {
			point.Type = "tel"
			if p.byPhone() {
				point.Necessity = w["phone_necessity"]
			}
		}
		points = append(points, point)
	}
	signature := field{Name: "declaration", Type: "text", Autocomplete: "name", Label: w["declaration_name"], Necessity: w["declaration_necessity"]}
	known := func(key string, right request.Right, button string) form {
		return form{Key: key, Path: strings.ReplaceAll(key, "_", "-"), Right: right, Fields: []field{email}, Points: points, Signature: signature, Button: button}
	}
	optout := form{Key: "optout", Path: "opt-out", Right: request.OptOutSaleShare, Fields: []field{optional}}
	limit := form{Key: "limit", Path: "limit", Right: request.LimitSPI, Fields: []field{optional}}
	sale := form{Key: "allow_sale", Path: "allow-sale", Right: request.OptInSaleShare, Fields: []field{again}}
	sensitive := form{Key: "allow_sensitive", Path: "allow-sensitive-use", Right: request.OptInSPI, Fields: []field{again}}
	specific := known("know_specific", request.KnowSpecific, "know_button")
	specific.Declaration, specific.Range = true, true
	categories := known("know_categories", request.KnowCategories, "know_button")
	categories.Range = true
	correction := known("correct", request.Correct, "correct_button")
	correction.Correction, correction.Declaration = true, true
	for _, c := range correctable {
		correction.Corrections = append(correction.Corrections, portion{c.name, w["correct_field_"+c.name]})
	}
	remove := known("delete", request.Delete, "delete_all")
	remove.Declaration = true
	for _, letter := range portionLetters {
		remove.Portions = append(remove.Portions, portion{letter, w["portion_"+letter]})
	}
	return []form{optout, limit, specific, categories, remove, correction, sale, sensitive}
}

func autocomplete(point string) string {
	switch point {
	case "postal_code":
		return "postal-code"
	case "phone":
		return "tel"
	case "full_name":
		return "name"
	default:
		return "off"
	}
}

func (p *Portal) form(language, path string) form {
	forms := p.forms(language)
	return forms[slices.IndexFunc(forms, func(f form) bool { return f.Path == path })]
}

// optOutAsks is all that a form without verification may ask for: what finds
// the record (11 CCR 7026(d), 7060(b)).
var optOutAsks = []string{"email", "phone", "customer_number"}

// Check refuses a form that asks for more than it may, or does not say why.
func (f form) Check() error {
	asked := slices.Clone(f.Fields)
	if !f.Right.Verifiable() && (len(f.Points) > 0 || f.Declaration) {
		return fmt.Errorf("form %s: asks for proof; a request to opt out or to limit is never verified (11 CCR 7060(b))", f.Key)
	}
	asked = append(asked, f.Points...)
	if f.Declaration {
		asked = append(asked, f.Signature)
	}
	for _, a := range asked {
		if a.Label == "" || a.Necessity == "" {
			return fmt.Errorf("form %s: field %s: has no label or does not say why it is asked for (11 CCR 7060(d))", f.Key, a.Name)
		}
		if !f.Right.Verifiable() && !slices.Contains(optOutAsks, a.Name) {
			return fmt.Errorf("form %s: field %s: asks for more than finds the record (11 CCR 7026(d))", f.Key, a.Name)
		}
	}
	return nil
}

// names are the form's fields; anything else is refused.
func (f form) names() []string {
	names := []string{"key", "lang"}
	for _, x := range slices.Concat(f.Fields, f.Points) {
		names = append(names, x.Name)
	}
	if f.Declaration {
		names = append(names, f.Signature.Name)
	}
	if f.Range {
		names = append(names, "range", "answer")
	}
	if f.Correction {
		names = append(names, "correction", "correct_field")
	}
	if f.Right == request.Delete {
		names = append(names, "scope", "portion")
	}
	if f.Right.Verifiable() {
		names = append(names, "state")
	}
	return names
}

// onlyKnown reports whether a form holds nothing but what is asked for, in
// reasonable length.
func onlyKnown(values url.Values, names []string) bool {
	for name, list := range values {
		if !slices.Contains(names, name) {
			return false
		}
		for _, value := range list {
			if len(value) > 8000 {
				return false
			}
		}
	}
	return true
}

// pointValues are the data points given, by the name of the policy.
func pointValues(values url.Values, points []verify.Point) map[string]string {
	out := map[string]string{}
	for _, pt := range points {
		if v := strings.TrimSpace(values.Get("point_" + pt.Name)); v != "" && len(v) <= 200 {
			out[pt.Name] = v
		}
	}
	return out
}
