// Package vendortest tries an entry of the catalogue against a fake that plays
// the vendor's documented behaviour.
//
// The fake is at the vendor's edge only: an HTTP handler with people in it. The
// harness puts the faults every vendor has between the two (429 with either
// form of Retry-After, 5xx, answers that are cut short or lost, refused
// credentials) and runs the same list of scenarios for every entry, with the
// entry's own pitfalls after them. What is specific to a vendor is in its fake
// and in those pitfalls.
package vendortest

import (
	"net/http"
	"slices"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Vendor is one instance of a vendor's API with what it holds. Its methods are
// called concurrently.
type Vendor interface {
	http.Handler
	// Plant adds person number n with records in every store of the entry, more
	// than fit on one page where there are pages.
	Plant(n int) Planted
	// Dump is everything it holds, line by line, seen from inside.
	Dump() []string
	// Finish ends all the work it has accepted. A vendor that works at once has
	// nothing to do.
	Finish()
}

// Planted is one person in a vendor.
type Planted struct {
	// Person has the identifiers a job would carry.
	Person sdk.Person
	// Traces are strings in the dump that are there because of this person.
	Traces []string
	// Stores is how many records Locate counts in each store.
	Stores map[string]int64
	// Kept is how many of these are kept, and KeptTraces what stays with them.
	Kept       map[string]int64
	KeptTraces []string
}

// Entry is one entry of the catalogue with its fake.
type Entry struct {
	// New makes an empty instance.
	New func() Vendor
	// Load reads the entry's specification; nil reads the catalogue's.
	Load func(name string) (*restspec.Program, error)
	// Settings are the settings the entry needs. In their values "BASE" stands
	// for the fake's address.
	Settings map[string]string
	// Blind says that the vendor cannot be searched and the entry assumes.
	Blind bool
	// Slow says that deletions take their time: the first attempt is deferred.
	Slow bool
	// Settles says that a deletion is accepted at once and shows later, without
	// a word: [Vendor.Finish] makes it show.
	Settles bool
	// Acts are the requests that change something, as "METHOD /path" prefixes.
	Acts []string
	// Pitfalls are the entry's own scenarios, one for each pitfall that can be
	// shown, by what they show.
	Pitfalls map[string]func(*testing.T, *Rig)
}

// Lacks says what an entry has to have and has not; the empty string means
// nothing.
func (e Entry) Lacks() string {
	switch {
	case e.New == nil:
		return "a fake"
	case len(e.Acts) == 0:
		return "the requests that change something"
	case len(e.Pitfalls) == 0:
		return "a scenario of a pitfall of its own"
	}
	return ""
}

// scenarios are what every entry goes through.
var scenarios = []struct {
	name string
	run  func(*testing.T, *Rig)
}{
	{"facts_are_in_the_header", facts},
	{"locate_counts_what_is_there", locates},
	{"unknown_person", unknown},
	{"erase_leaves_nothing_of_hers_and_all_of_others", erases},
	{"erase_twice", erasesTwice},
	{"erase_many", erasesMany},
	{"slow_deletion_is_deferred_and_started_once", slow},
	{"429_with_retry_after_in_seconds", tooManySeconds},
	{"429_with_retry_after_as_a_date", tooManyDate},
	{"429_while_erasing", tooManyErasing},
	{"5xx", serverErrors},
	{"answer_lost_after_the_effect", answerLost},
	{"partial_pages", partialPages},
	{"refused_credentials", refused},
	{"export", exports},
	{"opt_out", optsOut},
	{"correct", corrects},
}

// Scenarios are the names of the scenarios every entry goes through.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// Run puts the named entry of the catalogue through every scenario and its own
// pitfalls.
func Run(t *testing.T, name string, e Entry) {
	t.Helper()
	if lack := e.Lacks(); lack != "" {
		t.Fatalf("the entry %s lacks %s", name, lack)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, newRig(t, name, e))
		})
	}
	for _, what := range sortedKeys(e.Pitfalls) {
		t.Run("pitfall/"+what, func(t *testing.T) {
			t.Parallel()
			e.Pitfalls[what](t, newRig(t, name, e))
		})
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
