package restspec

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

//go:generate go run abilities_write.go

// The runtime reads abilities off a connector's type, so each ability is a
// type of its own and a connector is put together from those it has.
type (
	locating   struct{ *engine }
	exporting  struct{ e *engine }
	erasing    struct{ e *engine }
	correcting struct{ e *engine }
	opting     struct{ e *engine }
	resuming   struct{ e *engine }
	resolving  struct{ e *engine }
	limiting   struct{ e *engine }
	lifting    struct{ e *engine }
)

// abilities makes the connector that has just the program's operations.
func (p *Program) abilities(e *engine) sdk.Connector {
	set := 0
	for i, op := range abilityBits {
		if len(p.ops[op]) > 0 {
			set |= 1 << i
		}
	}
	return combine(set, e)
}

// Locate implements [sdk.Connector].
func (e *engine) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	r := e.newRun(p, sdk.JobInfoFrom(ctx))
	if err := r.read(ctx, e.prog.ops["locate"]); err != nil {
		return nil, err
	}
	return r.counts.result(), nil
}

// Quotas implements [sdk.QuotaTeller].
func (e *engine) Quotas(ctx context.Context) ([]sdk.Quota, error) { return e.client.quota.used(ctx) }

// LocateBatch implements [sdk.BatchLocator]. Steps that take many identifiers
// are asked for all people at once, the others one by one.
func (e *engine) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	tm := e.newTeam(ctx, people)
	for _, s := range e.prog.ops["locate"] {
		tm.read(ctx, s)
	}
	all := make([][]sdk.Found, len(people))
	for i, r := range tm.runs {
		if tm.errs[i] != nil {
			return nil, tm.errs[i]
		}
		r.finish(e.prog.ops["locate"])
		all[i] = r.counts.result()
	}
	return all, nil
}

// Export implements [sdk.Exporter].
func (x exporting) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	r := x.e.newRun(p, sdk.JobInfoFrom(ctx))
	r.write = func(ctx context.Context, s *step, raw json.RawMessage) error {
		fields, err := recordFields(raw, x.e.prog.stores[s.store].withhold)
		if err != nil {
			return err
		}
		return w.Write(ctx, sdk.Record{Store: s.store, Fields: fields})
	}
	return r.read(ctx, x.e.prog.ops["export"])
}

// Erase implements [sdk.Eraser].
func (d erasing) Erase(ctx context.Context, p sdk.Person) error {
	return d.EraseBatch(ctx, []sdk.Person{p})[0]
}

// EraseBatch implements [sdk.BatchEraser]. The runtime uses it when the
// manifest says how many people go into a batch.
func (d erasing) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	tm := d.e.newTeam(ctx, people)
	tm.act(ctx, "erase")
	tm.settle("erase", d.e.prog.ops["locate"])
	return tm.errs
}

// Correct implements [sdk.Corrector].
func (c correcting) Correct(ctx context.Context, p sdk.Person, corrections []sdk.Correction) error {
	if err := c.e.prog.corrects(corrections); err != nil {
		return err
	}
	tm := c.e.newTeam(ctx, []sdk.Person{p})
	tm.runs[0].corrections = corrections
	tm.act(ctx, "correct")
	return tm.errs[0]
}

// Corrected implements [sdk.CorrectionReader]: it reads the records anew and
// looks at the fields that the steps say show the values.
func (c correcting) Corrected(ctx context.Context, p sdk.Person, corrections []sdk.Correction) (held, wrong int64, err error) {
	if err := c.e.prog.corrects(corrections); err != nil {
		return 0, 0, err
	}
	tm := c.e.newTeam(ctx, []sdk.Person{p})
	r := tm.runs[0]
	for _, s := range c.e.prog.ops["correct"] {
		if s.reads() {
			tm.read(ctx, s)
			if tm.errs[0] != nil {
				return 0, 0, tm.errs[0]
			}
			continue
		}
		for _, i := range r.cols[s.each] {
			for _, want := range corrections {
				have, _ := scalarText(i.fields[s.shows])
				if have == "" || !slices.Contains(s.corrects, want.Field) {
					continue
				}
				held++
				if !sameValue(have, want.Value.Reveal()) {
					wrong++
				}
			}
		}
	}
	return held, wrong, nil
}

// sameValue compares a field with what it should be. Systems write phone
// numbers in their own way.
func sameValue(have, want string) bool {
	if have == want {
		return true
	}
	isNumber := !strings.ContainsFunc(want, func(r rune) bool { return !strings.ContainsRune("+0123456789 -().", r) })
	return isNumber && len(normalise(sdk.Phone, want)) >= 7 && sameIdentifier(sdk.Phone, have, want)
}

// corrects refuses corrections that no step makes, before anything is changed.
func (p *Program) corrects(corrections []sdk.Correction) error {
	for _, c := range corrections {
		if !slices.ContainsFunc(p.ops["correct"], func(s *step) bool { return slices.Contains(s.corrects, c.Field) }) {
			field := c.Field
			if !categoryPattern.MatchString(field) || len(field) > 80 {
				field = "a field that was asked for" // it may hold anything
			}
			return sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("correcting %s: the specification has no step for it", field)))
		}
	}
	return nil
}

// OptOut implements [sdk.OptOuter].
func (o opting) OptOut(ctx context.Context, p sdk.Person) error {
	tm := o.e.newTeam(ctx, []sdk.Person{p})
	tm.act(ctx, "opt_out")
	tm.settle("opt_out", o.e.prog.ops["opted_out"])
	return tm.errs[0]
}

// OptedOut implements [sdk.OptOuter].
func (o opting) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	return o.e.inForce(ctx, p, "opt_out", "opted_out")
}

// LimitSPI implements [sdk.Limiter].
func (l limiting) LimitSPI(ctx context.Context, p sdk.Person) error {
	tm := l.e.newTeam(ctx, []sdk.Person{p})
	tm.act(ctx, "limit_spi")
	tm.settle("limit_spi", l.e.prog.ops["limited_spi"])
	return tm.errs[0]
}

// LimitedSPI implements [sdk.Limiter].
func (l limiting) LimitedSPI(ctx context.Context, p sdk.Person) (bool, error) {
	return l.e.inForce(ctx, p, "limit_spi", "limited_spi")
}

// inForce reports whether a choice that op makes is in force: every target of
// every step of seen has to say so, and there has to be one.
func (e *engine) inForce(ctx context.Context, p sdk.Person, op, seen string) (bool, error) {
	r, asked := e.newRun(p, sdk.JobInfoFrom(ctx)), 0
	for _, s := range e.prog.ops[seen] {
		for _, t := range r.targets(s) {
			asked++
			var yes bool
			var err error
			if s.assumed != "" {
				yes, err = r.settled(op, t)
			} else {
				yes, err = e.expect(ctx, r, s, t)
			}
			if err != nil || !yes {
				return false, err
			}
		}
	}
	return asked > 0, nil
}

// OptIn implements [sdk.Resumer].
func (u resuming) OptIn(ctx context.Context, p sdk.Person) error {
	tm := u.e.newTeam(ctx, []sdk.Person{p})
	tm.act(ctx, "opt_in")
	return tm.errs[0]
}

// LiftLimit implements [sdk.LimitLifter].
func (l lifting) LiftLimit(ctx context.Context, p sdk.Person) error {
	tm := l.e.newTeam(ctx, []sdk.Person{p})
	tm.act(ctx, "lift_limit")
	return tm.errs[0]
}

func (e *engine) expect(ctx context.Context, r *run, s *step, t target) (bool, error) {
	a, err := e.client.send(ctx, s.call, values{r: r, t: t}, change{}, "")
	if err != nil {
		return false, fmt.Errorf("step %s: %w", s.name, err)
	}
	defer a.close()
	if a.means == "missing" {
		return false, nil
	}
	body, err := e.readWhole(a)
	if err != nil {
		return false, fmt.Errorf("step %s: %s: %w", s.name, s.call.label, err)
	}
	return slices.ContainsFunc(all(body, s.expect.Field), func(v string) bool { return slices.Contains(s.expect.In, v) }), nil
}

// Resolve implements [sdk.Resolver].
func (v resolving) Resolve(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	r := v.e.newRun(p, sdk.JobInfoFrom(ctx))
	type claim struct {
		s *step
		y yield
		sdk.Identifier
	}
	var claims []claim
	r.learn = func(_ context.Context, s *step, rec any) error {
		for _, y := range s.yields {
			for _, value := range all(rec, y.Field) {
				c := claim{s, y, sdk.ID(y.Kind, value)}
				if value != "" && !slices.ContainsFunc(claims, func(o claim) bool { return o.Identifier == c.Identifier }) {
					claims = append(claims, c)
				}
			}
		}
		return nil
	}
	if err := r.read(ctx, v.e.prog.ops["resolve"]); err != nil {
		return nil, err
	}
	var ids []sdk.Identifier
	for _, c := range claims {
		shared, err := r.shared(ctx, c.s, c.y, c.Value.Reveal())
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", c.s.name, err)
		}
		if !shared {
			ids = append(ids, c.Identifier)
		}
	}
	return ids, nil
}

// shared asks whether anybody else has the value.
func (r *run) shared(ctx context.Context, s *step, y yield, value string) (bool, error) {
	if y.alone == nil {
		return false, nil
	}
	others := false
	err := r.e.list(ctx, y.alone.call, y.alone.list, values{r: r, extra: value}, func(_ json.RawMessage, rec any) error {
		id, _ := scalarText(at(rec, y.alone.list.ID))
		others = others || !r.met(s, id)
		return nil
	})
	return others, err
}
