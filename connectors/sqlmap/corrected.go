package sqlmap

import (
	"context"
	"fmt"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Corrected implements [sdk.CorrectionReader]: it counts the columns that the
// corrections name, in the rows that Correct would touch, and those of them the
// database does not find equal to the right value.
func (c *Connector) Corrected(ctx context.Context, person sdk.Person, corrections []sdk.Correction) (held, wrong int64, err error) {
	person = c.known(person)
	if len(person.Kinds()) == 0 {
		return 0, 0, ctx.Err()
	}
	err = c.within(ctx, false, func(ctx context.Context, p *plan, q querier) error {
		held, wrong = 0, 0
		reaches, err := p.look(ctx, q, []sdk.Person{person}, false)
		if err != nil {
			return err
		}
		for _, correction := range corrections {
			h, w, err := p.corrected(ctx, q, reaches[0], correction)
			if err != nil {
				return err
			}
			held, wrong = held+h, wrong+w
		}
		return nil
	})
	return held, wrong, err
}

func (p *plan) corrected(ctx context.Context, q querier, r *reach, correction sdk.Correction) (held, wrong int64, err error) {
	for _, c := range p.collections {
		for _, f := range c.fields {
			how := f.corrects(correction.Field)
			if how == "" || !c.counted || how == "category" && f.fixedInPlace() {
				continue
			}
			var rows []*row
			for _, v := range r.order {
				if v.row.c == c && !v.held && !v.foreign && c.rules.Role != string(sdk.ServiceProvider) {
					rows = append(rows, v.row)
				}
			}
			have, right, err := p.equal(ctx, q, rows, f, correction.Value.Reveal())
			if err != nil {
				return 0, 0, err
			}
			if how == "this" {
				have = int64(len(rows)) // a row without the value is wrong too
			}
			held, wrong = held+have, wrong+have-right
		}
	}
	return held, wrong, nil
}

// equal counts the rows that have the column, and those in which it has the
// value. A value that is not of the column's type equals nothing.
func (p *plan) equal(ctx context.Context, q querier, rows []*row, f *field, s string) (have, right int64, err error) {
	column := "t." + quote(f.name)
	count := func(rows [][]value, on string, into *int64) error {
		with, args := p.d.values(rows)
		return each(ctx, q, with+selectRows(p.d, f.c.table, nil, sameKey(p.d, f.c.table)+" AND "+on), args, func([]any) error {
			*into++
			return nil
		})
	}
	cast, fits := f.cast(s)
	fits = fits && p.d.fits(cast, f.col) && f.col.class != classJSON
	width := f.c.table.width()
	err = chunks(rows, p.d.rowsPer(width+1), func(part []*row) error {
		if err := count(keysOf(part), column+" IS NOT NULL", &have); err != nil || !fits {
			return err
		}
		keyed := keysOf(part)
		for i := range keyed {
			keyed[i] = append(append([]value(nil), keyed[i]...), cast)
		}
		return count(keyed, column+" = "+p.d.assign(f.col, fmt.Sprintf("u.v%d", width+1)), &right)
	})
	return have, right, err
}
