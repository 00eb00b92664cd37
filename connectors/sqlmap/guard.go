package sqlmap

import (
	"context"
	"fmt"
	"slices"
)

// guard marks the rows that other people reach as well. Nothing of theirs is
// looked at but whether it is there.
func (w *walk) guard(ctx context.Context, reaches []*reach) error {
	if err := w.countReferring(ctx, reaches); err != nil {
		return err
	}
	if err := w.askSiblings(ctx, reaches); err != nil {
		return err
	}
	for _, r := range reaches {
		w.mark(r)
	}
	return nil
}

// considered reports whether a link says whose a row is. Where an owner rule
// says otherwise, other rows count only if the database would not let this one
// go while they refer to it.
func (w *walk) considered(l *link, r *row) bool {
	if l.twin != nil && !w.on[l.id] {
		return false
	}
	binding := l.fk != nil && !l.down && !l.fk.setNull
	if r.c.ownerAny {
		return binding
	}
	if len(r.c.owner) > 0 && r.owned() {
		return binding || slices.Contains(r.c.owner, l)
	}
	return true
}

// judged reports whether it matters who else reaches rows of c.
func judged(c *collection) bool { return c.counted || len(c.out) > 0 }

// referring returns how many of the person's rows lead to v over l, by
// the value at where v has many.
func (v *visit) referring(l *link, at value) (n int64) {
	many := len(l.to.col.way) > 0
	for _, s := range v.from {
		if s.link == l && (!many || s.at == at) {
			n++
		}
	}
	return n
}

// countReferring counts, for every value by which rows were reached, how many
// rows refer to it in all.
func (w *walk) countReferring(ctx context.Context, reaches []*reach) error {
	wanted := map[*link][]value{}
	for _, r := range reaches {
		for _, v := range r.order {
			if !judged(v.row.c) {
				continue
			}
			for _, l := range v.row.c.in {
				if l.seed() || !w.considered(l, v.row) {
					continue
				}
				for _, at := range v.row.values(l.to) {
					if l.from.c.table.unique(l.from.name) && v.referring(l, at) > 0 {
						continue
					}
					if w.total[l.id] == nil {
						w.total[l.id] = map[value]int64{}
					}
					if _, ok := w.total[l.id][at]; !ok {
						w.total[l.id][at] = 0
						wanted[l] = append(wanted[l], at)
					}
				}
			}
		}
	}
	var questions []question
	for l, values := range wanted {
		questions = append(questions, w.count(l, values)...)
	}
	return ask(ctx, w.q, questions)
}

// starts is the condition that a row t is where the link begins with the value
// of u.
func (p *plan) starts(l *link) string {
	expr := "t." + quote(l.from.col.name)
	if len(l.from.col.way) > 0 {
		return p.d.holds(expr, l.from.col, "u.v1", false)
	}
	return p.d.equals(expr, l.from.col, "u.v1")
}

// count asks how many rows of the link's start hold each value.
func (w *walk) count(l *link, values []value) (questions []question) {
	values = slices.DeleteFunc(values, func(v value) bool { return !w.p.d.fits(v, l.from.col) })
	text := fmt.Sprintf("SELECT u.i, count(*) FROM u %s %s AS t ON %s GROUP BY u.i", w.p.d.join(), l.from.c.table.quoted(), w.p.starts(l))
	for part := range slices.Chunk(values, w.p.d.rowsPer(1)) {
		with, args := w.p.d.values(single(part))
		questions = append(questions, question{with + text, args, func(read []any) error {
			i, ok := read[0].(int64)
			n, counted := read[1].(int64)
			if !ok || !counted || i < 0 || int(i) >= len(part) {
				return fmt.Errorf("counting collection %s: unexpected result", l.from.c.store)
			}
			w.total[l.id][part[i]] = n
			return nil
		}})
	}
	return questions
}

// siblings are the identity links and values on a row, of kinds we know the
// person by, that did not find it: a second address beside the person's own.
func (w *walk) siblings(v *visit) (links []*link, values []value) {
	if len(v.seeds) == 0 {
		return nil, nil
	}
	for _, l := range v.row.c.in {
		if !l.seed() || !w.on[l.id] || slices.Contains(v.seeds, l) || !w.considered(l, v.row) {
			continue
		}
		for _, at := range v.row.values(l.to) {
			if s, ok := at.(string); ok && s != "" {
				links, values = append(links, l), append(values, at)
			}
		}
	}
	return links, values
}

// askSiblings looks whether such a second identity leads to other rows.
func (w *walk) askSiblings(ctx context.Context, reaches []*reach) error {
	var round []probe
	for _, r := range reaches {
		for _, v := range r.order {
			links, values := w.siblings(v)
			for i, l := range links {
				for _, other := range w.sameKind(l) {
					for _, at := range other.identity(values[i].(string)) {
						round = append(round, probe{link: other, v: at})
					}
				}
			}
		}
	}
	return w.ask(ctx, round)
}

// sameKind returns the active links of the same identifier kind.
func (w *walk) sameKind(l *link) (links []*link) {
	for _, other := range w.p.links {
		if other.seed() && other.kind == l.kind && w.on[other.id] {
			links = append(links, other)
		}
	}
	return links
}

// mark sets held on every row somebody else reaches, and on every row reached
// through one.
func (w *walk) mark(r *reach) {
	var spread []*visit
	hold := func(v *visit) {
		if !v.held {
			v.held = true
			spread = append(spread, v)
		}
	}
	for _, v := range r.order {
		if judged(v.row.c) && (v.foreign || w.shared(r, v)) {
			hold(v)
		}
	}
	for _, s := range r.refused {
		// A row of another owner refers to this one, and the database would
		// not let it go or would take the other along.
		if k := s.link.fk; k != nil && s.link.down && !k.setNull {
			s.v.pinned = true
		}
	}
	for len(spread) > 0 {
		v := spread[0]
		spread = spread[1:]
		for _, s := range v.next {
			if judged(s.v.row.c) && w.considered(s.link, s.v.row) {
				hold(s.v)
			}
		}
	}
}

// shared reports whether others reach the row directly.
func (w *walk) shared(r *reach, v *visit) bool {
	for _, l := range v.row.c.in {
		if l.seed() || !w.considered(l, v.row) {
			continue
		}
		for _, at := range v.row.values(l.to) {
			if w.total[l.id][at] > v.referring(l, at) {
				return true
			}
		}
	}
	links, values := w.siblings(v)
	for i, l := range links {
		for _, other := range w.sameKind(l) {
			for _, at := range other.identity(values[i].(string)) {
				for _, found := range w.known[other.id][at] {
					if r.visits[found] == nil {
						return true
					}
				}
			}
		}
	}
	return false
}
