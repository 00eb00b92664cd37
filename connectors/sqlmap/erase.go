package sqlmap

import (
	"context"
	"fmt"
	"slices"
)

// remove carries out the decisions on a reach: first the columns of rows that
// stay, then the rows that go, children before parents.
func (p *plan) remove(ctx context.Context, q querier, r *reach) error {
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
		case c.method() == Delete:
			gone[c] = append(gone[c], v.row)
		default:
			empty(v.row, p.changes[c].method)
		}
	}
	for _, s := range sets {
		if err := p.update(ctx, q, s.rows, s.changes); err != nil {
			return err
		}
	}
	for c, fields := range p.loose {
		if err := p.update(ctx, q, gone[c], nulls(fields)); err != nil {
			return err
		}
	}
	for _, c := range p.erase {
		if err := p.delete(ctx, q, c, gone[c]); err != nil {
			return err
		}
	}
	return nil
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
func (p *plan) delete(ctx context.Context, q querier, c *collection, rows []*row) error {
	return chunks(rows, p.d.rowsPer(c.table.width()), func(part []*row) error {
		text, args := p.d.remove(c.table, keysOf(part))
		return p.exec(ctx, q, c, text, args, len(part))
	})
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
func (p *plan) update(ctx context.Context, q querier, rows []*row, changes []change) error {
	if len(rows) == 0 || len(changes) == 0 {
		return nil
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
	return chunks(rows, p.d.rowsPer(width+len(made)), func(part []*row) error {
		values, err := p.newValues(ctx, q, part, made)
		if err != nil {
			return err
		}
		text, args := p.d.change(c.table, set, values)
		return p.exec(ctx, q, c, text, args, len(part))
	})
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
		c := rows[0].c
		with, args := p.d.values(values)
		err := each(ctx, q, with+selectRows(p.d, c.table, columns, sameKey(p.d, c.table)), args, func(read []any) error {
			i, ok := read[0].(int64)
			if !ok || i < 0 || int(i) >= len(rows) {
				return fmt.Errorf("reading collection %s: row number out of range", c.store)
			}
			for _, v := range read[1+c.table.width():] {
				old[i] = append(old[i], p.d.read(v))
			}
			return nil
		})
		if err != nil {
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

// exec runs a statement that must touch every row of u and no other.
func (p *plan) exec(ctx context.Context, q querier, c *collection, text string, args []any, want int) error {
	if r, ok := q.(*rehearsal); ok {
		r.would(text, want)
		return nil
	}
	result, err := q.ExecContext(ctx, text, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n != int64(want) {
		return &dbError{failure: failure{
			text:  fmt.Sprintf("collection %s: %d rows were touched instead of %d; everything is rolled back", c.store, n, want),
			retry: true,
		}}
	}
	return nil
}
