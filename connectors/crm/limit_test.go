package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// CL-5: a limit ends what the CRM does with her sensitive records: a campaign
// chosen by identity documents gets her before and not after, and everybody
// else all the same. The choice survives a restart.
func TestLimitStopsTheUse_CL5(t *testing.T) {
	path := t.TempDir() + "/crm.json"
	sys := newSystem(t, 0, demo.CRMOptions{Path: path})
	var people []demo.Person
	for n := 50; len(people) < 2; n++ {
		p := demo.PersonAt(n)
		if slices.ContainsFunc(demo.CRMRecords(p), func(r demo.CRMRecord) bool { return r.Fields["type"] == "identity document" }) {
			sys.Plant(t, n)
			people = append(people, p)
		}
	}
	her, other := people[0], people[1]
	if got := sys.targets(t); len(got) != 2 {
		t.Fatalf("a campaign gets %d contacts, want both", len(got))
	}
	_, c := sys.Open(t)
	l, ok := c.(sdk.Limiter)
	if !ok {
		t.Fatal("the CRM's connector limits nothing")
	}
	person := sdk.NewPerson(sdk.ID(sdk.Email, her.Email))
	if in, err := l.LimitedSPI(t.Context(), person); err != nil || in {
		t.Fatalf("limited before she asked: %v, %v", in, err)
	}
	if err := l.LimitSPI(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	again := newSystem(t, 0, demo.CRMOptions{Path: path})
	for name, s := range map[string]*system{"now": sys, "after a restart": again} {
		if got := s.targets(t); !slices.Equal(got, []string{demo.CRMContact(other.N)}) {
			t.Errorf("%s a campaign gets %v", name, got)
		}
		_, c := s.Open(t)
		if in, err := c.(sdk.Limiter).LimitedSPI(t.Context(), person); err != nil || !in {
			t.Errorf("%s: in force %v, %v", name, in, err)
		}
	}
	for range 2 {
		if err := c.(sdk.LimitLifter).LiftLimit(t.Context(), person); err != nil {
			t.Fatal(err)
		}
	}
	if got := sys.targets(t); len(got) != 2 {
		t.Errorf("after she took it back a campaign gets %d contacts, want both", len(got))
	}
	if in, err := l.LimitedSPI(t.Context(), person); err != nil || in {
		t.Errorf("limited after she took it back: %v, %v", in, err)
	}
}

// targets asks the CRM whom a campaign by identity documents gets.
func (s *system) targets(t *testing.T) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/campaign-targets?"+url.Values{"document": {"identity document"}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", demo.CRMKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	var got struct{ Contacts []string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d: %v", resp.StatusCode, err)
	}
	return got.Contacts
}
