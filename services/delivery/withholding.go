package delivery

import (
	"slices"
	"strings"
)

// withholdings are those of one store.
func (s *screen) withholdingsAt(connector, store string) []Withholding {
	var at []Withholding
	for _, w := range s.withholdings {
		if w.Connector == connector && w.Store == store {
			at = append(at, w)
		}
	}
	return at
}

// withhold takes out of a record what exceptions cover, and leaves the rest.
func (r *record) withhold(rules []Withholding) {
	for i := range rules {
		w := &rules[i]
		if !w.covers(r) {
			continue
		}
		for k := range r.fields {
			f := &r.fields[k]
			if f.withheld == "" && (w.Field == "" || isNamed(f.name, w.Field)) {
				*f = field{name: f.name, withheld: w.What, basis: w.Basis}
			}
		}
	}
}

// covers reports whether the record is one the withholding is meant for. Where
// a value that decides is itself withheld, it is.
func (w *Withholding) covers(r *record) bool {
	for name, want := range w.When {
		if !slices.ContainsFunc(r.fields, func(f field) bool {
			return isNamed(f.name, name) && (f.withheld != "" || cellText(f.value) == want)
		}) {
			return false
		}
	}
	return true
}

// isNamed reports whether a field has a name, or would if it were not the
// second of that name.
func isNamed(field, name string) bool {
	return field == name || strings.HasPrefix(field, name+" (") && strings.HasSuffix(field, ")")
}
