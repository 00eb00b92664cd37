// Package storetest is what every [store.Store] must pass.
//
// It owes a store's author this: a store that passes keeps every promise in the
// documentation of package store, alone and under concurrent use, so that the
// rooms need not know which one they were given. [Run] is for any store,
// [RunMigrations] for one whose schema has versions.
package storetest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Run tests a store. open returns an empty one, with the newest schema, that
// is closed when its t ends.
func Run(t *testing.T, open func(t testing.TB) store.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"create answers in order", testCreate},
		{"create nothing", testCreateNothing},
		{"idempotency key", testIdempotency},
		{"idempotency key within a batch", testIdempotencyInBatch},
		{"idempotency key many at once", testIdempotencyAtOnce},
		{"create again after a lost answer", testCreateAgain},
		{"create all or nothing", testCreateAllOrNothing},

		{"advance by id", testAdvanceByID},
		{"advance by state", testAdvanceByState},
		{"advance without jobs", testAdvanceWithoutJobs},
		{"advance writes what changed", testAdvanceWrites},
		{"advance keeps the order of jobs", testJobOrder},
		{"advance rolls back an error", testAdvanceError},
		{"advance rolls back a panic", testAdvancePanic},
		{"advance rolls back a cancelled context", testAdvanceCancelled},
		{"advance rolls back what can't be written", testAdvanceUnwritable},
		{"concurrent advances lose nothing", testConcurrentAdvance},
		{"concurrent claims never share", testConcurrentClaims},

		{"requests come back whole", testRequestRoundTrip},
		{"jobs come back whole", testJobRoundTrip},
		{"records come back whole", testRecordRoundTrip},
		{"zero values come back as such", testZeroValues},
		{"hostile text is only text", testHostileText},

		{"get", testGet},
		{"list pages", testListPages},
		{"list filters", testListFilters},
		{"several", testSeveral},
		{"jobs of", testJobsOf},
		{"counts", testCounts},
		{"list by regime", testListRegime},
		{"standing", testStanding},
		{"pressing", testPressing},
		{"days", testDays},
		{"stuck", testStuck},
		{"tallied", testTallied},
		{"list combined", testListCombined},
		{"pace", testPace},
		{"saved filters", testSavedFilters},
		{"pause and resume", testPause},
		{"pause at once", testPauseAtOnce},
		{"due after a pause", testDuePaused},
		{"dead letters", testLetters},
		{"dead letters page by page", testLetterPages},
		{"due jobs", testDueJobs},
		{"due closures", testDueClosures},
		{"due limit", testDueLimit},
		{"outstanding", testOutstanding},
		{"due by its own time", testDueWake},
		{"related requests", testRelated},
		{"notices", testNotices},

		{"shred what nobody needs", testShred},
		{"shred nothing without a record", testShredUnsigned},
		{"shred at once", testShredAtOnce},
		{"suppression list", testSuppressed},
		{"what was kept", testRetained},
		{"kept for restores", testKept},
		{"forgotten by a restore", testForgotten},
		{"replays", testReplays},
		{"incidents", testIncidents},

		{"unlogged and logged", testRecords},
		{"connectors", testConnectors},
		{"keys", testKeys},
		{"keys many at once", testKeysAtOnce},
		{"ping", testPing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// whole compares what was stored with what came back: every field, JSON by its
// meaning and times by their instant.
var whole = cmp.Options{
	cmp.AllowUnexported(request.Request{}),
	cmp.FilterPath(isJSON, cmp.Comparer(sameJSON)),
	cmp.FilterPath(func(p cmp.Path) bool { return !isJSON(p) }, cmpopts.EquateEmpty()),
}

func isJSON(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && (f.Name() == "Plan" || f.Name() == "Located" || f.Name() == "Outcome")
}

func sameJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := diffOf(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func diffOf(want, got any) string { return cmp.Diff(want, got, whole) }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add stores requests that must be new.
func add(t testing.TB, s store.Store, news ...store.New) {
	t.Helper()
	created, err := s.Create(t.Context(), news)
	ok(t, err)
	for i, c := range created {
		if c.Err != nil || c.Existing || c.ID != news[i].Request.ID {
			t.Fatalf("storing request %d: %+v", i, c)
		}
	}
}

// change advances one request that must be there.
func change(t testing.TB, s store.Store, id request.ID, fn func(*store.Snapshot)) *store.Snapshot {
	t.Helper()
	snaps, err := s.Advance(t.Context(), byID(id), true, func(snaps []*store.Snapshot) error {
		for _, snap := range snaps {
			fn(snap)
		}
		return nil
	})
	ok(t, err)
	if len(snaps) != 1 {
		t.Fatalf("advanced %d requests, want 1", len(snaps))
	}
	return snaps[0]
}

func byID(ids ...request.ID) store.Selector { return store.Selector{IDs: ids} }

func get(t testing.TB, s store.Store, id request.ID) (store.Request, []store.Job) {
	t.Helper()
	r, jobs, err := s.Get(t.Context(), id)
	ok(t, err)
	return r, jobs
}

// unlogged returns the digests of all records that wait for the log.
func unlogged(t testing.TB, s store.Store) [][]byte {
	t.Helper()
	records, err := s.Unlogged(t.Context(), start.AddDate(100, 0, 0), 10_000)
	ok(t, err)
	digests := make([][]byte, len(records))
	for i := range records {
		digests[i] = records[i].Digest
	}
	return digests
}

func count(t testing.TB, s store.Store) int {
	t.Helper()
	counts, err := s.Counts(t.Context())
	ok(t, err)
	total := 0
	for _, n := range counts {
		total += int(n)
	}
	return total
}

func contains(digests [][]byte, digest []byte) bool {
	for _, d := range digests {
		if bytes.Equal(d, digest) {
			return true
		}
	}
	return false
}
