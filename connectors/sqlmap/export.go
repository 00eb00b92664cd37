package sqlmap

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// AnotherPersons stands in a copy for what a row says of somebody else.
const AnotherPersons sdk.Withheld = "another person's data"

// export writes every row of the person to out. Collections that lead nowhere
// and are reached one way are read straight through, so that their rows are
// never all in memory; of the others only the keys are.
func (p *plan) export(ctx context.Context, q querier, person sdk.Person, out sdk.RecordWriter) error {
	w := newWalk(p, q, person.Only(p.kinds()...).Kinds(), false)
	for _, c := range p.collections {
		w.skip[c] = w.leaf(c) != nil
	}
	reaches, err := w.run(ctx, []sdk.Person{person})
	if err != nil {
		return err
	}
	byCollection := map[*collection][]*visit{}
	for _, v := range reaches[0].order {
		byCollection[v.row.c] = append(byCollection[v.row.c], v)
	}
	for _, c := range p.reading {
		if !c.counted {
			continue
		}
		e := &exporter{p: p, q: q, c: c, since: person.Since(), out: out}
		e.columns()
		var err error
		if l := w.leaf(c); l != nil {
			err = e.through(ctx, l, w.starts(l, person, reaches[0]))
		} else {
			err = e.visited(ctx, byCollection[c])
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// leaf returns the only link to a collection that leads nowhere, or nil. What
// is led to from inside a document could come twice.
func (w *walk) leaf(c *collection) *link {
	var only *link
	for _, l := range c.out {
		if w.on[l.id] {
			return nil
		}
	}
	for _, l := range c.in {
		if !w.on[l.id] {
			continue
		}
		if only != nil || len(l.to.col.way) > 0 {
			return nil
		}
		only = l
	}
	return only
}

// starts are the different values from which the link leads on.
func (w *walk) starts(l *link, person sdk.Person, r *reach) []value {
	var values []value
	seen := map[value]bool{}
	add := func(at value) {
		if !seen[at] && (l.lower || w.p.d.fits(at, l.to.col)) {
			seen[at] = true
			values = append(values, at)
		}
	}
	if l.seed() {
		for _, s := range person.Values(l.kind) {
			for _, at := range l.identity(s) {
				add(at)
			}
		}
		return values
	}
	for _, v := range r.order {
		if v.row.c != l.from.c || v.foreign {
			continue
		}
		for _, at := range v.row.values(l.from) {
			add(at)
		}
	}
	return values
}

// exporter writes the rows of one collection.
type exporter struct {
	p     *plan
	q     querier
	c     *collection
	since time.Time
	out   sdk.RecordWriter

	shown []*field
	text  string // what is read of t: key, carried columns, shown columns
}

// columns lists what is read. Of a withheld column only whether it is filled
// leaves the database.
func (e *exporter) columns() {
	exprs := []string{"u.i"}
	for i, c := range e.c.table.locatorColumns() {
		exprs = append(exprs, e.p.d.raw(e.c.table.locators("t")[i], c))
	}
	for _, f := range e.c.carry {
		exprs = append(exprs, carried(e.p.d, f.col))
	}
	for _, f := range e.c.fields {
		if f.spec.Habeas.Hidden {
			continue
		}
		e.shown = append(e.shown, f)
		x := "t." + quote(f.name)
		if f.withheld() != "" {
			x = "CASE WHEN " + x + " IS NULL THEN 0 ELSE 1 END"
		}
		exprs = append(exprs, x)
	}
	e.text = fmt.Sprintf("SELECT %s FROM u %s %s AS t ON ", strings.Join(exprs, ", "), e.p.d.join(), e.c.table.quoted())
}

// withheld is what stands for the field in a copy, or "".
func (f *field) withheld() sdk.Withheld {
	if w := f.spec.Habeas.Withhold; w != "" {
		return sdk.Withheld(w)
	}
	if len(f.leaves) == 0 || f.byPart() {
		return withheldAs(f.spec.DataCategories)
	}
	if w := withheldAs(f.spec.DataCategories); w != "" || f.col.class == classJSON {
		return w
	}
	return f.withheldInside()
}

// through reads the rows that values lead to and writes each as it comes.
func (e *exporter) through(ctx context.Context, l *link, values []value) error {
	text := e.text + e.p.matches(l)
	return chunks(values, e.p.d.rowsPer(1), func(part []value) error {
		with, args := e.p.d.values(single(part))
		return each(ctx, e.q, with+text, args, func(read []any) error {
			r := e.row(read)
			if !r.admits(l) {
				return nil
			}
			return e.write(ctx, r, read, false)
		})
	})
}

// visited reads rows by their keys and writes each as it comes.
func (e *exporter) visited(ctx context.Context, visits []*visit) error {
	text := e.text + sameKey(e.p.d, e.c.table)
	return chunks(visits, e.p.d.rowsPer(e.c.table.width()), func(part []*visit) error {
		keys := make([][]value, len(part))
		for i, v := range part {
			keys[i] = v.row.key
		}
		with, args := e.p.d.values(keys)
		return each(ctx, e.q, with+text, args, func(read []any) error {
			i, ok := read[0].(int64)
			if !ok || i < 0 || int(i) >= len(part) {
				return fmt.Errorf("copying collection %s: row number out of range", e.c.store)
			}
			return e.write(ctx, e.row(read), read, part[i].foreign)
		})
	})
}

// row makes a row of the carried columns.
func (e *exporter) row(read []any) *row {
	from := 1 + e.c.table.width()
	r := &row{c: e.c}
	for _, v := range read[from : from+len(e.c.carry)] {
		r.cols = append(r.cols, e.p.d.read(v))
	}
	return r
}

func (e *exporter) write(ctx context.Context, r *row, read []any, foreign bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !r.since(e.since) {
		return nil
	}
	values := read[len(read)-len(e.shown):]
	record := sdk.Record{Store: e.c.store, Fields: make([]sdk.Field, len(e.shown))}
	for i, f := range e.shown {
		v := values[i]
		withheld := f.withheld()
		switch {
		case withheld != "" && v == int64(0):
			v = nil
		case withheld != "":
			v = withheld
		case foreign && f.personal && v != nil:
			v = AnotherPersons
		default:
			if v = e.p.d.copied(v, f.col); len(f.leaves) > 0 && v != nil {
				v = f.withholding(v)
			}
		}
		record.Fields[i] = sdk.Field{Name: f.name, Value: v}
	}
	if err := e.out.Write(ctx, record); err != nil {
		return &writerError{err}
	}
	return nil
}

// writerError keeps the writer's error apart from those of the database.
type writerError struct{ err error }

func (e *writerError) Error() string { return e.err.Error() }
func (e *writerError) Unwrap() error { return e.err }
