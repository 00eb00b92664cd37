package restspec

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// The runtime reads abilities off a connector's type, so each ability is a
// type of its own and a connector is put together from those it has.
type (
	locating  struct{ *engine }
	exporting struct{ e *engine }
	erasing   struct{ e *engine }
	opting    struct{ e *engine }
	resolving struct{ e *engine }
)

// abilities makes the connector that has just the program's operations.
func (p *Program) abilities(e *engine) sdk.Connector {
	l, x, d, o, r := locating{e}, exporting{e}, erasing{e}, opting{e}, resolving{e}
	has := func(op string) string {
		if len(p.ops[op]) > 0 {
			return op[:2]
		}
		return "--"
	}
	switch has("export") + has("erase") + has("opt_out") + has("resolve") {
	case "exeropre":
		return struct {
			locating
			exporting
			erasing
			opting
			resolving
		}{l, x, d, o, r}
	case "exerop--":
		return struct {
			locating
			exporting
			erasing
			opting
		}{l, x, d, o}
	case "exer--re":
		return struct {
			locating
			exporting
			erasing
			resolving
		}{l, x, d, r}
	case "exer----":
		return struct {
			locating
			exporting
			erasing
		}{l, x, d}
	case "ex--opre":
		return struct {
			locating
			exporting
			opting
			resolving
		}{l, x, o, r}
	case "ex--op--":
		return struct {
			locating
			exporting
			opting
		}{l, x, o}
	case "ex----re":
		return struct {
			locating
			exporting
			resolving
		}{l, x, r}
	case "ex------":
		return struct {
			locating
			exporting
		}{l, x}
	case "--eropre":
		return struct {
			locating
			erasing
			opting
			resolving
		}{l, d, o, r}
	case "--erop--":
		return struct {
			locating
			erasing
			opting
		}{l, d, o}
	case "--er--re":
		return struct {
			locating
			erasing
			resolving
		}{l, d, r}
	case "--er----":
		return struct {
			locating
			erasing
		}{l, d}
	case "----opre":
		return struct {
			locating
			opting
			resolving
		}{l, o, r}
	case "----op--":
		return struct {
			locating
			opting
		}{l, o}
	case "------re":
		return struct {
			locating
			resolving
		}{l, r}
	default:
		return l
	}
}

// Export implements [sdk.Exporter].
func (x exporting) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	r := x.e.newRun(p)
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
	return d.e.newRun(p).act(ctx, "erase", d.e.prog.ops["erase"])
}

// OptOut implements [sdk.OptOuter].
func (o opting) OptOut(ctx context.Context, p sdk.Person) error {
	return o.e.newRun(p).act(ctx, "opt_out", o.e.prog.ops["opt_out"])
}

// OptedOut implements [sdk.OptOuter]: every target of every step has to say so,
// and there has to be one.
func (o opting) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	r, asked := o.e.newRun(p), 0
	for _, s := range o.e.prog.ops["opted_out"] {
		for _, t := range r.targets(s) {
			asked++
			yes, err := o.expect(ctx, r, s, t)
			if err != nil || !yes {
				return false, err
			}
		}
	}
	return asked > 0, nil
}

func (o opting) expect(ctx context.Context, r *run, s *step, t target) (bool, error) {
	a, err := o.e.client.send(ctx, s.call, values{r: r, t: t}, change{}, "")
	if err != nil {
		return false, fmt.Errorf("step %s: %w", s.name, err)
	}
	defer a.close()
	if a.means == "missing" {
		return false, nil
	}
	body, err := o.e.readWhole(a)
	if err != nil {
		return false, fmt.Errorf("step %s: %s: %w", s.name, s.call.label, err)
	}
	return slices.ContainsFunc(all(body, s.expect.Field), func(v string) bool { return slices.Contains(s.expect.In, v) }), nil
}

// Resolve implements [sdk.Resolver].
func (v resolving) Resolve(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	r := v.e.newRun(p)
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
