package console

import (
	"cmp"
	"fmt"
	"slices"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// nameKind is never enough to act on: people share names.
const nameKind = "name"

// usualKinds are what a person gives at a company's door.
var usualKinds = []string{"email", "phone"}

// reach is how connectors are come by from kinds of identifiers in hand: which
// kinds are known after how many steps, and which connector can be asked when.
type reach struct {
	// kinds and connectors give the step at which each is reached; what is in
	// neither can't be.
	kinds, connectors map[string]int
}

// reachFrom follows what connectors accept and yield until nothing new is
// known, as planning does.
func reachFrom(manifests []*habeasv1.Manifest, start []string) reach {
	r := reach{kinds: make(map[string]int), connectors: make(map[string]int)}
	for _, k := range start {
		if k != nameKind {
			r.kinds[k] = 0
		}
	}
	for step := 1; ; step++ {
		var found []*habeasv1.Manifest
		for _, m := range manifests {
			if _, is := r.connectors[m.GetName()]; is {
				continue
			}
			if slices.ContainsFunc(m.GetAccepts(), func(k string) bool { _, is := r.kinds[k]; return is }) {
				found = append(found, m)
			}
		}
		if len(found) == 0 {
			return r
		}
		for _, m := range found {
			r.connectors[m.GetName()] = step
		}
		for _, m := range found {
			for _, k := range m.GetYields() {
				if _, is := r.kinds[k]; !is && k != nameKind {
					r.kinds[k] = step
				}
			}
		}
	}
}

// kindsOf are all kinds that connectors speak of, by name.
func kindsOf(manifests []*habeasv1.Manifest) []string {
	var out []string
	for _, m := range manifests {
		out = append(append(out, m.GetAccepts()...), m.GetYields()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// graph is the drawing of who is found by what.
type graph struct {
	Width, Height int
	Boxes         []box
	Lines         []line
	// Rows say the same in words.
	Rows []graphRow
	// From are all kinds, those chosen to start with marked.
	From []option
	// Lost counts the connectors that can't be reached.
	Lost int
}

type box struct {
	X, Y, Width, Height int
	// TextX and TextY are where its words stand.
	TextX, TextY int
	Label, Class string
}

type line struct{ Path, Class string }

type graphRow struct {
	Connector       string
	Accepts, Yields []string
	Reached         word
}

// Sizes of the drawing, in its own units.
const (
	boxWidth, boxHeight = 156, 34
	colStep, rowStep    = 232, 48
	margin              = 8
)

// graphOf draws kinds and connectors in columns, each where it is reached: kinds
// in hand, connectors that accept one, kinds these yield, and so on. What can't be
// reached stands below, in the first two columns. Lines lead to the right only:
// that a connector yields what is known already is said in the rows.
func graphOf(manifests []*habeasv1.Manifest, start []string) graph {
	manifests = slices.Clone(manifests)
	slices.SortFunc(manifests, func(a, b *habeasv1.Manifest) int { return cmp.Compare(a.GetName(), b.GetName()) })
	r, kinds := reachFrom(manifests, start), kindsOf(manifests)
	g := graph{}
	for _, k := range kinds {
		g.From = append(g.From, option{Value: k, Label: k, Chosen: slices.Contains(start, k)})
	}
	d := &drawing{g: &g, kinds: make(map[string]box), connectors: make(map[string]box), col: make(map[string]int)}
	for _, k := range kinds {
		if step, is := r.kinds[k]; is {
			d.kind(k, 2*step, "kind")
		}
	}
	for _, m := range manifests {
		if step, is := r.connectors[m.GetName()]; is {
			d.connector(m.GetName(), 2*step-1, "system")
		}
	}
	d.below(2)
	for _, k := range kinds {
		if _, is := r.kinds[k]; !is {
			d.kind(k, 0, "kind lost")
		}
	}
	for _, m := range manifests {
		if _, is := r.connectors[m.GetName()]; !is {
			d.connector(m.GetName(), 1, "system lost")
			g.Lost++
		}
	}
	for _, m := range manifests {
		d.lines(m)
		g.Rows = append(g.Rows, rowOfGraph(m, r))
	}
	g.Width, g.Height = d.width+margin, d.height+margin
	return g
}

func rowOfGraph(m *habeasv1.Manifest, r reach) graphRow {
	row := graphRow{Connector: m.GetName(), Accepts: m.GetAccepts(), Yields: m.GetYields()}
	switch step, is := r.connectors[m.GetName()]; {
	case !is:
		row.Reached = word{Label: "Can't be reached", Tone: bad}
	case step == 1:
		row.Reached = word{Label: "At once", Tone: good}
	default:
		row.Reached = word{Label: fmt.Sprintf("After %s", others(step-1)), Tone: good}
	}
	return row
}

func others(n int) string {
	if n == 1 {
		return "1 other system"
	}
	return fmt.Sprintf("%d other systems", n)
}

// drawing places boxes column by column.
type drawing struct {
	g                 *graph
	kinds, connectors map[string]box
	col               map[string]int // of a connector
	next              []int          // free row of each column
	width, height     int
}

func (d *drawing) place(label string, col int, class string) box {
	for len(d.next) <= col {
		d.next = append(d.next, 0)
	}
	b := box{X: margin + col*colStep, Y: margin + d.next[col]*rowStep, Width: boxWidth, Height: boxHeight, Label: label, Class: class}
	b.TextX, b.TextY = b.X+boxWidth/2, b.Y+boxHeight/2+5
	d.next[col]++
	d.width, d.height = max(d.width, b.X+b.Width), max(d.height, b.Y+b.Height)
	d.g.Boxes = append(d.g.Boxes, b)
	return b
}

func (d *drawing) kind(name string, col int, class string) { d.kinds[name] = d.place(name, col, class) }

func (d *drawing) connector(name string, col int, class string) {
	d.connectors[name], d.col[name] = d.place(name, col, class), col
}

// below makes the first n columns go on under everything that is there.
func (d *drawing) below(n int) {
	most := 0
	for _, rows := range d.next {
		most = max(most, rows)
	}
	for len(d.next) < n {
		d.next = append(d.next, 0)
	}
	for i := range n {
		d.next[i] = most
	}
}

func (d *drawing) lines(m *habeasv1.Manifest) {
	at := d.connectors[m.GetName()]
	for _, k := range m.GetAccepts() {
		d.line(d.kinds[k], at, "accepts")
	}
	for _, k := range m.GetYields() {
		d.line(at, d.kinds[k], "yields")
	}
}

// line leads from the right side of one box to the left side of another.
func (d *drawing) line(from, to box, class string) {
	x1, y1, x2, y2 := from.X+from.Width, from.Y+from.Height/2, to.X, to.Y+to.Height/2
	if x2 <= x1 {
		return
	}
	bend := (x2 - x1) / 2
	d.g.Lines = append(d.g.Lines, line{Path: fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2), Class: class})
}
