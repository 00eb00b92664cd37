package sdktest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func (w *world) eraser(t *testing.T) sdk.Eraser {
	t.Helper()
	e, ok := w.connector.(sdk.Eraser)
	if !ok {
		t.Skip("the connector is no Eraser")
	}
	return e
}

func (w *world) erase(t *testing.T, e sdk.Eraser, p sdk.Person) {
	t.Helper()
	if err := w.do(t.Context(), func(ctx context.Context) error { return e.Erase(ctx, p) }); err != nil {
		t.Fatalf("Erase: %v", err)
	}
}

func checkErase(t *testing.T, w *world) {
	w.erase(t, w.eraser(t), w.her.Person)
	w.wantErased(t)
}

// wantErased checks everything that is true once she is erased, as subtests.
func (w *world) wantErased(t *testing.T) {
	t.Helper()
	found := w.settled(t, w.her.Person, func(found []sdk.Found) bool {
		all, _ := counts(found)
		return sameCounts(all, w.her.Kept)
	})
	after := w.dump(t)
	t.Run("removes_all_of_hers", func(t *testing.T) {
		all, kept := counts(found)
		if left := sumMinus(all, kept); len(left) > 0 {
			t.Errorf("still there and not to be kept: %v", left)
		}
	})
	t.Run("keeps_what_must_be_kept", func(t *testing.T) {
		_, kept := counts(found)
		if !sameCounts(kept, w.her.Kept) {
			t.Errorf("kept %v, want %v", nonzero(kept), nonzero(w.her.Kept))
		}
		if len(nonzero(w.her.Kept)) > 0 && len(w.her.KeptTraces) > 0 && !newHaystack(after...).holdsAny(newNeedles(w.her.KeptTraces)) {
			t.Error("the dump shows nothing of what the law wants kept")
		}
	})
	t.Run("leaves_no_trace", func(t *testing.T) {
		text := newHaystack(after...)
		for i, trace := range w.her.Traces {
			if !slices.Contains(w.her.KeptTraces, trace) && text.holds(newNeedle(trace)) {
				t.Errorf("trace %d (%d bytes) is still in the dump", i, len(trace))
			}
		}
	})
	t.Run("touches_nobody_else", func(t *testing.T) { w.wantOthersIntact(t) })
}

func checkEraseTwice(t *testing.T, w *world) {
	e := w.eraser(t)
	w.erase(t, e, w.her.Person)
	w.erase(t, e, w.her.Person)
	w.wantErased(t)
}

func checkEraseAtOnce(t *testing.T, w *world) {
	e := w.eraser(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := w.do(t.Context(), func(ctx context.Context) error { return e.Erase(ctx, w.her.Person) }); err != nil {
				t.Errorf("Erase, four at once: %v", err)
			}
		})
	}
	group.Wait()
	w.wantErased(t)
}

// checkEraseCutOff cancels erasures at different moments, as a crash or a
// shutdown would, and then lets one run to its end.
func checkEraseCutOff(t *testing.T, w *world) {
	e := w.eraser(t)
	for _, after := range []time.Duration{0, 20 * time.Microsecond, 200 * time.Microsecond, 2 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		// How it ends does not matter: it may have been quick enough.
		err := w.call(ctx, func(ctx context.Context) error { return e.Erase(ctx, w.her.Person) })
		cancel()
		if err != nil && sdk.IsPermanent(err) {
			t.Errorf("an erasure that was cut off calls itself a permanent failure: %v", err)
		}
	}
	w.erase(t, e, w.her.Person)
	w.wantErased(t)
}

func checkBatch(t *testing.T, w *world) {
	l, ok := w.connector.(sdk.BatchLocator)
	if !ok {
		t.Skip("the connector has no batch forms")
	}
	people := []sdk.Person{w.her.Person, w.stranger, w.others[0].Person}
	t.Run("locate", func(t *testing.T) { w.checkBatchLocate(t, l, people) })
	t.Run("erase", func(t *testing.T) {
		e, ok := w.connector.(sdk.BatchEraser)
		if !ok {
			t.Skip("the connector is no BatchEraser")
		}
		// The stranger and somebody who is erased twice in one batch.
		people := []sdk.Person{w.stranger, w.her.Person, w.her.Person}
		err := w.do(t.Context(), func(ctx context.Context) error {
			errs := e.EraseBatch(ctx, people)
			if errs != nil && len(errs) != len(people) {
				return sdk.Permanent(errBatchLength)
			}
			return firstError(errs)
		})
		if err != nil {
			t.Fatalf("EraseBatch: %v", err)
		}
		w.wantErased(t)
	})
}

func (w *world) checkBatchLocate(t *testing.T, l sdk.BatchLocator, people []sdk.Person) {
	t.Helper()
	var results [][]sdk.Found
	err := w.do(t.Context(), func(ctx context.Context) (err error) {
		results, err = l.LocateBatch(ctx, people)
		return err
	})
	if err != nil {
		t.Fatalf("LocateBatch: %v", err)
	}
	if len(results) != len(people) {
		t.Fatalf("LocateBatch: %d results for %d people", len(results), len(people))
	}
	for i, p := range people {
		all, kept := counts(results[i])
		wantAll, wantKept := counts(w.locate(t, p))
		if !sameCounts(all, wantAll) || !sameCounts(kept, wantKept) {
			t.Errorf("person %d of the batch: located %v, %v kept; alone %v, %v kept", i, all, kept, wantAll, wantKept)
		}
	}
	w.wantUnchanged(t, "LocateBatch")
	err = w.do(t.Context(), func(ctx context.Context) error {
		_, err := l.LocateBatch(ctx, nil)
		return err
	})
	if err != nil {
		t.Errorf("LocateBatch of nobody: %v", err)
	}
}
