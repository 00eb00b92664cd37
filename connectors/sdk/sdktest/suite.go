package sdktest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// How long one call, and one piece of work with its repetitions, may take.
const (
	callTimeout  = 30 * time.Second
	workTimeout  = 2 * time.Minute
	promptly     = 5 * time.Second // a cancelled call is over by then
	longestPause = time.Second     // between two questions about unfinished work
	tries        = 6               // of a call whose error is worth retrying
)

// Numbers of the people in a world: her, whom the test is about, two who stay,
// and one who is planted in no world but the spare one.
const (
	numberHer      = 1
	numberNeighbor = 2
	numberOther    = 3
	numberStranger = 4
)

// Run checks every promise of package sdk against the connector of the systems
// that newSystem makes. Each check is a subtest named for what it promises;
// checks of abilities the connector does not have are skipped and say so.
//
// Run replaces the default slog logger while it works, to read what the
// connector logs, so it can't run in parallel with other tests.
func Run(t *testing.T, newSystem func(t testing.TB) System) {
	t.Helper()
	heard := listen(t)
	check := func(name string, f func(t *testing.T, w *world)) {
		t.Run(name, func(t *testing.T) { f(t, newWorld(t, newSystem, heard)) })
	}
	check("the_system_is_fit_to_test", checkSystem)
	check("manifest_is_sound", checkManifest)
	check("a_stranger_is_not_found", checkStranger)
	check("a_person_without_identifiers_is_nobody", checkNobody)
	check("identifiers_are_values_and_not_patterns", checkPatterns)
	check("locate_counts_what_was_planted", checkCounts)
	check("locate_changes_nothing", checkLocateReadsOnly)
	check("locate_honours_since", checkSince)
	check("erase", checkErase)
	check("erase_twice_is_fine", checkEraseTwice)
	check("erase_four_at_once_is_fine", checkEraseAtOnce)
	check("erase_cut_off_can_be_finished", checkEraseCutOff)
	check("export", checkExport)
	check("correct", checkCorrect)
	check("opt_out", checkOptOut)
	check("opt_in", checkOptIn)
	check("limit", checkLimit)
	check("lift_limit", checkLiftLimit)
	check("resolve", checkResolve)
	check("list", checkList)
	check("batches_agree_with_single_calls", checkBatch)
	check("cancelled_contexts_stop", checkCancelled)
	check("no_identifier_in_errors_or_logs", checkLeaks)
}

// world is one instance with three people in it and what was overheard.
type world struct {
	system    System
	manifest  sdk.Manifest
	connector sdk.Connector
	her       Planted
	others    []Planted
	stranger  sdk.Person
	// bare is the dump before she was planted, whole the one after.
	bare, whole []string
	heard       *heard
}

func newWorld(t *testing.T, newSystem func(t testing.TB) System, h *heard) *world {
	t.Helper()
	// The stranger is real elsewhere: her identifiers look right, and are
	// unknown here.
	stranger := newSystem(t).Plant(t, numberStranger)
	w := &world{system: newSystem(t), heard: h, stranger: stranger.Person}
	w.others = []Planted{w.system.Plant(t, numberNeighbor), w.system.Plant(t, numberOther)}
	w.bare = w.dump(t)
	w.her = w.system.Plant(t, numberHer)
	w.whole = w.dump(t)
	w.manifest, w.connector = w.system.Open(t)
	h.know(append(w.others, w.her, stranger)...)
	return w
}

// dump returns the system's records, sorted.
func (w *world) dump(t testing.TB) []string {
	t.Helper()
	return slices.Sorted(slices.Values(w.system.Dump(t)))
}

// call makes one call with a deadline and listens to its error.
func (w *world) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return w.heard.error(f(ctx))
}

// do makes a call as the runtime would: again after an error worth retrying,
// and again while the system has not finished.
func (w *world) do(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	for failed := 0; ; {
		err := w.call(ctx, f)
		if err == nil || sdk.IsPermanent(err) {
			return err
		}
		pause, notYet := sdk.AsNotYet(err)
		if !notYet {
			if failed++; failed == tries {
				return err
			}
			pause = 20 * time.Millisecond << failed
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(min(pause, longestPause)):
		}
	}
}

func (w *world) locate(t testing.TB, p sdk.Person) []sdk.Found {
	t.Helper()
	var found []sdk.Found
	err := w.do(t.Context(), func(ctx context.Context) (err error) {
		found, err = w.connector.Locate(ctx, p)
		return err
	})
	if err != nil {
		t.Fatalf("Locate: %v", err)
	}
	return found
}

// settled locates until the result fits or the manifest's settling time is
// over, and returns the last one.
func (w *world) settled(t testing.TB, p sdk.Person, fits func([]sdk.Found) bool) []sdk.Found {
	t.Helper()
	for end := time.Now().Add(w.manifest.Settle); ; {
		found := w.locate(t, p)
		if fits(found) || !time.Now().Before(end) {
			return found
		}
		select {
		case <-t.Context().Done():
			return found
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// counts sums what was found by store: all of it, and what must be kept.
func counts(found []sdk.Found) (all, kept map[string]int64) {
	all, kept = map[string]int64{}, map[string]int64{}
	for _, f := range found {
		all[f.Store] += f.Count
		if f.Keep != nil {
			kept[f.Store] += f.Count
		}
	}
	return all, kept
}

// nonzero returns m without its zeros.
func nonzero(m map[string]int64) map[string]int64 {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(_ string, n int64) bool { return n == 0 })
	return m
}

func sameCounts(a, b map[string]int64) bool { return maps.Equal(nonzero(a), nonzero(b)) }

// sumMinus returns a - b by store, without zeros.
func sumMinus(a, b map[string]int64) map[string]int64 {
	d := maps.Clone(a)
	if d == nil {
		d = map[string]int64{}
	}
	for store, n := range b {
		d[store] -= n
	}
	return nonzero(d)
}

// wantPlanted fails t unless found is what was planted, for somebody whose
// records nobody has touched.
func wantPlanted(t testing.TB, who string, found []sdk.Found, p Planted) {
	t.Helper()
	all, kept := counts(found)
	if !sameCounts(all, p.Stores) {
		t.Errorf("%s: located %v, planted %v", who, nonzero(all), nonzero(p.Stores))
	}
	if !sameCounts(kept, p.Kept) {
		t.Errorf("%s: located %v to be kept, planted %v", who, nonzero(kept), nonzero(p.Kept))
	}
}

// wantOthersIntact fails t unless the others' records are byte for byte what
// they were, and all found.
func (w *world) wantOthersIntact(t testing.TB) {
	t.Helper()
	after := w.dump(t)
	have := map[string]int{}
	for _, line := range after {
		have[line]++
	}
	hers := newNeedles(w.her.Traces)
	lost := 0
	for _, line := range w.bare {
		// A missing line that showed her is partly hers.
		if have[line]--; have[line] < 0 && !newHaystack(line).holdsAny(hers) {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d records that are not hers were changed or removed", lost, len(w.bare))
	}
	was, is := newHaystack(w.bare...), newHaystack(after...)
	for i, p := range w.others {
		for j, trace := range newNeedles(p.Traces) {
			if was.holds(trace) && !is.holds(trace) {
				t.Errorf("trace %d of person %d, who was left alone, is gone from the dump", j, i+2)
			}
		}
		wantPlanted(t, "somebody who was left alone", w.locate(t, p.Person), p)
	}
}

// stores returns the store names of the manifest.
func (w *world) stores() []string {
	var names []string
	for _, s := range w.manifest.Stores {
		names = append(names, s.Name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}

// listen replaces the default logger for the length of t.
func listen(t testing.TB) *heard {
	h := &heard{}
	previous := slog.Default()
	// Times are left out: their digits could look like somebody's number.
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: noTime})))
	t.Cleanup(func() { slog.SetDefault(previous) })
	return h
}
