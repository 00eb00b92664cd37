package sqlmap

import (
	"context"
	"fmt"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// row is one row that a walk read: its key and the columns the plan needs.
type row struct {
	c    *collection
	key  []value
	cols []value
}

func (r *row) col(f *field) value { return r.cols[f.slot] }

// values are what the row has in the field: none, one, or, in a document, many.
func (r *row) values(f *field) []value {
	v := r.col(f)
	switch {
	case len(f.col.way) > 0:
		return scalars(v, f.col.typed)
	case v == nil:
		return nil
	}
	return []value{v}
}

// first is the field's value, the first of many.
func (r *row) first(f *field) value {
	for _, v := range r.values(f) {
		return v
	}
	return nil
}

// visit is what one person's walk knows of a row.
type visit struct {
	row *row
	// seeds are the identity links that found the row.
	seeds []*link
	// from and next are the rows that led here and that this one led to.
	from, next []step
	// held is set when other people reach the row as well.
	held bool
	// foreign is set when the row carries somebody else's identity.
	foreign bool
	// pinned is set when a row of another owner refers to it.
	pinned bool
	// keep and the changes it allows, decided after the walk.
	keep    *sdk.Keep
	changes []change
	anchor  bool
}

// step is one hop of a walk.
type step struct {
	link *link
	v    *visit
	at   value // the value that led there
}

// reach is everything one person's walk came to, in order.
type reach struct {
	visits  map[*row]*visit
	order   []*visit
	refused []step // rows of another owner, with the visit that led to them
	against []*row // those rows, index by index
	// covers says which stores the job reaches.
	covers func(store string) bool
}

// probe asks which rows a link leads to from a value.
type probe struct {
	link *link
	v    value
	src  *visit // nil for an identifier
	who  *reach
}

// walk follows people through the database in shared statements.
type walk struct {
	p    *plan
	q    querier
	lock bool
	on   []bool // active links
	// skip are collections whose rows are not read.
	skip map[*collection]bool

	rows  map[*collection]map[string]*row
	known map[int]map[value][]*row // by link: the rows each value led to
	total map[int]map[value]int64  // by link: how many rows refer to a value

	id []byte // the key of the row being read, used again and again
}

func newWalk(p *plan, q querier, kinds []sdk.Kind, lock bool) *walk {
	return &walk{
		p: p, q: q, lock: lock, on: p.active(kinds), skip: map[*collection]bool{},
		rows: map[*collection]map[string]*row{}, known: map[int]map[value][]*row{}, total: map[int]map[value]int64{},
	}
}

// identity returns the values an identity link compares; none where the field can't
// hold the identifier.
func (l *link) identity(v string) []value {
	if l.lower {
		var out []value
		for _, s := range spellings(v) {
			out = append(out, s)
		}
		return out
	}
	if at, ok := l.to.cast(v); ok {
		return []value{at}
	}
	return nil
}

// run walks from the identifiers of each person to a fixpoint: it ends when a
// round leads to no row that is new for anybody.
func (w *walk) run(ctx context.Context, people []sdk.Person) ([]*reach, error) {
	reaches := make([]*reach, len(people))
	var round []probe
	for i, person := range people {
		r := &reach{visits: map[*row]*visit{}}
		reaches[i] = r
		for _, l := range w.p.links {
			if !l.seed() || !w.on[l.id] || w.skip[l.to.c] {
				continue
			}
			for _, v := range person.Values(l.kind) {
				for _, at := range l.identity(v) {
					round = append(round, probe{link: l, v: at, who: r})
				}
			}
		}
	}
	for len(round) > 0 {
		if err := w.ask(ctx, round); err != nil {
			return nil, err
		}
		var fresh []*visit
		var owners []*reach
		for _, pr := range round {
			for _, r := range w.known[pr.link.id][pr.v] {
				if v := pr.who.admit(pr, r); v != nil {
					fresh, owners = append(fresh, v), append(owners, pr.who)
				}
			}
		}
		round = round[:0]
		for i, v := range fresh {
			round = w.onward(round, v, owners[i])
		}
	}
	for _, r := range reaches {
		r.reconcile()
	}
	return reaches, nil
}

// reconcile joins hops over links that make nobody an owner to rows that were
// taken in another way after all.
func (r *reach) reconcile() {
	var refused []step
	var against []*row
	for i, s := range r.refused {
		to := r.against[i]
		if v := r.visits[to]; v != nil {
			v.from = append(v.from, s)
			s.v.next = append(s.v.next, step{s.link, v, s.at})
			continue
		}
		refused, against = append(refused, s), append(against, to)
	}
	r.refused, r.against = refused, against
}

// admit takes a row that a probe led to into the reach and returns its visit
// when it is new there. A row whose owner rule names other links is not taken.
func (r *reach) admit(pr probe, to *row) *visit {
	v := r.visits[to]
	if !to.admits(pr.link) {
		if pr.src != nil {
			r.refused, r.against = append(r.refused, step{pr.link, pr.src, pr.v}), append(r.against, to)
		}
		return nil
	}
	fresh := v == nil
	if fresh {
		v = &visit{row: to}
		r.visits[to] = v
		r.order = append(r.order, v)
	}
	if pr.src == nil {
		v.seeds = append(v.seeds, pr.link)
	} else {
		v.from = append(v.from, step{pr.link, pr.src, pr.v})
		pr.src.next = append(pr.src.next, step{pr.link, v, pr.v})
	}
	if !fresh {
		return nil
	}
	return v
}

// admits reports whether a link that leads to the row makes it the person's.
// A row that names no owner falls to whoever reaches it.
func (r *row) admits(l *link) bool {
	return len(r.c.owner) == 0 || slices.Contains(r.c.owner, l) || !r.owned()
}

// owned reports whether any column of the owner rule is filled.
func (r *row) owned() bool {
	return slices.ContainsFunc(r.c.owner, func(l *link) bool { return len(r.values(l.to)) > 0 })
}

// onward adds the probes that lead on from a row. A row that carries somebody
// else's identity leads nowhere: what follows is theirs.
func (w *walk) onward(round []probe, v *visit, who *reach) []probe {
	v.foreign = w.foreign(v)
	if v.foreign {
		return round
	}
	for _, l := range v.row.c.out {
		if !w.on[l.id] || w.skip[l.to.c] {
			continue
		}
		for _, from := range v.row.values(l.from) {
			round = append(round, probe{link: l, v: from, src: v, who: who})
		}
	}
	return round
}

// foreign reports whether a row has identities of kinds we know the person
// by, none of which is the person's.
func (w *walk) foreign(v *visit) bool {
	if len(v.seeds) > 0 || len(v.row.c.owner) > 0 {
		return false
	}
	for _, l := range v.row.c.in {
		if l.seed() && w.on[l.id] && len(v.row.values(l.to)) > 0 {
			return true
		}
	}
	return false
}

// ask reads the rows of all probes that were not asked before, many values to
// a statement.
func (w *walk) ask(ctx context.Context, round []probe) error {
	wanted := map[*link][]value{}
	var links []*link
	for _, pr := range round {
		known := w.known[pr.link.id]
		if known == nil {
			known = map[value][]*row{}
			w.known[pr.link.id] = known
		}
		if _, ok := known[pr.v]; ok {
			continue
		}
		known[pr.v] = nil
		if !w.p.d.fits(pr.v, pr.link.to.col) && !pr.link.lower {
			continue
		}
		if wanted[pr.link] == nil {
			links = append(links, pr.link)
		}
		wanted[pr.link] = append(wanted[pr.link], pr.v)
	}
	var questions []question
	for _, l := range links {
		questions = append(questions, w.fetch(l, wanted[l])...)
	}
	return ask(ctx, w.q, questions)
}

// fetch asks for the rows that values lead to over one link.
func (w *walk) fetch(l *link, values []value) (questions []question) {
	c := l.to.c
	columns := make([]*column, len(c.carry))
	for i, f := range c.carry {
		columns[i] = f.col
	}
	text := selectRows(w.p.d, c.table, columns, w.p.matches(l))
	if w.lock && c.counted {
		text += w.p.d.lock()
	}
	known, width := w.known[l.id], c.table.width()
	for part := range slices.Chunk(values, w.p.d.rowsPer(1)) {
		with, args := w.p.d.values(single(part))
		questions = append(questions, question{with + text, args, func(read []any) error {
			i, ok := read[0].(int64)
			if !ok || i < 0 || int(i) >= len(part) {
				return fmt.Errorf("reading collection %s: row number %T out of range", c.store, read[0])
			}
			r := w.intern(c, read[1:1+width], read[1+width:])
			known[part[i]] = append(known[part[i]], r)
			return nil
		}})
	}
	return questions
}

// matches is the condition that a row t is where the link leads from the value
// of u. Identifiers are compared exactly or without case; references as the
// database itself joins.
func (p *plan) matches(l *link) string {
	expr := "t." + quote(l.to.col.name)
	switch {
	case len(l.to.col.way) > 0:
		return p.d.holds(expr, l.to.col, "u.v1", l.lower)
	case l.lower:
		return p.d.lowered(expr, l.to.col, "u.v1")
	case l.seed():
		return p.d.exactly(expr, l.to.col, "u.v1")
	}
	return p.d.equals(expr, l.to.col, "u.v1")
}

func single(values []value) [][]value {
	rows := make([][]value, len(values))
	for i, v := range values {
		rows[i] = []value{v}
	}
	return rows
}

// intern returns the one row of this key, new or known.
func (w *walk) intern(c *collection, key, cols []any) *row {
	read := make([]value, len(key)+len(cols))
	for i, v := range key {
		read[i] = w.p.d.read(v)
	}
	w.id = appendKey(w.id[:0], read[:len(key)])
	if w.rows[c] == nil {
		w.rows[c] = map[string]*row{}
	}
	if known := w.rows[c][string(w.id)]; known != nil {
		return known
	}
	for i, v := range cols {
		read[len(key)+i] = w.p.d.read(v)
	}
	r := &row{c: c, key: read[:len(key):len(key)], cols: read[len(key):]}
	w.rows[c][string(w.id)] = r
	return r
}
