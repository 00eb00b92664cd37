package delivery

import (
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

// Types of what belongs to somebody else than the person, and othersBasis is the
// rule that keeps it theirs.
const (
	kindOther       = "another person's e-mail address"
	kindOtherNumber = "another person's telephone number"
	kindOtherName   = "another person's name"
	othersBasis     = "Civ. Code 1798.145(k)"
)

var (
	address = regexp.MustCompile(`[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+`)
	// named is an address as mail programs write it, with its owner's name.
	named = regexp.MustCompile(`(?:"[^"]*"|[^<>,;"@]*)<` + address.String() + `>`)
)

// participants are words of names of fields that say who else took part. An
// address or number is all there is in such a field; in any other one that holds
// nothing but that, it is the person's own.
var participants = []string{
	"to", "cc", "bcc", "from", "sender", "recipient", "recipients", "participant", "participants", "attendee", "attendees",
	"author", "authors", "organizer", "invitee", "invitees", "referrer", "mentioned", "mentions", "members", "thread",
	"agent", "assignee", "representative", "caller", "callee", "emergency", "spouse",
}

// offices are mailboxes that belong to no person.
var offices = []string{
	"support", "help", "info", "privacy", "noreply", "no-reply", "donotreply", "do-not-reply", "billing", "sales", "contact", "hello",
	"service", "security", "legal", "abuse", "postmaster", "notifications", "accounts", "feedback",
}

// ownership tells what is the person's from what is of others. It is not safe
// for concurrent use.
type ownership struct {
	own     map[string]bool // addresses in lower case
	numbers owned
	names   []string // words of the person's names, in lower case
	// declared are the fields of each store that the company says name others.
	declared map[[2]string][]string
	// masked are the words of others that somebody found in an earlier copy; nil is
	// none.
	masked *masker
	// about remembers what names of fields say.
	about map[string]about
	// rec is the record at hand.
	rec *recordOwner
	// off leaves what belongs to others: for what nothing can be taken out of.
	off bool
}

// about is what a field's name says of its value.
type about struct {
	// among says that it speaks of others who took part, telephone that it is of
	// telephone numbers, staff and others that it names somebody who works on the
	// record or another person, and own that it names the person.
	among, telephone, staff, others, own bool
}

// recordOwner is what the record at hand says by its other fields: an address
// or number that fills a field of the person's is the person's in free text too.
type recordOwner struct {
	fields  []byte // JSON
	place   [2]string
	read    bool
	own     map[string]bool
	numbers owned
	names   []string
}

func newOwnership(own []request.Identifier, named []NamesOthers) ownership {
	o := ownership{own: make(map[string]bool, len(own)), declared: map[[2]string][]string{}, about: map[string]about{}, rec: &recordOwner{}}
	for _, id := range own {
		switch id.Kind {
		case request.Email:
			o.own[strings.ToLower(id.Reveal())] = true
		case request.Phone:
			o.numbers = append(o.numbers, digitsOf(id.Reveal()))
		case request.Name:
			o.names = append(o.names, wordsOfName(id.Reveal())...)
		}
	}
	for _, n := range named {
		at := [2]string{n.Connector, n.Store}
		o.declared[at] = append(o.declared[at], n.Fields...)
	}
	return o
}

// begin makes fields, in JSON, the record at hand, and at the connector and store
// that keep it.
func (o ownership) begin(at [2]string, fields []byte) {
	*o.rec = recordOwner{fields: fields, place: at}
}

// record is the record at hand, read when somebody first asks.
func (o ownership) record() *recordOwner {
	r := o.rec
	if r.read {
		return r
	}
	r.read, r.own = true, map[string]bool{}
	eachText(r.fields, func(name, text string) {
		what := o.aboutField(name)
		if what.among {
			return
		}
		if alone := strings.TrimSpace(text); address.FindString(alone) == alone && alone != "" {
			r.own[strings.ToLower(alone)] = true
		} else if n := numbersIn(alone, what.telephone); len(n) == 1 && len(alone) <= n[0].end-n[0].start+1 {
			r.numbers = append(r.numbers, n[0].digits)
		}
		if what.own {
			r.names = append(r.names, wordsOfName(text)...)
		}
	})
	return r
}

func (o ownership) others(found string) bool {
	found = strings.ToLower(found)
	office, _, _ := strings.Cut(found, "@")
	return !o.own[found] && !slices.Contains(offices, office) && !o.record().own[found]
}

func (o ownership) othersNumber(digits string) bool {
	return !nobodys(digits) && !o.numbers.has(digits) && !o.record().numbers.has(digits)
}

// aboutField is what a name of a field says.
func (o ownership) aboutField(name string) about {
	what, known := o.about[name]
	if !known {
		what = aboutWords(nameWords(name))
		if len(o.about) < maxNames && len(name) <= maxName {
			o.about[name] = what
		}
	}
	return what
}

func aboutWords(words []string) about {
	has := func(list []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	what := about{among: has(participants), telephone: has(telephones)}
	if has(notNames) {
		return what
	}
	last := len(words) - 1
	isName := last >= 0 && (words[last] == "name" || slices.Contains(roles, words[last]) || slices.Contains(staff, words[last]))
	what.staff, what.others = isName && has(staff), isName && has(roles)
	what.own = last >= 0 && words[last] == "name" && !what.among && !what.staff && !what.others && (last == 0 || has(ownNames))
	return what
}

// mask replaces the addresses and numbers of others in the value of a field,
// and others' names where its lines say whose they are, and returns the types
// of what there was. An address or number that stands alone is left where the
// field is the person's own.
func (o ownership) mask(name, text string) (masked string, kinds []string) {
	if o.off {
		return text, nil
	}
	note := func(kind string) {
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if strings.Contains(text, "@") {
		text = o.maskAddresses(name, text, note)
	}
	if manyDigits(text) {
		text = o.maskNumbers(name, text, note)
	}
	return o.maskLines(text, note), kinds
}

func (o ownership) maskAddresses(name, text string, note func(string)) string {
	among := o.aboutField(name).among
	if !among && address.FindString(text) == strings.TrimSpace(text) {
		return text
	}
	replace := func(match string) string {
		if !o.others(address.FindString(match)) {
			return match
		}
		note(kindOther)
		lead := match[:len(match)-len(strings.TrimLeft(match, " "))]
		return lead + "[" + kindOther + "]"
	}
	if among {
		text = named.ReplaceAllStringFunc(text, replace)
	}
	return address.ReplaceAllStringFunc(text, replace)
}

func (o ownership) maskNumbers(name, text string, note func(string)) string {
	what := o.aboutField(name)
	found := numbersIn(text, what.telephone)
	if len(found) == 0 || len(found) == 1 && !what.among && found[0].start <= 1 && found[0].end >= len(strings.TrimSpace(text)) {
		return text
	}
	var b strings.Builder
	done := 0
	for _, n := range found {
		if !o.othersNumber(n.digits) {
			continue
		}
		note(kindOtherNumber)
		b.WriteString(text[done:n.start])
		b.WriteString("[" + kindOtherNumber + "]")
		done = n.end
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

// basisOf is the rule under which an item of a type is withheld.
func basisOf(kind string) string {
	if kind == kindOther || kind == kindOtherNumber || kind == kindOtherName {
		return othersBasis
	}
	return withheldBasis
}
