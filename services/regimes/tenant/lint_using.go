package tenant

import (
	"fmt"
	"slices"
	"strings"
)

// optOut looks at the ways to opt out and what they do.
func (l *linter) optOut() {
	if !l.SellsOrShares {
		return
	}
	o := l.OptOut
	at := place{"opt_out.methods", o.Line}
	// None of these is a way to opt out by itself.
	proper := slices.DeleteFunc(slices.Clone(o.Methods), func(m string) bool { return m == "banner" || m == "industry_page" || m == "phone" })
	switch {
	case len(proper) == 0:
		only := "none"
		if len(o.Methods) > 0 {
			only = strings.Join(o.Methods, ", ")
		}
		l.error(at, "OO-7", "11 CCR 7026(a)(4); PlayOn (2026)", "the ways to opt out are not enough: "+only, "Honour the signal and have a link of your own that opts out in one step")
	case len(o.Methods) < 2:
		l.error(at, "OO-7", "11 CCR 7026(a)(1)", "there is one way to opt out and there have to be two", "Honour the signal and have a link")
	}
	if l.rules.Duties().Signal && !slices.Contains(o.Methods, "gpc") {
		l.error(at, "OO-1", "11 CCR 7025(b)-(c), 7026(a)(1)", "Global Privacy Control is not honoured", "Add gpc")
	}
	for _, what := range []string{"sale", "sharing"} {
		if !slices.Contains(o.Covers, what) {
			l.error(place{"opt_out.covers", o.Line}, "CL-5", "Civ. Code 1798.120, 1798.140(ah)", "an opt-out does not cover "+what, "Cover sale and sharing")
		}
	}
	if !o.ShowStatus {
		l.error(place{"opt_out.show_status", o.Line}, "OO-2", "11 CCR 7025(c)(6), 7026(g)", "people can't see that their opt-out was honoured", "Show it")
	}
	if o.ReaskMonths < 12 {
		l.error(place{"opt_out.reask_months", o.Line}, "OO-6", "Civ. Code 1798.135(c)(4); 11 CCR 7026(k)", "people may be asked to opt in again before twelve months are over", "Set it to 12 or more")
	}
}

// vendors looks for contracts. A vendor without one is a third party, and what
// it gets is sold or shared.
func (l *linter) vendors() {
	for i, v := range l.Vendors {
		at := place{item("vendors", i), v.Line}
		switch {
		case v.Role != "" && !slices.Contains([]VendorRole{ServiceProvider, Contractor, ThirdParty}, v.Role):
			l.error(at, "VN-1", "11 CCR 7051, 7053", fmt.Sprintf("%s: %q is no role", v.Name, v.Role), "Use service_provider, contractor or third_party")
		case v.Contract == "" && v.Role != ThirdParty && v.Role != "":
			l.error(at, "VN-2", "11 CCR 7050(e), 7051(c)", v.Name+" has no contract that is named, so it counts as a third party", "Name the contract, or call it what it is")
		case v.Contract == "" && (len(v.Gives) == 0 || len(v.Gets) > 0):
			l.error(at, "VN-1", "11 CCR 7053; Honda, Tractor Supply (2025)", v.Name+" gets personal data and no contract with it is named", "Name the contract, or stop giving it data")
		}
		if v.Counts() == ThirdParty && !l.SellsOrShares {
			l.error(at, "VN-2", "Civ. Code 1798.140(ad), (ah); 11 CCR 7050(e)", v.Name+" is a third party, and the company says that it neither sells nor shares", "Set sells_or_shares, or make it a service provider by contract")
		}
	}
	l.recipients()
}

// records looks at the log of requests and at who decides.
func (l *linter) records() {
	if l.Records.KeepMonths < 24 {
		l.error(place{path: "records.keep_months"}, "RE-1", "11 CCR 7101(a)", "nothing says that the log is kept for 24 months", "Set it to 24 or more")
	}
	for i, use := range l.Records.Uses {
		if use != "compliance" {
			l.error(place{path: item("records.uses", i)}, "RE-2", "11 CCR 7101(d)", "the log is used for "+use, "Use it for compliance alone")
		}
	}
	if l.TrainingMonths <= 0 {
		l.error(place{path: "training_months"}, "RE-5", "Civ. Code 1798.130(a)(6); 11 CCR 7100", "nothing says how old the training of who decides may be", "Set it, such as 12")
	}
}

// Unclaimed returns a finding for each category, by letter, that systems hold
// and the policy does not mention.
func (f *File) Unclaimed(held []string) []Finding {
	l := &linter{File: f}
	for _, letter := range held {
		letter = strings.ToUpper(strings.TrimSpace(letter))
		if letter != "" && !slices.ContainsFunc(f.Categories, func(c Category) bool { return c.Letter == letter }) {
			l.error(place{path: "categories"}, "KN-1", "Civ. Code 1798.100(a), 1798.130(a)(5)", "systems hold category "+letter+", which the policy does not mention", "Say so in the policy, or stop collecting it")
		}
	}
	return l.found
}
