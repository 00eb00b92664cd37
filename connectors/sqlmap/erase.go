package sqlmap

import (
	"context"
	"fmt"
	"slices"
)

// remove carries out the decisions on a reach: first the columns of rows that
// stay, then the rows that go, children before parents.
func (p *plan) remove(ctx context.Context, q querier, r *reach, fates map[*row]fate) error {
	gone := map[*collection][]*row{}
	type set struct {
		changes []change
		rows    []*row
	}
	var sets []*set
	empty := func(v *row, changes []change) {
		if len(changes) == 0 {
			return
		}
		for _, s := range sets {
			// Lists of changes belong to the plan: the same list is the same
			// set.
			if &s.changes[0] == &changes[0] {
				s.rows = append(s.rows, v)
				return
			}
		}
		sets = append(sets, &set{changes: changes, rows: []*row{v}})
	}
	for _, v := range r.order {
		c := v.row.c
		switch {
		case !c.counted:
		case v.keep != nil:
			empty(v.row, v.changes)
		case c.method() == Delete || fates[v.row].gone:
			gone[c] = append(gone[c], v.row)
		case p.changes[c].crowd != nil:
			empty(v.row, p.changes[c].crowd.levels[fates[v.row].level])
		default:
			empty(v.row, p.changes[c].method)
		}
	}
	var effects []effect
	for _, s := range sets {
		more, err := p.update(ctx, q, s.rows, s.changes)
		if err != nil {
			return err
		}
		effects = append(effects, more...)
	}
	for c, fields := range p.loose {
		more, err := p.update(ctx, q, gone[c], nulls(fields))
		if err != nil {
			return err
		}
		effects = append(effects, more...)
	}
	for _, c := range p.erase {
		effects = append(effects, p.delete(c, gone[c])...)
	}
	return carryOut(ctx, q, effects)
}

func nulls(fields []*field) []change {
	var list []change
	for _, f := range fields {
		if !f.col.notNull {
			list = append(list, change{f: f})
		}
	}
	return list
}

// delete removes rows of one table, and fails unless exactly these went.
func (p *plan) delete(c *collection, rows []*row) (effects []effect) {
	for part := range slices.Chunk(rows, p.d.rowsPer(c.table.width())) {
		text, args := p.d.remove(c.table, keysOf(part))
		effects = append(effects, effect{text, args, c, len(part)})
	}
	return effects
}

func keysOf(rows []*row) [][]value {
	keys := make([][]value, len(rows))
	for i, r := range rows {
		keys[i] = r.key
	}
	return keys
}

// update changes columns of rows of one table, and fails unless exactly these
// were there.
func (p *plan) update(ctx context.Context, q querier, rows []*row, changes []change) (effects []effect, err error) {
	if len(rows) == 0 || len(changes) == 0 {
		return nil, nil
	}
	c := rows[0].c
	width := c.table.width()
	var set []assignment
	var made []change
	for _, ch := range changes {
		to := "NULL"
		if ch.make != nil {
			made = append(made, ch)
			to = p.d.assign(ch.f.col, fmt.Sprintf("u.v%d", width+len(made)))
		}
		set = append(set, assignment{ch.f.name, to})
	}
	for part := range slices.Chunk(rows, p.d.rowsPer(width+len(made))) {
		values, err := p.newValues(ctx, q, part, made)
		if err != nil {
			return nil, err
		}
		text, args := p.d.change(c.table, set, values)
		effects = append(effects, effect{text, args, c, len(part)})
	}
	return effects, nil
}

// newValues puts the made-up column values behind the keys of the rows.
func (p *plan) newValues(ctx context.Context, q querier, rows []*row, made []change) ([][]value, error) {
	values := make([][]value, len(rows))
	for i, r := range rows {
		values[i] = slices.Clone(r.key)
	}
	old := make([][]value, len(rows))
	if slices.ContainsFunc(made, func(ch change) bool { return ch.reads }) {
		columns := make([]*column, len(made))
		for i, ch := range made {
			columns[i] = ch.f.col
		}
		if err := p.readColumns(ctx, q, rows, columns, func(i int, read []value) { old[i] = read }); err != nil {
			return nil, err
		}
	}
	for i := range rows {
		for n, ch := range made {
			var was value
			if n < len(old[i]) {
				was = old[i][n]
			}
			values[i] = append(values[i], ch.make(was))
		}
	}
	return values, nil
}

// readColumns reads columns of the rows, which fit into one statement and are of one
// collection.
func (p *plan) readColumns(ctx context.Context, q querier, rows []*row, columns []*column, use func(i int, read []value)) error {
	c := rows[0].c
	with, args := p.d.values(keysOf(rows))
	return each(ctx, q, with+selectRows(p.d, c.table, columns, sameKey(p.d, c.table)), args, func(read []any) error {
		i, ok := read[0].(int64)
		if !ok || i < 0 || int(i) >= len(rows) {
			return fmt.Errorf("reading collection %s: row number out of range", c.store)
		}
		values := make([]value, 0, len(columns))
		for _, v := range read[1+c.table.width():] {
			values = append(values, p.d.read(v))
		}
		use(int(i), values)
		return nil
	})
}
