package delivery

import (
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

// kindOther is the type of what belongs to somebody else than the person, and
// othersBasis the rule that keeps it theirs.
const (
	kindOther   = "another person's e-mail address"
	othersBasis = "Civ. Code 1798.145(k)"
)

var (
	address = regexp.MustCompile(`[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+`)
	// named is an address as mail programs write it, with its owner's name.
	named = regexp.MustCompile(`(?:"[^"]*"|[^<>,;"@]*)<` + address.String() + `>`)
)

// participants are words of names of fields that say who else took part. An
// address is all there is in such a field; in any other one that holds nothing
// but an address, that is the person's own.
var participants = []string{
	"to", "cc", "bcc", "from", "sender", "recipient", "recipients", "participant", "participants", "attendee", "attendees",
	"author", "authors", "organizer", "invitee", "invitees", "referrer", "mentioned", "mentions", "members", "thread",
}

// offices are mailboxes that belong to no person.
var offices = []string{
	"support", "help", "info", "privacy", "noreply", "no-reply", "donotreply", "do-not-reply", "billing", "sales", "contact", "hello",
	"service", "security", "legal", "abuse", "postmaster", "notifications", "accounts", "feedback",
}

// ownership tells the person's addresses from those of others. It is not safe
// for concurrent use.
type ownership struct {
	own map[string]bool
	// among remembers which names of fields speak of others who took part.
	among map[string]bool
}

func newOwnership(own []request.Identifier) ownership {
	o := ownership{own: make(map[string]bool, len(own)), among: map[string]bool{}}
	for _, id := range own {
		if id.Kind == request.Email {
			o.own[strings.ToLower(id.Reveal())] = true
		}
	}
	return o
}

func (o ownership) others(found string) bool {
	found = strings.ToLower(found)
	office, _, _ := strings.Cut(found, "@")
	return !o.own[found] && !slices.Contains(offices, office)
}

// amongOthers reports whether a field of a name says who else took part.
func (o ownership) amongOthers(name string) bool {
	among, known := o.among[name]
	if !known {
		among = slices.ContainsFunc(nameWords(name), func(w string) bool { return slices.Contains(participants, w) })
		if len(o.among) < maxNames && len(name) <= maxName {
			o.among[name] = among
		}
	}
	return among
}

// mask replaces the addresses of others in the value of a field and reports
// whether there were any. An address that stands alone is left where the field
// is the person's own.
func (o ownership) mask(name, text string) (masked string, found bool) {
	if !strings.Contains(text, "@") {
		return text, false
	}
	among := o.amongOthers(name)
	if !among && address.FindString(text) == strings.TrimSpace(text) {
		return text, false
	}
	replace := func(match string) string {
		if !o.others(address.FindString(match)) {
			return match
		}
		found = true
		lead := match[:len(match)-len(strings.TrimLeft(match, " "))]
		return lead + "[" + kindOther + "]"
	}
	if among {
		text = named.ReplaceAllStringFunc(text, replace)
	}
	return address.ReplaceAllStringFunc(text, replace), found
}

// basisOf is the rule under which an item of a type is withheld.
func basisOf(kind string) string {
	if kind == kindOther {
		return othersBasis
	}
	return withheldBasis
}
