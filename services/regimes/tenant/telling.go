package tenant

import (
	"slices"

	"github.com/habeas-data/habeas/services/regimes"
)

// Practice is what people are told of one category that was found of them: who
// it came from and what it is for (Civ. Code 1798.110(a)(2)-(3)).
type Practice struct {
	Category string `yaml:"category"` // statutory letter
	// Stores are where it applies, such as crm or crm/contacts. A practice with
	// stores goes before one without for what was found there.
	Stores []string `yaml:"stores"`
	// Sources are categories of sources, and Purposes what it is collected for,
	// each in plain words.
	Sources  []string `yaml:"sources"`
	Purposes []string `yaml:"purposes"`
	// SalePurposes are what it is sold or shared for, where it is.
	SalePurposes []string `yaml:"sale_purposes"`
}

// Withholding is something that a copy leaves out under an exception, while the
// rest of the record is disclosed (11 CCR 7024(e)).
type Withholding struct {
	// Store is where it is, such as billing/notes.
	Store string `yaml:"store"`
	// Field is what is left out; all fields when it is empty.
	Field string `yaml:"field"`
	// When are fields with their values that a record must have for it to
	// apply; every record when there are none.
	When map[string]string `yaml:"when"`
	// What names it to the person without telling it, such as "advice of our
	// lawyers".
	What string `yaml:"what"`
	// Code is that of one of the regime's exceptions, and Facts are what it
	// needs.
	Code  string                  `yaml:"code"`
	Facts map[regimes.Need]string `yaml:"facts"`
}

// NamesOthers says which fields of a store name another person than the one a
// record is about, such as who works on a ticket (Civ. Code 1798.145(k)).
type NamesOthers struct {
	// Store is where they are, such as desk/tickets.
	Store  string   `yaml:"store"`
	Fields []string `yaml:"fields"`
}

// PracticesAt returns what applies to a category that was found in a store of
// a connector: the practices for that place, or else those for any.
func (t *Tenant) PracticesAt(category, connector, store string) []Practice {
	var here, anywhere []Practice
	for _, p := range t.Practices {
		switch {
		case p.Category != category:
		case len(p.Stores) == 0:
			anywhere = append(anywhere, p)
		case slices.Contains(p.Stores, connector) || slices.Contains(p.Stores, connector+"/"+store):
			here = append(here, p)
		}
	}
	if len(here) > 0 {
		return here
	}
	return anywhere
}

// Say returns a text of the file in a language such as "es": its translation
// where the file has one, and else as it stands.
func (t *Tenant) Say(language, text string) string {
	if s := t.Translations[language][text]; s != "" {
		return s
	}
	return text
}
