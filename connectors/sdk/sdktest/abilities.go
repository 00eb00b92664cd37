package sdktest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func checkCorrect(t *testing.T, w *world) {
	c, ok := w.connector.(sdk.Corrector)
	if !ok {
		t.Skip("the connector is no Corrector")
	}
	if len(w.her.Corrections) == 0 {
		t.Skip("the system plants nothing to correct")
	}
	before := newHaystack(w.whole...)
	for range 2 {
		err := w.do(t.Context(), func(ctx context.Context) error { return c.Correct(ctx, w.her.Person, w.her.Corrections) })
		if err != nil {
			t.Fatalf("Correct: %v", err)
		}
		text := newHaystack(w.dump(t)...)
		for _, correction := range w.her.Corrections {
			value := newNeedle(correction.Value.Reveal())
			if before.holds(value) {
				t.Fatalf("the right value of %s was in the dump before", correction.Field)
			}
			if !text.holds(value) {
				t.Errorf("the right value of %s is not in the dump", correction.Field)
			}
		}
	}
	w.wantOthersIntact(t)
}

func checkOptOut(t *testing.T, w *world) {
	o, ok := w.connector.(sdk.OptOuter)
	if !ok {
		t.Skip("the connector is no OptOuter")
	}
	c := choice{w, "opted out", "OptOut", o.OptOut, o.OptedOut}
	teller, ok := w.connector.(sdk.StandingTeller)
	if ok {
		t.Run("stands_nowhere_before", func(t *testing.T) { wantStanding(t, w, teller, false) })
	}
	c.check(t)
	if ok {
		t.Run("stands_everywhere_after", func(t *testing.T) { wantStanding(t, w, teller, true) })
	}
}

// wantStanding holds what a connector tells of an opt-out of hers against whether
// there is one. Asking changes nothing.
func wantStanding(t *testing.T, w *world, teller sdk.StandingTeller, out bool) {
	t.Helper()
	before := w.dump(t)
	var stores []sdk.Standing
	err := w.do(t.Context(), func(ctx context.Context) (err error) {
		stores, err = teller.OptOutStanding(ctx, w.her.Person)
		return err
	})
	if err != nil {
		t.Fatalf("asking how an opt-out stands: %v", err)
	}
	for _, s := range stores {
		if !slices.ContainsFunc(w.manifest.Stores, func(of sdk.Store) bool { return of.Name == s.Store }) {
			t.Errorf("the opt-out stands in store %s, which is not in the manifest", s.Store)
		}
		if s.InForce < 0 || s.Open < 0 || out && s.Open > 0 || !out && s.InForce > 0 {
			t.Errorf("store %s: the opt-out is in force in %d records and not in %d; made: %v", s.Store, s.InForce, s.Open, out)
		}
	}
	if !slices.Equal(before, w.dump(t)) {
		t.Error("asking how an opt-out stands changed the system")
	}
}

func checkLimit(t *testing.T, w *world) {
	l, ok := w.connector.(sdk.Limiter)
	if !ok {
		t.Skip("the connector is no Limiter")
	}
	c := choice{w, "limited", "LimitSPI", l.LimitSPI, l.LimitedSPI}
	c.check(t)
}

// choice is something a person may choose: how it is made, and asked for.
type choice struct {
	w       *world
	is, set string
	make    func(context.Context, sdk.Person) error
	holds   func(context.Context, sdk.Person) (bool, error)
}

// in asks whether the choice is in force for somebody.
func (c *choice) in(t *testing.T, p sdk.Person) (in bool) {
	t.Helper()
	err := c.w.do(t.Context(), func(ctx context.Context) (err error) {
		in, err = c.holds(ctx, p)
		return err
	})
	if err != nil {
		t.Fatalf("asking whether somebody is %s: %v", c.is, err)
	}
	return in
}

// twice makes the choice two times and waits until it is in force.
func (c *choice) twice(t *testing.T, p sdk.Person) {
	t.Helper()
	if c.in(t, p) {
		t.Fatalf("%s before having asked", c.is)
	}
	for range 2 {
		if err := c.w.do(t.Context(), func(ctx context.Context) error { return c.make(ctx, p) }); err != nil {
			t.Fatalf("%s: %v", c.set, err)
		}
	}
	c.w.until(t, "not "+c.is+" after "+c.set+" succeeded", func() bool { return c.in(t, p) })
}

// until waits for what an act brings about, as long as the system settles.
func (w *world) until(t *testing.T, otherwise string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(w.manifest.Settle); !ok(); {
		if !time.Now().Before(end) {
			t.Fatal(otherwise)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *choice) check(t *testing.T) {
	t.Helper()
	w := c.w
	t.Run("takes_effect_for_her_alone", func(t *testing.T) {
		c.twice(t, w.her.Person)
		for _, p := range w.others {
			if c.in(t, p.Person) {
				t.Errorf("somebody else is %s as well", c.is)
			}
		}
	})
	t.Run("is_no_erasure", func(t *testing.T) {
		wantPlanted(t, "the person who is "+c.is, w.locate(t, w.her.Person), w.her)
	})
	t.Run("is_remembered_for_a_stranger", func(t *testing.T) { c.twice(t, w.stranger) })
}

// checkOptIn takes opt-outs back.
func checkOptIn(t *testing.T, w *world) {
	r, ok := w.connector.(sdk.Resumer)
	if !ok {
		t.Skip("the connector is no Resumer")
	}
	c := choice{w, "opted out", "OptOut", r.OptOut, r.OptedOut}
	c.checkTakenBack(t, "OptIn", r.OptIn)
}

// checkLiftLimit takes limits back.
func checkLiftLimit(t *testing.T, w *world) {
	l, ok := w.connector.(sdk.LimitLifter)
	if !ok {
		t.Skip("the connector is no LimitLifter")
	}
	c := choice{w, "limited", "LimitSPI", l.LimitSPI, l.LimitedSPI}
	c.checkTakenBack(t, "LiftLimit", l.LiftLimit)
}

// checkTakenBack takes choices back: hers, twice, while those of others and of
// strangers stay, and one that was never made.
func (c *choice) checkTakenBack(t *testing.T, name string, lift func(context.Context, sdk.Person) error) {
	t.Helper()
	w := c.w
	back := func(t *testing.T, p sdk.Person) {
		t.Helper()
		for range 2 {
			if err := w.do(t.Context(), func(ctx context.Context) error { return lift(ctx, p) }); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		w.until(t, "still "+c.is+" after "+name+" succeeded", func() bool { return !c.in(t, p) })
	}
	t.Run("of_one_who_never_"+strings.ReplaceAll(c.is, " ", "_")+"_succeeds", func(t *testing.T) { back(t, w.her.Person) })
	t.Run("lifts_hers_alone", func(t *testing.T) {
		c.twice(t, w.her.Person)
		c.twice(t, w.others[0].Person)
		c.twice(t, w.stranger)
		back(t, w.her.Person)
		for _, id := range w.her.Person.Identifiers() {
			if slices.Contains(w.manifest.Accepts, id.Kind) && c.in(t, sdk.NewPerson(id)) {
				t.Errorf("still %s by her %s", c.is, id.Kind)
			}
		}
		for _, p := range []sdk.Person{w.others[0].Person, w.stranger} {
			if !c.in(t, p) {
				t.Errorf("somebody else is not %s any more", c.is)
			}
		}
	})
	t.Run("of_a_stranger_is_forgotten_too", func(t *testing.T) { back(t, w.stranger) })
	t.Run("changes_no_record", func(t *testing.T) {
		wantPlanted(t, "the person who took it back", w.locate(t, w.her.Person), w.her)
	})
	t.Run("can_be_taken_back", func(t *testing.T) { c.twice(t, w.her.Person) })
}

func checkResolve(t *testing.T, w *world) {
	r, ok := w.connector.(sdk.Resolver)
	if !ok {
		t.Skip("the connector is no Resolver")
	}
	resolve := func(t *testing.T, p sdk.Person) (ids []sdk.Identifier) {
		t.Helper()
		err := w.do(t.Context(), func(ctx context.Context) (err error) {
			ids, err = r.Resolve(ctx, p)
			return err
		})
		if err != nil {
			t.Fatalf("Resolve: %v", err)
		}
		return ids
	}
	t.Run("yields_exactly_her_identifiers", func(t *testing.T) {
		for _, p := range append([]Planted{w.her}, w.others...) {
			w.wantYields(t, resolve(t, p.Person), p)
		}
	})
	t.Run("of_a_stranger_is_empty", func(t *testing.T) {
		for _, p := range []sdk.Person{w.stranger, sdk.NewPerson()} {
			if ids := sdk.NewPerson(resolve(t, p)...); len(minus(ids, p)) > 0 {
				t.Errorf("%v for somebody the system does not know", ids.Kinds())
			}
		}
	})
	w.wantUnchanged(t, "Resolve")
}

func (w *world) wantYields(t *testing.T, ids []sdk.Identifier, p Planted) {
	t.Helper()
	have, want := minus(sdk.NewPerson(ids...), p.Person), minus(sdk.NewPerson(p.Yields...), p.Person)
	for _, id := range want {
		if !slices.Contains(have, id) {
			t.Errorf("an identifier of kind %s is missing", id.Kind)
		}
	}
	for _, id := range have {
		if !slices.Contains(want, id) {
			t.Errorf("an identifier of kind %s is not hers alone", id.Kind)
		}
		if !slices.Contains(w.manifest.Yields, id.Kind) {
			t.Errorf("kind %s is not among what the manifest yields, %v", id.Kind, w.manifest.Yields)
		}
	}
}

// minus returns the identifiers of p that q does not have.
func minus(p, q sdk.Person) []sdk.Identifier {
	has := q.Identifiers()
	return slices.DeleteFunc(p.Identifiers(), func(id sdk.Identifier) bool { return slices.Contains(has, id) })
}

// calls are all single-person calls the connector has, by name.
func (w *world) calls(p sdk.Person) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{
		"Locate": func(ctx context.Context) error { _, err := w.connector.Locate(ctx, p); return err },
	}
	if c, ok := w.connector.(sdk.Eraser); ok {
		calls["Erase"] = func(ctx context.Context) error { return c.Erase(ctx, p) }
	}
	if c, ok := w.connector.(sdk.Exporter); ok {
		calls["Export"] = func(ctx context.Context) error { return c.Export(ctx, p, &basket{}) }
	}
	if c, ok := w.connector.(sdk.Corrector); ok {
		calls["Correct"] = func(ctx context.Context) error { return c.Correct(ctx, p, w.her.Corrections) }
	}
	if c, ok := w.connector.(sdk.OptOuter); ok {
		calls["OptOut"] = func(ctx context.Context) error { return c.OptOut(ctx, p) }
		calls["OptedOut"] = func(ctx context.Context) error { _, err := c.OptedOut(ctx, p); return err }
	}
	if c, ok := w.connector.(sdk.Resumer); ok {
		calls["OptIn"] = func(ctx context.Context) error { return c.OptIn(ctx, p) }
	}
	if c, ok := w.connector.(sdk.Limiter); ok {
		calls["LimitSPI"] = func(ctx context.Context) error { return c.LimitSPI(ctx, p) }
		calls["LimitedSPI"] = func(ctx context.Context) error { _, err := c.LimitedSPI(ctx, p); return err }
	}
	if c, ok := w.connector.(sdk.LimitLifter); ok {
		calls["LiftLimit"] = func(ctx context.Context) error { return c.LiftLimit(ctx, p) }
	}
	if c, ok := w.connector.(sdk.Resolver); ok {
		calls["Resolve"] = func(ctx context.Context) error { _, err := c.Resolve(ctx, p); return err }
	}
	if c, ok := w.connector.(sdk.BatchLocator); ok {
		calls["LocateBatch"] = func(ctx context.Context) error { _, err := c.LocateBatch(ctx, []sdk.Person{p}); return err }
	}
	if c, ok := w.connector.(sdk.BatchEraser); ok {
		calls["EraseBatch"] = func(ctx context.Context) error { return firstError(c.EraseBatch(ctx, []sdk.Person{p})) }
	}
	return calls
}

// checkCancelled wants an error from every call under a cancelled context: a
// nil result would be read as "nothing is held".
func checkCancelled(t *testing.T, w *world) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range w.calls(w.her.Person) {
		start := time.Now()
		err := w.call(cancelled, call)
		if err == nil {
			t.Errorf("%s under a cancelled context returned no error", name)
		}
		if sdk.IsPermanent(err) {
			t.Errorf("%s under a cancelled context calls it a permanent failure", name)
		}
		if took := time.Since(start); took > promptly {
			t.Errorf("%s under a cancelled context took %s", name, took.Round(time.Millisecond))
		}
	}
	if e, ok := w.connector.(sdk.Exporter); ok {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		err := w.call(ctx, func(ctx context.Context) error { return e.Export(ctx, w.her.Person, &basket{then: cancel}) })
		if err == nil {
			t.Error("Export, cancelled at its first record, returned no error")
		}
		if took := time.Since(start); took > promptly {
			t.Errorf("Export, cancelled at its first record, took %s", took.Round(time.Millisecond))
		}
	}
	w.wantUnchanged(t, "a cancelled call")
}

// checkLeaks provokes errors and then looks at everything that was said since
// Run began.
func checkLeaks(t *testing.T, w *world) {
	provoke := func(ctx context.Context) {
		for _, p := range []sdk.Person{w.her.Person, w.stranger} {
			for _, call := range w.calls(p) {
				if err := w.call(ctx, call); err != nil && t.Context().Err() != nil {
					t.Fatal(err)
				}
			}
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	provoke(cancelled)
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	provoke(late)
	provoke(t.Context())
	if b, ok := w.system.(Breaker); ok {
		b.Break(t)
		short, cancelShort := context.WithTimeout(t.Context(), promptly)
		defer cancelShort()
		provoke(short)
	}
	inErrors, inLogs := w.heard.leaks()
	if inErrors > 0 {
		t.Errorf("%d errors hold an identifier or a trace of a person", inErrors)
	}
	if inLogs > 0 {
		t.Errorf("%d log lines hold an identifier or a trace of a person", inLogs)
	}
}
