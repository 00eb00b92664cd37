package delivery

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NamesOthers are fields of a store that name others than the person, as the
// company's file says. Their values are masked, and so are the same names in the
// rest of the record.
type NamesOthers struct {
	Connector, Store string
	Fields           []string
}

// Words of names of fields. Staff work on the record, and roles are other people
// in it, unless the person is told to be one. Of notNames a value is no name of
// a person.
var (
	telephones = []string{"phone", "phones", "telephone", "mobile", "cell", "fax", "tel", "msisdn", "whatsapp"}
	staff      = []string{"agent", "assignee", "representative", "rep", "operator", "moderator", "advisor"}
	roles      = []string{"sender", "recipient", "caller", "callee", "attendee", "attendees", "invitee", "organizer", "referrer", "emergency", "spouse"}
	ownNames   = []string{"first", "last", "full", "given", "family", "customer", "user", "contact", "account", "display", "middle", "preferred"}
	notNames   = []string{"browser", "type", "id", "kind", "role", "version", "url", "count", "status", "company", "organization"}
)

var (
	// staffLine begins a line of a ticket or a transcript that says who worked on
	// it. What follows is a name of one to three words.
	staffLine = regexp.MustCompile(`(?mi:^[ \t>*\[(-]{0,6}(?:(?:support |service |sales |your |case |chat )?(?:agent|representative|rep|operator|assignee|advisor|moderator)(?:'s)?(?: name)?|assigned to|handled by|taken by|answered by|closed by)[ \t]*[:=][ \t]*)(` + nameShape + `)`)
	// greetingLine and closingLine lead to the name of who is addressed and of
	// who wrote.
	greetingLine = regexp.MustCompile(`(?m:^[ \t>]{0,4}(?:[Hh]i|[Hh]ello|[Hh]ey|[Dd]ear|HI|HELLO|DEAR|Hola|Estimad[oa])[ \t]+(` + nameShape + `)[ \t]*[,!:])`)
	closingLine  = regexp.MustCompile(`(?mi:^[ \t>]{0,4}(?:(?:best|kind|warm|kindest|many) )?(?:regards|wishes|thanks|thank you|sincerely|best|cheers|yours|saludos|atentamente)[,.!]?[ \t]*\r?\n[ \t>]{0,4}(?:\r?\n)?[ \t>-]{0,4})(` + nameShape + `)[ \t]*(?:\r?\n|$)`)
	wholeName    = regexp.MustCompile(`^` + nameShape + `$`)
)

// nameShape is how a name of a person is written: one to four capitalised words.
const nameShape = `\p{Lu}[\p{L}'’-]+(?:[ \t]+(?:\p{Lu}[\p{L}'’-]*\.?|de|la|van|von|der|da|di)){0,3}`

// nobodysNames are words that are addressed or sign like people.
var nobodysNames = []string{
	"customer", "customers", "team", "there", "all", "everyone", "everybody", "sir", "madam", "support", "valued", "friend", "friends", "folks",
	"member", "user", "service", "company", "corporation", "corp", "inc", "llc", "ltd", "gmbh", "bot", "desk", "department", "system", "automation", "sales", "billing", "unassigned", "nobody", "none", "unknown", "client", "guest", "you",
}

func wordsOfName(name string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }), func(w string) bool {
		return len(w) < 2
	})
}

// isPerson reports whether a text is written like the name of a person.
func isPerson(name string) bool {
	return wholeName.MatchString(name) && !slices.ContainsFunc(wordsOfName(name), func(w string) bool { return slices.Contains(nobodysNames, w) })
}

// ownName reports whether a name shares a word with the person's, and whether
// any of the person's is known. Short forms that begin alike count.
func (o ownership) ownName(name string) (own, known bool) {
	names := append(slices.Clip(o.names), o.record().names...)
	for _, w := range wordsOfName(name) {
		if slices.ContainsFunc(names, func(n string) bool {
			return n == w || len(w) >= 3 && len(n) >= 3 && (strings.HasPrefix(n, w) || strings.HasPrefix(w, n))
		}) {
			return true, true
		}
	}
	return false, len(names) > 0
}

// maskLines masks names of others where a line of the text says whose they are.
// Greetings and closings count only where the person's own name is known: without
// it nobody can tell whose they are.
func (o ownership) maskLines(text string, note func(string)) string {
	if !strings.ContainsAny(text, ":=,!\n") || len(text) < len("Hi Al,") {
		return text
	}
	lead := leads(text)
	if lead&staffLead != 0 {
		text = o.maskGroup(staffLine, text, false, note)
	}
	if lead&greetingLead != 0 {
		text = o.maskGroup(greetingLine, text, true, note)
	}
	if lead&closingLead != 0 {
		text = o.maskGroup(closingLine, text, true, note)
	}
	return text
}

const (
	staffLead = 1 << iota
	greetingLead
	closingLead
)

// leads is a quick look at the first letters of each line: which of the shapes
// it could begin.
func leads(text string) (found int) {
	for rest := text; rest != ""; {
		line := strings.TrimLeft(rest[:min(len(rest), 12)], " \t>*[(-")
		if len(line) >= 3 {
			switch string([]byte{line[0] | 0x20, line[1] | 0x20, line[2] | 0x20}) {
			case "age", "rep", "ope", "ass", "adv", "mod", "sup", "ser", "cas", "cha", "han", "tak", "ans", "clo":
				found |= staffLead
			case "sal", "you":
				found |= staffLead | closingLead
			case "hi ", "hel", "hey", "dea", "hol", "est":
				found |= greetingLead
			case "bes", "kin", "war", "man", "reg", "wis", "tha", "sin", "che", "ate":
				found |= closingLead
			}
		}
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if !strings.Contains(text, "\n") {
		found &^= closingLead
	}
	if !strings.ContainsAny(text, ":=") {
		found &^= staffLead
	}
	return found
}

func (o ownership) maskGroup(shape *regexp.Regexp, text string, onlyKnown bool, note func(string)) string {
	var b strings.Builder
	done := 0
	for _, at := range shape.FindAllStringSubmatchIndex(text, -1) {
		name := text[at[2]:at[3]]
		if !isPerson(name) {
			continue
		}
		if own, known := o.ownName(name); own || onlyKnown && !known {
			continue
		}
		note(kindOtherName)
		b.WriteString(text[done:at[2]])
		b.WriteString("[" + kindOtherName + "]")
		done = at[3]
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

// finish masks in a record the names of others that its own fields tell, there
// and in all its texts.
func (o ownership) finish(rec *record) error {
	var names []string
	declared := o.declared[o.rec.place]
	for i := range rec.fields {
		f := &rec.fields[i]
		what := o.aboutField(f.name)
		isDeclared := slices.ContainsFunc(declared, func(name string) bool { return isNamed(f.name, name) })
		if f.withheld != "" || !isDeclared && !what.staff && !what.others {
			continue
		}
		text := strings.TrimSpace(cellText(f.value))
		if text == "" || strings.HasPrefix(text, "[") || !isDeclared && (!isPerson(text) || !strings.Contains(text, " ")) {
			continue
		}
		own, known := o.ownName(text)
		if own || what.others && !isDeclared && !known {
			continue
		}
		if isPerson(text) {
			names = append(names, text)
		}
		masked, err := marshal("[" + kindOtherName + "]")
		if err != nil {
			return err
		}
		f.value = masked
		f.note(kindOtherName)
	}
	if err := o.masked.apply(rec); err != nil {
		return err
	}
	for _, name := range names {
		for i := range rec.fields {
			if f := &rec.fields[i]; f.withheld == "" && len(f.value) > 2 && f.value[0] != 't' && f.value[0] != 'f' {
				if masked, found := replaceName(f.value, name); found {
					f.value = masked
					f.note(kindOtherName)
				}
			}
		}
	}
	return nil
}

// note adds a type of what is not disclosed of the field.
func (f *field) note(kind string) {
	f.scanned = true
	if !slices.Contains(f.inside, kind) {
		f.inside = append(slices.Clip(f.inside), kind)
	}
}

// replaceName replaces a name in JSON where it stands by itself. A name has no
// character that JSON would escape.
func replaceName(value json.RawMessage, name string) (json.RawMessage, bool) {
	old := []byte(name)
	if !bytes.Contains(value, old) {
		return value, false
	}
	var out []byte
	found := false
	for {
		i := bytes.Index(value, old)
		if i < 0 {
			return append(out, value...), found
		}
		before, _ := utf8.DecodeLastRune(value[:i])
		after, _ := utf8.DecodeRune(value[i+len(old):])
		escaped := i >= 2 && value[i-2] == '\\' // the letter of an escape such as \n
		out = append(out, value[:i]...)
		if unicode.IsLetter(after) || unicode.IsLetter(before) && !escaped {
			out = append(out, old...)
		} else {
			out = append(out, "["+kindOtherName+"]"...)
			found = true
		}
		value = value[i+len(old):]
	}
}

// eachText calls fn for every field of a record, in JSON, whose value is text.
func eachText(fields []byte, fn func(name, text string)) {
	(&cursor{text: fields}).array(func(element []byte) bool {
		var name, text string
		(&cursor{text: element}).object(func(member string, v []byte) bool {
			switch member {
			case "name":
				name, _ = textOf(v)
			case "value":
				text, _ = textOf(v)
			}
			return true
		})
		if text != "" {
			fn(name, text)
		}
		return true
	})
}
