package sdktest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// checkSystem makes sure the tests can see: a system whose dump does not show
// what was planted would pass every erasure.
func checkSystem(t *testing.T, w *world) {
	if len(w.her.Person.Identifiers()) == 0 || len(w.her.Stores) == 0 || len(w.her.Traces) == 0 {
		t.Fatal("Plant must return identifiers, counts by store and traces")
	}
	bare, whole := newHaystack(w.bare...), newHaystack(w.whole...)
	for i, trace := range newNeedles(w.her.Traces) {
		if !whole.holds(trace) {
			t.Errorf("trace %d of the planted person does not appear in the dump: Dump does not show everything, or Traces is wrong", i)
		}
		if bare.holds(trace) {
			t.Errorf("trace %d of the planted person was in the dump before she was planted: it is not hers alone", i)
		}
	}
	for i, trace := range w.her.KeptTraces {
		if !slices.Contains(w.her.Traces, trace) {
			t.Errorf("kept trace %d is not among the traces", i)
		}
	}
	for store, kept := range w.her.Kept {
		if kept > w.her.Stores[store] {
			t.Errorf("store %s: planted %d kept of %d", store, kept, w.her.Stores[store])
		}
	}
}

func checkManifest(t *testing.T, w *world) {
	m := w.manifest
	if err := m.Validate(); err != nil {
		t.Errorf("the manifest is not valid: %v", err)
	}
	again, _ := w.system.Open(t)
	if again.Digest != m.Digest {
		t.Error("opening twice gives two digests: every restart would change the plan")
	}
	for store := range w.her.Stores {
		if !slices.Contains(w.stores(), store) {
			t.Errorf("store %s is not in the manifest", store)
		}
	}
	if !slices.ContainsFunc(w.her.Person.Kinds(), func(k sdk.Kind) bool { return slices.Contains(m.Accepts, k) }) {
		t.Errorf("the manifest accepts %v; the planted person has %v", m.Accepts, w.her.Person.Kinds())
	}
	if _, ok := w.connector.(sdk.Resolver); !ok && len(m.Yields) > 0 {
		t.Error("the manifest yields identifiers and the connector is no Resolver")
	}
}

func checkStranger(t *testing.T, w *world) {
	if found := w.locate(t, w.stranger); len(found) != 0 {
		t.Errorf("somebody the system does not know was found in %d stores", len(found))
	}
	if e, ok := w.connector.(sdk.Eraser); ok {
		if err := w.do(t.Context(), func(ctx context.Context) error { return e.Erase(ctx, w.stranger) }); err != nil {
			t.Errorf("erasing somebody the system does not know: %v", err)
		}
		w.wantUnchanged(t, "erasing somebody the system does not know")
	}
}

// checkNobody guards against the worst query there is: one without its
// condition. An error is as good an answer as none.
func checkNobody(t *testing.T, w *world) {
	for _, p := range []sdk.Person{sdk.NewPerson(), sdk.NewPerson(sdk.ID("a_kind_nobody_uses", "value"))} {
		w.wantNobody(t, p)
	}
}

// checkPatterns offers values that mean something to SQL, LIKE, globs, regular
// expressions and loose comparisons, and values that differ from hers by their
// ends.
func checkPatterns(t *testing.T, w *world) {
	kinds := slices.DeleteFunc(w.her.Person.Kinds(), func(k sdk.Kind) bool { return !slices.Contains(w.manifest.Accepts, k) })
	for _, kind := range kinds {
		values := []string{"%", "_", "*", ".*", "?", "' OR '1'='1", "'' OR 1=1 --", `" or ""="`, `{"$ne":null}`, "null", "0", "../*", "&all=1"}
		for _, v := range w.her.Person.Values(kind) {
			if kind == sdk.Phone {
				values = append(values, v+"7")
				continue
			}
			values = append(values, v+"zq7", "zq7"+v, v+"%")
		}
		for _, v := range values {
			w.wantNobody(t, sdk.NewPerson(sdk.ID(kind, v)))
		}
	}
}

// wantNobody fails t when anything is found for p, or erasing p changes
// anything.
func (w *world) wantNobody(t *testing.T, p sdk.Person) {
	t.Helper()
	var found []sdk.Found
	err := w.call(t.Context(), func(ctx context.Context) (err error) {
		found, err = w.connector.Locate(ctx, p)
		return err
	})
	if err == nil && len(found) != 0 {
		t.Errorf("%v, who is nobody, was found in %d stores", p, len(found))
	}
	if e, ok := w.connector.(sdk.Eraser); ok {
		err := w.call(t.Context(), func(ctx context.Context) error { return e.Erase(ctx, p) })
		if err != nil && t.Context().Err() != nil {
			t.Fatal(err)
		}
		w.wantUnchanged(t, "erasing nobody")
	}
}

// wantUnchanged fails t, and ends it, unless the dump is what it was.
func (w *world) wantUnchanged(t *testing.T, act string) {
	t.Helper()
	if after := w.dump(t); !slices.Equal(after, w.whole) {
		t.Fatalf("%s changed the system: %d records before, %d after", act, len(w.whole), len(after))
	}
}

func checkCounts(t *testing.T, w *world) {
	found := w.locate(t, w.her.Person)
	wantPlanted(t, "the planted person", found, w.her)
	for _, p := range w.others {
		wantPlanted(t, "another person", w.locate(t, p.Person), p)
	}
	for _, f := range found {
		if f.Count < 1 {
			t.Errorf("store %s: a count of %d; stores without records are left out", f.Store, f.Count)
		}
		if !slices.Contains(w.stores(), f.Store) {
			t.Errorf("store %s is not in the manifest, which has %v", f.Store, w.stores())
		}
		if f.Keep != nil && f.Keep.Basis == "" {
			t.Errorf("store %s: kept without a basis", f.Store)
		}
		if f.Keep != nil && !f.Keep.Until.After(time.Now()) {
			t.Errorf("store %s: kept until %s, which is not in the future", f.Store, f.Keep.Until.Format(time.DateOnly))
		}
	}
}

func checkLocateReadsOnly(t *testing.T, w *world) {
	for _, p := range []sdk.Person{w.her.Person, w.stranger, w.others[0].Person} {
		w.locate(t, p)
	}
	w.wantUnchanged(t, "Locate")
}

func checkSince(t *testing.T, w *world) {
	all, _ := counts(w.locate(t, w.her.Person))
	early, _ := counts(w.locate(t, w.her.Person.WithSince(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC))))
	if !sameCounts(all, early) {
		t.Errorf("since 1900: located %v, without a limit %v", early, all)
	}
	late, _ := counts(w.locate(t, w.her.Person.WithSince(time.Now().AddDate(1, 0, 0))))
	for store, n := range late {
		if n > all[store] {
			t.Errorf("store %s: %d records since next year, %d in all", store, n, all[store])
		}
	}
	if sameCounts(all, late) {
		t.Skip("the system keeps no dates: no store has fewer records since next year")
	}
}
