package declared_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestStore(t *testing.T) {
	f, b := declared.Category{Letter: "F", Data: "user.behavior"}, declared.Category{Letter: "B", Data: "user.contact"}
	want := sdk.Store{Name: "visits", Role: sdk.Business, Categories: []sdk.Category{{Letter: "B", Data: "user.contact"}, {Letter: "F", Data: "user.behavior"}}}
	if diff := cmp.Diff(want, declared.Store("visits", "", slices.Values([]declared.Category{f, b, f}))); diff != "" {
		t.Error(diff)
	}
	if got := declared.Store("visits", "service_provider", slices.Values([]declared.Category{f})).Role; got != sdk.ServiceProvider {
		t.Errorf("held as %s", got)
	}
}

func TestNormalise(t *testing.T) {
	n := declared.Normalise{"user_id": "lower", "device_id": "exact"}
	if err := n.Check(); err != nil {
		t.Error(err)
	}
	for kind, want := range map[sdk.Kind]string{"user_id": "ab", "device_id": " AB ", "account": " AB ", sdk.Email: "ab"} {
		if got := n.Value(kind, " AB "); got != want {
			t.Errorf("%s is compared as %q, want %q", kind, got, want)
		}
	}
	if n := (declared.Normalise{"email": "exact"}); n.Value(sdk.Email, "A") != "A" {
		t.Error("what is said of email does not count")
	}
	if err := (declared.Normalise{"email": "upper"}).Check(); err == nil || err.Error() != `normalise.email: "upper" is neither lower nor exact` {
		t.Errorf("a word nobody knows: %v", err)
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string][2]bool{ // as a kind, as a store
		"user_id": {true, true}, "user": {true, true}, "a.b-c": {false, true}, "user__id": {false, true},
		"": {false, false}, "User": {false, false}, "1st": {false, false}, "_a": {false, false}, "a b": {false, false},
	} {
		if got := [2]bool{declared.IsKind(name), declared.IsStore(name)}; got != want {
			t.Errorf("%q is a kind, a store: %v, want %v", name, got, want)
		}
	}
	for letter, want := range map[string]bool{"A": true, "L": true, "M": false, "a": false, "": false, "AB": false} {
		if got := (declared.Category{Letter: letter}).Lettered(); got != want {
			t.Errorf("letter %q: %v", letter, got)
		}
	}
	for role, want := range map[string]bool{"": true, "business": true, "service_provider": true, "owner": false} {
		if got := declared.CheckRole(role) == nil; got != want {
			t.Errorf("role %q: %v", role, got)
		}
	}
}
