package sqlmap

import (
	"fmt"
	"strings"
)

// statutory are the letters of Civ. Code 1798.140(v)(1), A to L.
const statutory = "ABCDEFGHIJKL"

// checkWords refuses words that would otherwise mean nothing in silence.
func (g *graph) checkWords() error {
	for i := range g.m.Datasets {
		d := &g.m.Datasets[i]
		if _, ok := tiers[d.Habeas.Tier]; !ok && d.Habeas.Tier != "" {
			return g.m.errorAt(fmt.Sprintf("$.dataset[%d].habeas.tier", i), "dataset %s: tier must be own, third_party or identity, not %q", d.Key, d.Habeas.Tier)
		}
	}
	for _, c := range g.collections {
		for i, letter := range c.rules.Letters {
			if !isLetter(letter) {
				return g.m.errorAt(fmt.Sprintf("%s[%d]", g.rule(c, "letters"), i), "collection %s: letters must be A to L, not %q", c.spec.Name, letter)
			}
		}
		for _, f := range c.fields {
			if l := f.spec.Habeas.Letter; l != "" && !isLetter(l) {
				return g.m.errorAt(f.path+".habeas.letter", "field %s: letter must be A to L, not %q", f.name, l)
			}
		}
	}
	return nil
}

func isLetter(s string) bool { return len(s) == 1 && strings.Contains(statutory, s) }
