package sqlmap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// TestFidesTraversal compares the links our graph follows with the edges the
// peer's own traversal has.
func TestFidesTraversal(t *testing.T) {
	for _, v := range loadVectors(t).Traversal {
		t.Run(v.Name, func(t *testing.T) {
			m, err := ParseMap("dataset.yml", []byte(fidesText(t, v)))
			if v.Name == "self reference" {
				// The peer can't have trees; here they are followed.
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if v.Error != "" {
				message, _, _ := strings.Cut(v.Message, " from dataset")
				if err == nil || !strings.Contains(err.Error(), strings.ToLower(message[:1])+message[1:]) {
					t.Fatalf("got error %v, want %s", err, v.Message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compareTraversal(t, m, v)
		})
	}
}

func compareTraversal(t *testing.T, m *Map, v fidesTraversal) {
	g, err := compile(m)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []sdk.Kind
	for k := range v.Identity {
		kinds = append(kinds, sdk.Kind(k))
	}
	on := g.active(kinds)
	reached, leads := map[string]bool{}, map[string]bool{}
	var got, wanted, terminal, skipped, skippedThere []string
	for _, l := range g.links {
		switch {
		case !on[l.id]:
			continue
		case l.seed():
			got = append(got, l.to.c.name+" __ROOT__:__ROOT__ "+string(l.kind)+" -> "+l.to.name)
		default:
			got = append(got, l.to.c.name+" "+l.from.c.name+" "+l.from.name+" -> "+l.to.name)
			leads[l.from.c.name] = true
		}
		reached[l.to.c.name] = true
	}
	for to, from := range v.Incoming {
		for source, edges := range from {
			for _, e := range edges {
				wanted = append(wanted, to+" "+source+" "+e)
			}
		}
	}
	for _, c := range g.collections {
		switch {
		case !reached[c.name]:
			// Beside the name, the identity that would have reached it.
			skipped = append(skipped, c.name+" by "+fmt.Sprint(unlocking(g, c)))
		case !leads[c.name]:
			terminal = append(terminal, c.name)
		}
	}
	for name, why := range v.Skipped {
		_, after, _ := strings.Cut(why, `reachable by the "`)
		kind, _, _ := strings.Cut(after, `"`)
		skippedThere = append(skippedThere, name+" by ["+kind+"]")
	}
	for _, list := range [][]string{got, wanted, terminal, skipped, skippedThere} {
		slices.Sort(list)
	}
	want(t, "links", got, wanted)
	want(t, "skipped", skipped, skippedThere)
	if len(reached) > 0 && !strings.HasPrefix(v.Name, "circular") { // a circle has no end
		want(t, "terminal", terminal, slices.Sorted(slices.Values(v.Terminal)))
	}
}

// unlocking are the kinds that alone would reach a collection.
func unlocking(g *graph, c *collection) (kinds []sdk.Kind) {
	for _, k := range g.kinds() {
		on := g.active([]sdk.Kind{k})
		if slices.ContainsFunc(c.in, func(l *link) bool { return on[l.id] }) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
