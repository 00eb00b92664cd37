package tenant

import (
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

// channels looks for ways to ask that the law wants offered.
func (l *linter) channels() {
	at := place{path: "channels"}
	const citation = "Civ. Code 1798.130(a)(1); 11 CCR 7020"
	for _, c := range l.rules.Channels(l.OnlineOnly) {
		if !slices.Contains(l.Channels, c) {
			l.error(at, "IN-1", citation, fmt.Sprintf("%q is no way to ask on %s", c, l.on), "Offer it")
		}
	}
	if !l.OnlineOnly && len(l.Channels) < 2 {
		l.error(at, "IN-1", citation, "there are fewer than two ways to ask", "Offer two")
	}
}

// lookBack looks whether people can ask for more than a year.
func (l *linter) lookBack() {
	if !l.LookBack.Everything {
		l.error(place{"look_back.everything", l.LookBack.Line}, "IN-8", "Civ. Code 1798.130(a)(2)(B); 11 CCR 7020, 7024(h)",
			"people can ask about the last twelve months alone", "Offer everything since 1 January 2022")
	}
}

// deletion looks at what a deletion reaches and how it is offered.
func (l *linter) deletion() {
	at := place{"deletion.scope", l.Deletion.Line}
	want, err := l.rules.DeleteScope()
	switch {
	case err != nil:
		l.error(at, "DE-16", "Civ. Code 1798.105(a)", "what a deletion reaches is not known for "+l.on.String(), "Install rules for that day")
	case width(l.Deletion.Scope) < width(want):
		l.error(at, "DE-16", "Civ. Code 1798.105(a), from 2027 as amended by SB 923", fmt.Sprintf("a deletion reaches %q, and has to reach %q", l.Deletion.Scope, want), "Widen it")
	case width(l.Deletion.Scope) < width(request.AboutAny):
		l.warn(at, "DE-16", "SB 923 (2026)", "from 1 January 2027 a deletion has to reach data about the person whatever its source", "Widen it by then")
	}
	if l.Deletion.Portions && !l.Deletion.AllFirst {
		l.error(place{"deletion.portions", l.Deletion.Line}, "IN-6", "11 CCR 7022(h)", "parts can be chosen, and deleting everything is not offered first", "Set all_first, and show it so")
	}
	if d := l.Deletion; d.Deidentifies {
		at, citation := place{"deletion.deidentifies", d.Line}, "Civ. Code 1798.140(m)"
		if !strings.HasPrefix(d.CommitmentURL, "https://") {
			l.error(at, "DE-14", citation, "records are deidentified without a public commitment not to identify people again", "Publish one and name its commitment_url")
		}
		if strings.TrimSpace(d.Measures) == "" {
			l.error(at, "DE-14", citation, "records are deidentified, and nothing says what keeps them from being tied to people again", "Say so in measures")
		}
		if strings.TrimSpace(d.RecipientsBound) == "" {
			l.error(at, "DE-14", citation, "records are deidentified, and whoever gets them is not bound to leave them so", "Name the term of the contracts in recipients_bound")
		}
	}
}

func width(s request.DeleteScope) int {
	return slices.Index([]request.DeleteScope{"", request.Provided, request.CollectedFrom, request.AboutAny}, s)
}

// identifying are fields that find a record; an opt-out asks for no others.
var identifying = []string{"email", "phone", "name", "account_id", "user_id", "device_id", "cookie_id", "signed_permission", "agent"}

// forms looks for forms that ask too much or are harder than their opposite.
func (l *linter) forms() {
	for i, f := range l.Forms {
		at := item("forms", i)
		if f.Account {
			l.error(place{path: at + ".account"}, "IN-3", "Civ. Code 1798.130(a)(2)(A)", "an account has to be made to ask", "Take the request without")
		}
		for k, field := range f.Fields {
			here := place{path: item(at+".fields", k)}
			switch {
			case !f.Right.Verifiable() && !slices.Contains(identifying, field.Name):
				l.error(here, "IN-4", "11 CCR 7060(b), 7026(d); Honda (2025)", fmt.Sprintf("the form to %s asks for %q, which finds no record", words(f.Right), field.Name), "Take it out")
			case strings.TrimSpace(field.Necessity) == "":
				l.error(here, "IN-4", "Civ. Code 1798.100(c); Enforcement Advisory 2024-01", fmt.Sprintf("nothing says why %q is needed", field.Name), "Say what can't be answered without it, or take it out")
			}
		}
		if f.Opposite > 0 && f.Steps > f.Opposite {
			l.error(place{path: at + ".steps"}, "IN-7", "11 CCR 7004", fmt.Sprintf("it takes %d steps, and the opposite choice %d", f.Steps, f.Opposite), "Make it no longer than the opposite")
		}
	}
}

func words(r request.Right) string { return strings.ReplaceAll(string(r), "_", " ") }

// methods looks at how people are verified.
func (l *linter) methods() {
	v := l.Verification
	if v.OptOut {
		l.error(place{path: "verification.opt_out"}, "VE-1", "11 CCR 7026(d), 7027(e), 7060(b)", "opt-outs are verified", "Never verify them")
	}
	usable := false
	for i, m := range v.Methods {
		at := place{item("verification.methods", i), m.Line}
		switch m.Method {
		case MethodIdentity:
			if strings.TrimSpace(m.Reason) == "" || strings.TrimSpace(m.Approver) == "" {
				l.error(at, "VE-13", "11 CCR 7060(c)-(d); Todd Snyder (2025)", "an identity document is asked for without a reason and somebody who approved it", "Turn it off, or write down both")
			}
			continue
		case MethodNotary:
			if !m.Reimbursed {
				l.error(at, "VE-12", "11 CCR 7060(e)", "a notarised paper is asked for and not paid for", "Set reimbursed, and pay; or take it out")
			}
			continue
		case MethodAccount:
			if v.ReauthenticateMinutes <= 0 {
				l.error(at, "VE-2", "11 CCR 7061(a)", "an account's session is enough, however old", "Set reauthenticate_minutes")
			}
		}
		usable = true
	}
	if !usable {
		l.error(place{path: "verification.methods"}, "VE-4", "11 CCR 7060, 7062(g)", "nobody can be verified without a document or a notary", "Offer a log-in or matching data points, or say in the policy why there is no way")
	}
	if v.ResidencyDocument {
		l.error(place{"verification.residency_document", v.ResidencyLine}, "VE-18", "Civ. Code 1798.100(c), 1798.140(i)", "residency has to be proven by a document", "Go by what is known and what the person says")
	} else if v.ResidencyLine > 0 {
		l.warn(place{"verification.residency_line", v.ResidencyLine}, "VE-18", "Civ. Code 1798.100(c), 1798.140(i)", "the policy reserves the right to confirm residency", "Say how: by what is known and what the person says, without papers")
	}
	if v.DeleteAfterDays <= 0 {
		l.error(place{path: "verification.delete_after_days"}, "VE-11", "Civ. Code 1798.130(a)(7); 11 CCR 7060(d)", "what is given to verify has no end", "Set how many days after the decision it is deleted")
	}
}

// agents looks for more than may be asked of those who act for somebody.
func (l *linter) agents() {
	a := l.Agents
	poa := place{"agents.power_of_attorney", a.PowerOfAttorney.Line}
	if a.PowerOfAttorney.Required {
		l.error(poa, "VE-15", "11 CCR 7063(b)", "an agent has to have a power of attorney", "Take signed permission too")
	}
	for i, besides := range a.PowerOfAttorney.Besides {
		if besides != AgentIdentified { // who relies on it may see who sends it (Prob. Code 4302)
			l.error(place{item("agents.power_of_attorney.besides", i), a.PowerOfAttorney.Line}, "VE-15", "11 CCR 7063(b); Prob. Code 4121-4130",
				fmt.Sprintf("on top of a valid power of attorney there is asked: %q", besides), "Ask for nothing of the person")
		}
	}
	if s := a.PowerOfAttorney.Accepted; s != "" && s != "4121-4130" {
		l.warn(place{"agents.power_of_attorney.accepted", a.PowerOfAttorney.Line}, "VE-15", "11 CCR 7063(b)", "the policy names Probate Code "+s+", and the regulation 4121-4130", "Name those, and accept every one that is valid under them")
	}
	if len(a.Otherwise.Consumer) > 1 {
		l.error(place{"agents.otherwise.consumer", a.Otherwise.Line}, "VE-14", "11 CCR 7063(a)",
			"besides the signed permission the person has both to verify and to confirm, and one of the two is the most that may be asked", "Keep one")
	}
	if !a.Otherwise.Signed && len(a.Otherwise.Consumer) > 0 {
		l.warn(place{"agents.otherwise.signed", a.Otherwise.Line}, "VE-14", "11 CCR 7063(a)", "no signed permission is asked for", "Ask for it: it is what ties the agent to the person")
	}
	if len(a.OptOut.Consumer) > 0 {
		l.error(place{"agents.opt_out.consumer", a.OptOut.Line}, "VE-16", "11 CCR 7026(j); Honda (2025)", "a person opted out by an agent has to do something too", "Ask for the signed permission alone")
	}
}
