package sqlmap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Correct implements [sdk.Corrector]. A correction names a column, as "column"
// or "collection.column", or a data category, which stands for every column of
// exactly that category. A category or a bare name puts right what is there and
// fills nothing in; "collection.column" does that too. Rows that other people
// reach as well are left alone, and so are keys and references: what they point
// at is not what a person disputes.
func (c *Connector) Correct(ctx context.Context, person sdk.Person, corrections []sdk.Correction) error {
	person = c.known(person)
	if len(person.Kinds()) == 0 || len(corrections) == 0 {
		return ctx.Err()
	}
	return c.write(ctx, func(ctx context.Context, p *plan, q querier) error {
		reaches, err := p.look(ctx, q, []sdk.Person{person}, true)
		if err != nil {
			return err
		}
		for _, correction := range corrections {
			if err := p.correct(ctx, q, reaches[0], correction); err != nil {
				return err
			}
		}
		return nil
	})
}

// rejected says that a correction can't be carried out, without its value.
func rejected(format string, args ...any) error {
	return &writerError{sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf(format, args...)))}
}

// correct applies one correction to the rows of a reach.
func (p *plan) correct(ctx context.Context, q querier, r *reach, correction sdk.Correction) error {
	known := false
	for _, c := range p.collections {
		for _, f := range c.fields {
			how := f.corrects(correction.Field)
			if how == "" || !c.counted {
				continue
			}
			known = true
			if err := p.correctable(f, correction.Value.Reveal()); err != nil {
				if how == "category" && f.fixedInPlace() {
					continue // other columns of the category can take it
				}
				return err
			}
			var rows []*row
			for _, v := range r.order {
				if v.row.c == c && !v.held && !v.foreign && c.rules.Role != string(sdk.ServiceProvider) {
					rows = append(rows, v.row)
				}
			}
			if err := p.putRight(ctx, q, rows, f, correction.Value.Reveal(), how); err != nil {
				return err
			}
		}
	}
	if !known {
		return rejected("correcting field %s: no collection has a column or data category of this name", correction.Field)
	}
	return nil
}

// corrects says how a correction names the field: as a "category", a "column",
// or exactly as "this" column; empty if it does not.
func (f *field) corrects(name string) string {
	switch {
	case name == f.c.spec.Name+"."+f.name:
		return "this"
	case name == f.name:
		return "column"
	case slices.Contains(f.spec.DataCategories, name):
		return "category"
	}
	return ""
}

// fixedInPlace reports whether the column is none that a correction changes.
func (f *field) fixedInPlace() bool {
	return f.meta.ReadOnly || f.col.generated || f.c.table.inKey(f.name) || f.link()
}

func (p *plan) correctable(f *field, s string) error {
	what := "correcting field " + f.c.spec.Name + "." + f.name + ": "
	cast, ok := f.cast(s)
	limit := f.col.length
	if n := f.meta.Length; n > 0 && (limit == 0 || n < limit) {
		limit = n
	}
	if f.col.class == classInt || f.col.class == classNumber {
		// SQLite would take anything.
		ok = ok && numberShape.MatchString(s) && (f.col.class == classNumber || !strings.Contains(s, "."))
	}
	switch {
	case f.meta.ReadOnly:
		return rejected("%sthe data map says it is read_only", what)
	case f.col.generated:
		return rejected("%sthe database computes it", what)
	case f.c.table.inKey(f.name) || f.link():
		return rejected("%sit is a key or a reference", what)
	case !ok || !p.d.fits(cast, f.col) || f.col.class == classJSON && len(f.leaves) > 0:
		return rejected("%sthe value is not of the column's type", what)
	case limit > 0 && utf8.RuneCountInString(s) > limit:
		return rejected("%sthe value is longer than the %d characters the column holds", what, limit)
	}
	return nil
}

// putRight sets the column in those of the rows that have it.
func (p *plan) putRight(ctx context.Context, q querier, rows []*row, f *field, s, how string) error {
	if how != "this" {
		var filled []*row
		err := chunks(rows, p.d.rowsPer(f.c.table.width()), func(part []*row) error {
			with, args := p.d.values(keysOf(part))
			on := sameKey(p.d, f.c.table) + " AND t." + quote(f.name) + " IS NOT NULL"
			return each(ctx, q, with+selectRows(p.d, f.c.table, nil, on), args, func(read []any) error {
				i, ok := read[0].(int64)
				if !ok || i < 0 || int(i) >= len(part) {
					return fmt.Errorf("reading collection %s: row number out of range", f.c.store)
				}
				filled = append(filled, part[i])
				return nil
			})
		})
		if err != nil {
			return err
		}
		rows = filled
	}
	cast, _ := f.cast(s)
	effects, err := p.update(ctx, q, rows, []change{{f: f, make: func(value) value { return cast }}})
	if err != nil {
		return err
	}
	return carryOut(ctx, q, effects)
}
