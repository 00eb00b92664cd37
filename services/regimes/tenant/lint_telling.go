package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// practices looks whether the report on categories has something to say of
// each one that is collected, and in every language.
func (l *linter) practices() {
	const citation = "Civ. Code 1798.110(a), 1798.130(a)(5)(B); 11 CCR 7024(k)"
	var silent []string
	policy := 0
	for _, c := range l.Categories {
		if !slices.ContainsFunc(l.Practices, func(p Practice) bool { return p.Category == c.Letter }) {
			silent = append(silent, c.Letter)
			if policy == 0 {
				policy = c.Line
			}
		}
	}
	if len(silent) > 0 {
		l.error(place{"practices", policy}, "KN-1", citation, "nothing says where these categories come from and what they are for: "+strings.Join(silent, ", "),
			"Add a practice with sources and purposes for each category")
	}
	for i, p := range l.Practices {
		at := place{path: item("practices", i)}
		if !slices.ContainsFunc(l.Categories, func(c Category) bool { return c.Letter == p.Category }) {
			l.error(at, "KN-1", citation, fmt.Sprintf("the policy does not mention category %q", p.Category), "Use a letter of categories, or add it there and to the policy")
		}
		if len(p.Sources) == 0 || len(p.Purposes) == 0 {
			l.error(at, "KN-1", citation, "category "+p.Category+" has no sources or no purposes", "Name both")
		}
		l.inSpanish(p.Sources, p.Purposes, p.SalePurposes)
	}
	for _, v := range l.Vendors {
		for _, f := range v.Gets {
			l.inSpanish([]string{v.Kind, f.Purpose})
		}
	}
}

// inSpanish warns of the first text people read that has no Spanish.
func (l *linter) inSpanish(lists ...[]string) {
	if untold := l.untranslated(lists...); untold != "" {
		l.warn(place{path: "translations"}, "KN-4", "11 CCR 7003(b)", fmt.Sprintf("%q has no Spanish", untold), "Add it to translations.es")
	}
}

// untranslated returns the first text without a translation, or "".
func (l *linter) untranslated(lists ...[]string) string {
	for _, list := range lists {
		for _, text := range list {
			if text != "" && l.Translations["es"][text] == "" {
				return text
			}
		}
	}
	return ""
}

// namesOthers looks whether it says where the fields are.
func (l *linter) namesOthers() {
	for i, n := range l.NamesOthers {
		if connector, store, ok := strings.Cut(n.Store, "/"); !ok || connector == "" || store == "" || len(n.Fields) == 0 || slices.Contains(n.Fields, "") {
			l.error(place{path: item("names_others", i)}, "KN-10", "Civ. Code 1798.145(k)", "it does not say where the fields are, or which", "Name store as connector/store, and fields")
		}
	}
}

// withheld looks whether what copies leave out has a basis that holds.
func (l *linter) withheld() {
	for i, w := range l.Withhold {
		at := place{path: item("withhold", i)}
		connector, store, ok := strings.Cut(w.Store, "/")
		if !ok || connector == "" || store == "" || w.What == "" {
			l.error(at, "KN-6", "11 CCR 7024(e)", "it does not say where it is, or what it is", "Name store as connector/store, and what")
		}
		e, err := l.rules.Exception(request.KnowSpecific, w.Code)
		switch {
		case errors.Is(err, regimes.ErrNotInForce):
			l.error(at, "KN-6", citationOf(err), "the exception "+w.Code+" has expired", "Disclose it")
		case err != nil:
			l.error(at, "KN-6", "11 CCR 7024(e); Civ. Code 1798.145", fmt.Sprintf("no exception to a copy is called %q", w.Code), "Use a code of the regime's exceptions for know_specific")
		default:
			if err := e.Check(w.Facts); err != nil {
				l.error(at, "KN-6", e.Citation, err.Error(), "Add them to facts")
			}
		}
	}
}
