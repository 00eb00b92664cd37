package console

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

func TestReach(t *testing.T) {
	m := func(name string, accepts, yields []string) *habeasv1.Manifest {
		return &habeasv1.Manifest{Name: name, Accepts: accepts, Yields: yields}
	}
	all := []*habeasv1.Manifest{
		m("crm", []string{"email"}, []string{"user_id"}), m("shop", []string{"user_id"}, []string{"device_id", "email"}),
		m("ads", []string{"device_id"}, nil), m("people", []string{"name"}, []string{"badge"}), m("door", []string{"badge"}, nil),
	}
	r := reachFrom(all, []string{"email", "name"})
	for name, want := range map[string]int{"crm": 1, "shop": 2, "ads": 3, "people": 0, "door": 0} {
		if got := r.connectors[name]; got != want {
			t.Errorf("%s is reached in step %d, want %d", name, got, want)
		}
	}
	g := graphOf(all, []string{"email", "name"})
	if g.Lost != 2 || len(g.Boxes) != 5+5 {
		t.Errorf("%d lost, %d boxes", g.Lost, len(g.Boxes))
	}
}

// Whatever connectors accept and yield: each box stands in the drawing and on no
// other, each connector has a row, and every line leads to the right.
func TestGraphIsDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := []string{"email", "phone", "user_id", "device_id", "name", "badge"}
		pick := rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 0, 4, rapid.ID)
		var all []*habeasv1.Manifest
		for i := range rapid.IntRange(0, 8).Draw(t, "connectors") {
			all = append(all, &habeasv1.Manifest{Name: fmt.Sprintf("c%d", i), Accepts: pick.Draw(t, "accepts"), Yields: pick.Draw(t, "yields")})
		}
		start := pick.Draw(t, "start")
		g, r := graphOf(all, start), reachFrom(all, start)
		if len(g.Rows) != len(all) || g.Lost != len(all)-len(r.connectors) {
			t.Fatalf("%d rows, %d lost of %d", len(g.Rows), g.Lost, len(all))
		}
		for i, a := range g.Boxes {
			if a.X < 0 || a.Y < 0 || a.X+a.Width > g.Width || a.Y+a.Height > g.Height {
				t.Fatalf("%s is outside the drawing", a.Label)
			}
			for _, b := range g.Boxes[i+1:] {
				if a.X < b.X+b.Width && b.X < a.X+a.Width && a.Y < b.Y+b.Height && b.Y < a.Y+a.Height {
					t.Fatalf("%s stands on %s", a.Label, b.Label)
				}
			}
		}
		for _, m := range all {
			step, is := r.connectors[m.GetName()]
			first := slices.ContainsFunc(m.GetAccepts(), func(k string) bool { return k != nameKind && slices.Contains(start, k) })
			if first != (is && step == 1) {
				t.Fatalf("%s accepts what is in hand: %v, reached in step %d", m.GetName(), first, step)
			}
			if is && step > 1 && !slices.ContainsFunc(m.GetAccepts(), func(k string) bool { s, known := r.kinds[k]; return known && s == step-1 }) {
				t.Fatalf("%s is reached in step %d and nothing of the step before leads there", m.GetName(), step)
			}
		}
	})
}
