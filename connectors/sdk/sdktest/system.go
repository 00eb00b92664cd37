// Package sdktest holds the promises every connector keeps, as tests.
//
// A connector author gives [Run] a [System]: a real instance of what the
// connector talks to, with a way to plant people in it and a second way of
// looking at everything it holds. Run then shows whether the connector finds,
// copies and erases one person and nobody else.
package sdktest

import (
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// System is one fresh instance of the system under test.
type System interface {
	// Open returns the connector, connected to this instance, with its
	// manifest. It may be called more than once.
	Open(t testing.TB) (sdk.Manifest, sdk.Connector)
	// Plant adds person number n to the system, with records in every store
	// the connector covers, and returns what was planted. Different n are
	// different people who share as much as real people do: a surname, a
	// household, a day.
	Plant(t testing.TB, n int) Planted
	// Dump returns everything the system holds, record by record, obtained
	// another way than through the connector: plain SQL, the files themselves,
	// the fake server's memory.
	Dump(t testing.TB) []string
}

// Breaker is an optional ability of a System: it can stop answering.
type Breaker interface {
	System
	// Break makes the system unreachable, as in an outage. Run then calls the
	// connector and looks for identifiers in what it says about that.
	Break(t testing.TB)
}

// Planted is one person put into a system by a test.
type Planted struct {
	// Person has the identifiers a job would carry.
	Person sdk.Person
	// Traces are strings that appear in the dump because of this person and
	// nobody else: addresses, names, ids, free text. After an erasure none of
	// them may be left, save in records that are kept.
	Traces []string
	// Stores is how many records Locate must count in each store.
	Stores map[string]int64
	// Kept is how many of these must be marked Keep, by store.
	Kept map[string]int64
	// KeptTraces are the traces that may remain in kept records, because the
	// basis for keeping needs them.
	KeptTraces []string
	// Yields are identifiers that Resolve must return, for a Resolver, besides
	// those Person has already.
	Yields []sdk.Identifier
	// Corrections are for a Corrector: each value appears nowhere in the dump
	// until Correct has put it there.
	Corrections []sdk.Correction
	// Held is what List must say of the person, for a Lister that lists.
	Held *sdk.Held
}
