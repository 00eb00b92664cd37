package sqlmap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// direct are the data categories that identify a person by themselves. Under
// erase: deidentify they are destroyed, whatever the map says (Civ. Code
// 1798.140(m)).
var direct = []string{
	"user.name", "user.contact", "user.unique_id", "user.government_id", "user.financial", "user.payment", "user.account.username", "user.authorization",
	"user.biometric", "user.device", "user.location.precise", "user.genetic",
}

// identifies reports whether the field names a person directly.
func (f *field) identifies() bool {
	return slices.ContainsFunc(f.categories, func(data string) bool {
		return slices.ContainsFunc(direct, func(d string) bool { return within(data, d) })
	})
}

// coarse is a rule of generalising: what, and how far.
type coarse struct {
	to string
	n  int
}

// Bounds of how fine a generalised value may be: a longer prefix or a smaller
// step would be the value itself.
const (
	longestPrefix = 3
	leastStep     = 5
)

func parseCoarse(text string) (coarse, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 1 && (words[0] == "year" || words[0] == "month"):
		return coarse{to: words[0]}, nil
	case len(words) == 2:
		n, err := strconv.Atoi(words[1])
		if err == nil && words[0] == "prefix" && n >= 1 && n <= longestPrefix || err == nil && words[0] == "step" && n >= leastStep {
			return coarse{to: words[0], n: n}, nil
		}
	}
	return coarse{}, fmt.Errorf("%q: want year, month, prefix 1 to %d, or step %d or more", text, longestPrefix, leastStep)
}

// nothing is the rule under which a column is emptied.
const nothing = "nothing"

// levels are the rules of the field, from the finest to the coarsest; the last may
// be [nothing].
func (f *field) levels() ([]coarse, error) {
	first, err := parseCoarse(f.spec.Habeas.Generalise)
	if err != nil {
		return nil, fmt.Errorf("generalise %w", err)
	}
	list := []coarse{first}
	for i, text := range f.spec.Habeas.Further {
		last := list[len(list)-1]
		if text == nothing && last.to != nothing {
			list = append(list, coarse{to: nothing})
			continue
		}
		next, err := parseCoarse(text)
		if err != nil {
			return nil, fmt.Errorf("further[%d] %w, or nothing at the end", i, err)
		}
		if !last.finer(next) {
			return nil, fmt.Errorf("further[%d] %q is not coarser than what stands before it", i, text)
		}
		list = append(list, next)
	}
	return list, nil
}

// finer reports whether values made coarser by c tell all that next leaves of them,
// so that rows that share one by c share one by next.
func (c coarse) finer(next coarse) bool {
	switch {
	case c.to == "month" && next.to == "year":
		return true
	case c.to == "prefix" && next.to == "prefix":
		return next.n < c.n
	case c.to == "step" && next.to == "step":
		return next.n > c.n && next.n%c.n == 0
	}
	return false
}

// value makes a value coarser. One that it can't read is destroyed.
func (c coarse) value(old value) value {
	if old == nil {
		return nil
	}
	switch c.to {
	case nothing:
		return nil
	case "year", "month":
		at, ok := parseTime(old)
		if !ok {
			return nil
		}
		if c.to == "year" {
			return fmt.Sprintf("%04d-01-01", at.Year())
		}
		return fmt.Sprintf("%04d-%02d-01", at.Year(), at.Month())
	case "prefix":
		text, ok := old.(string)
		if !ok || utf8.RuneCountInString(text) <= c.n {
			return nil // the whole of it would stay
		}
		return string([]rune(text)[:c.n])
	default:
		n, err := strconv.ParseInt(strings.TrimSpace(fmt.Sprint(old)), 10, 64)
		if err != nil {
			return nil
		}
		step := int64(c.n)
		low := n - n%step
		if n < 0 && n%step != 0 {
			low -= step
		}
		return low
	}
}

// takesCoarse reports whether a column of the field's class can hold what the rule
// makes.
func (f *field) takesCoarse(c coarse) bool {
	switch c.to {
	case "year", "month":
		return f.col.class == classTime
	case "prefix":
		return f.col.class == classText
	default:
		return f.col.class == classInt
	}
}

// checkDeidentified refuses what would leave a record of a deidentified collection
// tied to a person, and generalising anywhere else.
func (g *graph) checkDeidentified(c *collection) error {
	for _, f := range c.all() {
		rules, keeps := f.spec.Habeas, f.meta.Masking != nil && f.meta.Masking.Strategy == "preserve"
		switch {
		case rules.Generalise != "" && (c.rules.Erase != Deidentify || f.doc != nil):
			return g.m.errorAt(f.path+".habeas.generalise", "field %s: generalise is for the columns of a collection with erase: deidentify", f.name)
		case rules.Generalise != "" && rules.Erase != "":
			return g.m.errorAt(f.path+".habeas.generalise", "field %s: generalise and erase can't both be said", f.name)
		case rules.Generalise != "" && (f.identifies() || f.link()):
			return g.m.errorAt(f.path+".habeas.generalise", "field %s identifies a person by itself and has to be destroyed (Civ. Code 1798.140(m)): take generalise out", f.name)
		case c.rules.Erase == Deidentify && f.identifies() && f.telling() && (rules.Erase == Retain || keeps):
			return g.m.errorAt(f.path, "field %s identifies a person by itself and can't stay in a collection with erase: deidentify (Civ. Code 1798.140(m))", f.name)
		}
		if rules.Generalise == "" {
			if len(rules.Further) > 0 {
				return g.m.errorAt(f.path+".habeas.further", "field %s: further goes on from generalise; say that first", f.name)
			}
			continue
		}
		if _, err := f.levels(); err != nil {
			return g.m.errorAt(f.path+".habeas", "field %s: %v", f.name, err)
		}
	}
	return g.checkCrowd(c)
}
