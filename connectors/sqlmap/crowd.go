package sqlmap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// DefaultGroup is the fewest people who must share what is left in a deidentified
// record where the map says nothing.
const DefaultGroup = 10

// crowd is how the deidentified rows of one collection are counted: no row stays
// with less than k people sharing what is left in it (Civ. Code 1798.140(m)(1)). In
// a table nobody can tell whose such rows are, so that k people must come to a
// group at once; whoever comes later may join them.
type crowd struct {
	k int
	// fields hold what is left, and made how fine that is at each level but the
	// last; nil leaves a field as it is.
	fields []*field
	made   [][]func(value) value
	// levels are the changes of a row by level; the last empties all of it.
	levels [][]change
	// marks are what tells the rows that are nobody's from the others, by columns
	// and what is in them; nil when nothing does.
	marks []change
	// otherwise is what becomes of rows that no level helps.
	otherwise Method
}

// fate is what becomes of a row of a crowd.
type fate struct {
	level int
	gone  bool
}

// remains reports whether something about people stays in the field of a
// deidentified row.
func (f *field) remains() bool {
	return f.spec.Habeas.Generalise != "" || f.telling() && f.spec.Habeas.Erase == Retain
}

// checkCrowd looks at what the map says of the smallest group.
func (g *graph) checkCrowd(c *collection) error {
	if c.rules.Erase != Deidentify {
		if c.rules.SmallestGroup != 0 || c.rules.Otherwise != "" {
			return g.m.errorAt(c.path+".habeas", "collection %s: smallest_group and otherwise are for erase: deidentify", c.spec.Name)
		}
		return nil
	}
	if n := c.rules.SmallestGroup; n < 0 || n == 1 {
		return g.m.errorAt(g.rule(c, "smallest_group"), "collection %s: smallest_group must be at least 2: one that nobody shares is one person's", c.spec.Name)
	}
	switch c.rules.Otherwise {
	case "", Delete, Null, Wait:
	default:
		return g.m.errorAt(g.rule(c, "otherwise"), "collection %s: otherwise must be delete, null or wait, not %q", c.spec.Name, c.rules.Otherwise)
	}
	for _, f := range c.all() {
		if f.doc != nil && f.remains() {
			return g.m.errorAt(f.path, "field %s is about people and stays inside a document, where it can't be counted how many share it; have it emptied, or use erase: delete", f.name)
		}
	}
	return nil
}

// planCrowd makes the crowd of a collection, or nil for one that leaves nothing
// about anybody.
func (p *plan) planCrowd(c *collection, method []change) (*crowd, error) {
	if c.method() != Deidentify {
		return nil, nil
	}
	cr := &crowd{k: c.rules.SmallestGroup, otherwise: c.rules.Otherwise}
	if cr.k == 0 {
		cr.k = DefaultGroup
	}
	if cr.otherwise == "" {
		cr.otherwise = Delete
	}
	// Rows that others refer to would take those along, or not go.
	bound := slices.ContainsFunc(c.table.referred, func(k *foreignKey) bool { return !k.setNull })
	if bound && cr.otherwise == Delete {
		cr.otherwise = Null
	}
	steps, rules := 1, map[*field][]coarse{}
	for _, f := range c.fields {
		switch {
		case !f.remains():
			continue
		case f.spec.Habeas.Generalise != "":
			levels, err := f.levels()
			if err != nil {
				return nil, p.m.errorAt(f.path, "field %s: %v", f.name, err)
			}
			rules[f] = levels
			steps = max(steps, len(levels))
		case f.col.class > classUUID:
			return nil, p.m.errorAt(f.path, "field %s is about people and stays, and is of type %s, by which rows can't be counted; have it emptied", f.name, f.col.typ)
		case cr.otherwise != Delete:
			why := "otherwise: " + string(c.rules.Otherwise)
			if bound {
				why = "other tables refer to its rows, which can't be removed"
			}
			return nil, p.m.errorAt(f.path, "field %s is about people and stays as it is, and could not be emptied in rows that too few share (%s); generalise it, or take erase: retain out", f.name, why)
		}
		cr.fields = append(cr.fields, f)
	}
	if len(cr.fields) == 0 {
		return nil, nil
	}
	for level := range steps {
		list, made := cr.at(method, rules, level)
		cr.levels, cr.made = append(cr.levels, list), append(cr.made, made)
	}
	emptied := slices.Clone(method)
	for i := range emptied {
		if rules[emptied[i].f] != nil {
			emptied[i] = change{f: emptied[i].f}
		}
	}
	cr.levels = append(cr.levels, emptied)
	cr.marks = marksOf(c, method, rules)
	return cr, nil
}

// at makes the changes of a level, and of each field how it is made coarser.
func (cr *crowd) at(method []change, rules map[*field][]coarse, level int) (list []change, made []func(value) value) {
	list, made = slices.Clone(method), make([]func(value) value, len(cr.fields))
	for i, f := range cr.fields {
		levels := rules[f]
		if levels == nil {
			continue
		}
		by := levels[min(level, len(levels)-1)]
		made[i] = by.value
		n := slices.IndexFunc(list, func(ch change) bool { return ch.f == f })
		list[n] = change{f: f}
		if by.to != nothing {
			list[n].make, list[n].reads = by.value, true
		}
	}
	return list, made
}

// marksOf are the changes by which rows that are nobody's are told: every column
// that could tie a row to somebody must be among them.
func marksOf(c *collection, method []change, rules map[*field][]coarse) []change {
	var marks []change
	for _, ch := range method {
		known := ch.make == nil || ch.fixed != nil || ch.prefix != ""
		if rules[ch.f] == nil && ch.inside == nil && known && ch.f.col.class <= classUUID {
			marks = append(marks, ch)
		}
	}
	for _, l := range c.in {
		if !slices.ContainsFunc(marks, func(ch change) bool { return ch.f == l.to }) {
			return nil
		}
	}
	return marks
}

// crowded reports whether rows are counted anywhere.
func (p *plan) crowded() bool {
	for _, ch := range p.changes {
		if ch.crowd != nil {
			return true
		}
	}
	return false
}

// waiting says which people's erasures wait for others to share what is left.
type waiting struct{ people []int }

// Error implements error.
func (*waiting) Error() string { return "too few people share what would be left" }

// settle decides what becomes of the rows of all crowds that r reaches. owners says
// whose a row is, and patient whether a person's erasure may wait.
func (p *plan) settle(ctx context.Context, q querier, r *reach, owners map[*row]int, patient func(person int) bool) (map[*row]fate, error) {
	rows := map[*collection][]*row{}
	for _, v := range r.order {
		if v.row.c.counted && v.keep == nil && p.changes[v.row.c].crowd != nil {
			rows[v.row.c] = append(rows[v.row.c], v.row)
		}
	}
	fates := map[*row]fate{}
	var held []int
	for _, c := range p.erase {
		if len(rows[c]) == 0 {
			continue
		}
		alone, err := p.group(ctx, q, c, rows[c], owners, fates)
		if err != nil {
			return nil, err
		}
		cr := p.changes[c].crowd
		for _, row := range alone {
			who, known := owners[row]
			if cr.otherwise == Wait && known && patient(who) {
				held = append(held, who)
			}
			fates[row] = fate{level: len(cr.levels) - 1, gone: cr.removes(c)}
		}
	}
	if len(held) > 0 {
		slices.Sort(held)
		return nil, &waiting{slices.Compact(held)}
	}
	return fates, nil
}

// ownersOf says whose a row is: the first of the people who reach it.
func ownersOf(people []*reach) map[*row]int {
	owners := map[*row]int{}
	for i, r := range people {
		for _, v := range r.order {
			if _, taken := owners[v.row]; !taken {
				owners[v.row] = i
			}
		}
	}
	return owners
}

// removedOf counts of each of the people, by store, the rows that are removed from
// where rows usually stay.
func removedOf(people []*reach, fates map[*row]fate) []map[string]int64 {
	counts := make([]map[string]int64, len(people))
	for i, r := range people {
		for _, v := range r.order {
			if v.keep != nil || !fates[v.row].gone {
				continue
			}
			if counts[i] == nil {
				counts[i] = map[string]int64{}
			}
			counts[i][v.row.c.store]++
		}
	}
	return counts
}

// removes reports whether rows that no level helps are removed. Those that waited
// as long as they may are, where the database lets them go.
func (cr *crowd) removes(c *collection) bool {
	bound := slices.ContainsFunc(c.table.referred, func(k *foreignKey) bool { return !k.setNull })
	return cr.otherwise == Delete || cr.otherwise == Wait && !bound
}

// group finds for every row the finest level at which enough people share what is
// left, and returns the rows for which there is none.
func (p *plan) group(ctx context.Context, q querier, c *collection, rows []*row, owners map[*row]int, fates map[*row]fate) ([]*row, error) {
	cr := p.changes[c].crowd
	old, err := p.leftIn(ctx, q, cr, rows)
	if err != nil {
		return nil, err
	}
	joined := map[string]bool{} // groups that are large enough
	for level := range cr.made {
		left, people := make(map[*row]string, len(rows)), map[string]map[int]bool{}
		var groups [][]value
		for _, row := range rows {
			values := cr.left(level, old[row])
			key := string(appendKey(nil, values))
			left[row] = key
			if people[key] == nil {
				people[key] = map[int]bool{}
				if empty(values) {
					joined[key] = true // there is nothing to share
				} else if !joined[key] {
					groups = append(groups, values)
				}
			}
			if who, known := owners[row]; known {
				people[key][who] = true
			}
		}
		there, err := p.countGroups(ctx, q, c, groups)
		if err != nil {
			return nil, err
		}
		var alone []*row
		for _, row := range rows {
			key := left[row]
			if joined[key] = joined[key] || there[key] >= int64(cr.k) || len(people[key]) >= cr.k; joined[key] {
				fates[row] = fate{level: level}
				continue
			}
			alone = append(alone, row)
		}
		if rows = alone; len(rows) == 0 {
			break
		}
	}
	return rows, nil
}

// left is what is left in a row at a level.
func (cr *crowd) left(level int, old []value) []value {
	values := make([]value, len(old))
	for i, v := range old {
		if values[i] = v; cr.made[level][i] != nil {
			values[i] = cr.made[level][i](v)
		}
	}
	return values
}

func empty(values []value) bool {
	return !slices.ContainsFunc(values, func(v value) bool { return v != nil })
}

// leftIn reads what the fields of the crowd hold.
func (p *plan) leftIn(ctx context.Context, q querier, cr *crowd, rows []*row) (map[*row][]value, error) {
	columns := make([]*column, len(cr.fields))
	for i, f := range cr.fields {
		columns[i] = f.col
	}
	old := make(map[*row][]value, len(rows))
	for part := range slices.Chunk(rows, p.d.rowsPer(rows[0].c.table.width())) {
		err := p.readColumns(ctx, q, part, columns, func(i int, read []value) { old[part[i]] = read })
		if err != nil {
			return nil, err
		}
	}
	for _, row := range rows {
		if old[row] == nil {
			return nil, &dbError{failure: failure{text: fmt.Sprintf("collection %s: a row is gone while its group was counted; everything is rolled back", row.c.store), retry: true}}
		}
	}
	return old, nil
}

// countGroups counts, for each group, the rows in it that are nobody's already.
func (p *plan) countGroups(ctx context.Context, q querier, c *collection, groups [][]value) (map[string]int64, error) {
	cr := p.changes[c].crowd
	there := map[string]int64{}
	if len(cr.marks) == 0 || len(groups) == 0 {
		return there, nil
	}
	var on []string
	var tail []value
	for i, f := range cr.fields {
		expr, of := "t."+quote(f.name), fmt.Sprintf("u.v%d", i+1)
		on = append(on, fmt.Sprintf("(%s OR %s IS NULL AND %s IS NULL)", p.same(expr, f.col, of), expr, of))
	}
	for _, ch := range cr.marks {
		switch expr := "t." + quote(ch.f.name); {
		case ch.make == nil:
			on = append(on, expr+" IS NULL")
		case ch.prefix != "":
			on = append(on, expr+" LIKE "+literal(ch.prefix+"%"))
		default:
			tail = append(tail, ch.fixed)
			on = append(on, p.same(expr, ch.f.col, fmt.Sprintf("u.v%d", len(cr.fields)+len(tail))))
		}
	}
	text := fmt.Sprintf("SELECT u.i, count(*) FROM u %s %s AS t ON %s GROUP BY u.i", p.d.join(), c.table.quoted(), strings.Join(on, " AND "))
	for part := range slices.Chunk(groups, p.d.rowsPer(len(cr.fields)+len(tail))) {
		asked := make([][]value, len(part))
		for i, values := range part {
			asked[i] = append(slices.Clone(values), tail...)
		}
		with, args := p.d.values(asked)
		err := each(ctx, q, with+text, args, func(read []any) error {
			i, ok := read[0].(int64)
			n, counted := read[1].(int64)
			if !ok || !counted || i < 0 || int(i) >= len(part) {
				return fmt.Errorf("counting collection %s: unexpected result", c.store)
			}
			there[string(appendKey(nil, part[i]))] = n
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return there, nil
}

// same is the condition that a column holds just the value of u.
func (p *plan) same(expr string, c *column, of string) string {
	if c.class == classText {
		return p.d.exactly(expr, c, of)
	}
	return expr + " = " + p.d.assign(c, of)
}

// How long an erasure waits for others before it is tried again, and how long
// before the answer is due it waits no more.
const (
	waitStep = 24 * time.Hour
	waitEnds = 48 * time.Hour
)

// patience reports, by the day the answer is due, whether the erasure of a member of
// the batch may wait. One that nothing is known of may not.
func (c *Connector) patience(ctx context.Context) func(member int) bool {
	info := sdk.JobInfoFrom(ctx)
	return func(member int) bool {
		due := info.Due
		if member < len(info.Members) {
			due = info.Members[member].Due
		}
		return !due.IsZero() && c.config.Now().Add(waitEnds).Before(due)
	}
}
