package tenant

import (
	"fmt"
	"regexp"
	"strings"
)

// explained is the least length of an explanation that explains anything.
const explained = 60

// recipients looks whether the disclosure ledger can be kept from the file, and
// whether everybody in it can be told.
func (l *linter) recipients() {
	ids := map[string]bool{}
	for i := range l.Vendors {
		v, at := &l.Vendors[i], item("vendors", i)
		if v.ID == "" && len(v.Gets)+len(v.Gives) > 0 {
			l.error(place{at, v.Line}, "VN-1", "11 CCR 7022(b)", v.Name+" gets or gives data and has no id for the ledger", "Give it a short one that never changes")
		}
		if v.ID != "" && (!vendorID.MatchString(v.ID) || ids[v.ID]) {
			l.error(place{path: at + ".id"}, "VN-1", "11 CCR 7022(b)", fmt.Sprintf("%.40q is no id, or is another's", v.ID), "Use small letters, digits and -, and each once")
		}
		ids[v.ID] = true
		for k := range v.Gets {
			l.flow(v, item(at+".gets", k), &v.Gets[k])
		}
		for k := range v.Gives {
			l.supply(v, item(at+".gives", k), &v.Gives[k])
		}
		l.tell(v, at+".tell")
	}
}

var vendorID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func (l *linter) flow(v *Vendor, at string, f *Flow) {
	here := place{path: at}
	const citation = "Civ. Code 1798.110, 1798.115; 11 CCR 7024(k)"
	if f.From == "" || len(f.Categories) == 0 || strings.TrimSpace(f.Purpose) == "" || f.Since.IsZero() {
		l.error(here, "KN-1", citation, v.Name+" gets data, and from where, which categories, for what or since when is missing", "Fill in from, categories, purpose and since")
	}
	for _, letter := range f.Categories {
		if len(letter) != 1 || letter < "A" || letter > "L" {
			l.error(here, "KN-1", "Civ. Code 1798.140(v)(1), (ae)", fmt.Sprintf("%.20q is no category", letter), "Use a statutory letter, A to L")
		}
	}
	if !f.As.Valid() {
		l.error(here, "KN-1", citation, fmt.Sprintf("%.40q is no way to give data away", f.As), "Use business_purpose, sold or shared")
	}
	if !f.Until.IsZero() && f.Until.Before(f.Since) {
		l.error(here, "KN-1", citation, "it ends before it begins", "Put since and until right")
	}
	if role := v.Counts(); (role == ServiceProvider || role == Contractor) && (f.As == Sold || f.As == Shared) {
		l.error(here, "VN-2", "Civ. Code 1798.140(ag)(1)(A), (j)(1)(A)", v.Name+" is a "+roleWords(v.Role)+", to whom nothing may be sold or shared", "Call it a third party, or say business_purpose when that is what it is")
	}
}

// supply looks at what a source gives.
func (l *linter) supply(v *Vendor, at string, s *Supply) {
	here := place{path: at}
	if s.To == "" || len(s.Categories) == 0 || s.Since.IsZero() {
		l.error(here, "CO-1", "11 CCR 7023(i)", v.Name+" gives data, and to which system, which categories or since when is missing", "Fill in to, categories and since")
	}
	for _, letter := range s.Categories {
		if len(letter) != 1 || letter < "A" || letter > "L" {
			l.error(here, "CO-1", "Civ. Code 1798.140(v)(1), (ae)", fmt.Sprintf("%.20q is no category", letter), "Use a statutory letter, A to L")
		}
	}
	if !s.Until.IsZero() && s.Until.Before(s.Since) {
		l.error(here, "CO-1", "11 CCR 7023(i)", "it ends before it begins", "Put since and until right")
	}
	if t := v.Tell; t.Connector == "" && t.Email == "" && t.Webhook == "" && len(v.Gets) == 0 {
		l.warn(here, "CO-1", "11 CCR 7023(i)", "nobody can tell "+v.Name+" that what it gave was wrong: people are told its name alone", "Name an email or a webhook under tell, with identifiers")
	} else if t.Connector == "" && len(t.Identifiers) == 0 && len(v.Gets) == 0 {
		l.error(here, "CO-1", "11 CCR 7023(i)", "nothing says by what "+v.Name+" knows people", "List the kinds under identifiers, such as email")
	}
}

func roleWords(r VendorRole) string { return strings.ReplaceAll(string(r), "_", " ") }

func (l *linter) tell(v *Vendor, at string) {
	here, t := place{path: at}, v.Tell
	row := "DE-3"
	if v.Counts() == ThirdParty {
		row = "DE-4"
	}
	if t.Cannot != nil {
		switch {
		case v.Counts() != ThirdParty:
			l.error(place{path: at + ".cannot"}, row, "11 CCR 7022(b)(2)", v.Name+" is a "+roleWords(v.Role)+", which is told always", "Take it out, and say how it is told")
		case t.Cannot.Why != Impossible && t.Cannot.Why != Disproportionate:
			l.error(place{path: at + ".cannot"}, row, "11 CCR 7022(b)(3)", fmt.Sprintf("%.40q is no reason not to tell a third party", t.Cannot.Why), "Use impossible or disproportionate")
		case len(strings.TrimSpace(t.Cannot.Explanation)) < explained:
			l.error(place{path: at + ".cannot"}, row, "11 CCR 7022(b)(3)", "the explanation to the consumer explains nothing", "Write the facts: who holds what, and what telling them would take")
		}
		return
	}
	if len(v.Gets) == 0 {
		return
	}
	if t.Connector == "" && t.Email == "" && t.Webhook == "" {
		l.error(here, row, "11 CCR 7022(b)-(c), 7026(f)", "nobody can tell "+v.Name+" of a deletion or an opt-out", "Name a connector, an email or a webhook")
	}
	if t.Webhook != "" && !strings.HasPrefix(t.Webhook, "https://") {
		l.error(place{path: at + ".webhook"}, row, "Civ. Code 1798.100(e)", "identifiers would travel in clear", "Use https")
	}
	if t.Connector == "" && len(t.Identifiers) == 0 {
		l.error(here, row, "11 CCR 7022(b)-(c), 7026(f)", "nothing says by what "+v.Name+" knows people", "List the kinds under identifiers, such as email")
	}
}
