package catalogue_test

import (
	"slices"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/restspec/catalogue"
	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

// entries are the entries of the catalogue with their fakes.
var entries = map[string]vendortest.Entry{}

// register adds an entry; each file of a vendor does so once.
func register(name string, e vendortest.Entry) bool {
	entries[name] = e
	return true
}

// TestCatalogue puts every entry through every scenario. An entry without a
// fake, without pitfalls of its own or without facts fails.
func TestCatalogue(t *testing.T) {
	for _, name := range catalogue.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, ok := entries[name]
			if !ok {
				t.Fatalf("%s.yaml has no scenarios: add %s_test.go", name, name)
			}
			vendortest.Run(t, name, e)
		})
	}
	for name := range entries {
		if _, err := catalogue.Read(name); err != nil {
			t.Errorf("scenarios without an entry: %v", err)
		}
	}
}

// TestLacks: what an entry has to have is asked for by name.
func TestLacks(t *testing.T) {
	whole := entries["stripe"]
	if lack := whole.Lacks(); lack != "" {
		t.Errorf("a whole entry lacks %s", lack)
	}
	for want, part := range map[string]func(*vendortest.Entry){
		"a fake":                             func(e *vendortest.Entry) { e.New = nil },
		"the requests that change something": func(e *vendortest.Entry) { e.Acts = nil },
		"a scenario of a pitfall of its own": func(e *vendortest.Entry) { e.Pitfalls = nil },
	} {
		e := whole
		part(&e)
		if lack := e.Lacks(); lack != want {
			t.Errorf("it lacks %q, want %q", lack, want)
		}
	}
	for _, name := range []string{"429_with_retry_after_in_seconds", "429_with_retry_after_as_a_date", "5xx", "partial_pages", "unknown_person", "slow_deletion_is_deferred_and_started_once"} {
		if !slices.Contains(vendortest.Scenarios(), name) {
			t.Errorf("no entry goes through %s", name)
		}
	}
}

// TestNames: an entry's system is its file's name, so that people find it.
func TestNames(t *testing.T) {
	for _, name := range catalogue.Names() {
		prog, err := restspec.FromCatalogue(name)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if prog.System() != name {
			t.Errorf("%s.yaml is about %s", name, prog.System())
		}
	}
}
