package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// answer is data.json of a package, as far as the tests look.
type answer struct {
	Since      time.Time
	Categories []struct {
		Letter            string
		Sources, Purposes []string
	}
	Information struct {
		Recorded bool
		Sold     []struct {
			Letter string
			Shared []string `json:"shared_with"`
		} `json:"sold_or_shared"`
		Disclosed []struct {
			Letter string
			To     []string
		} `json:"disclosed_for_business_purpose"`
		Inferences []struct{ Connector, Store string }
	}
	Stores []struct {
		Connector, Store string
		Records          []struct{ Fields map[string]json.RawMessage }
	}
}

func (s *site) answer(t *testing.T, id string) (a answer, text string) {
	t.Helper()
	f, err := s.pack(t, id).Open("data.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	var raw json.RawMessage
	if err := json.NewDecoder(f).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatal(err)
	}
	return a, string(raw)
}

// records are those of all stores, each with the times in it.
func (a *answer) records() map[string][]time.Time {
	out := map[string][]time.Time{}
	for _, s := range a.Stores {
		for _, r := range s.Records {
			key := s.Connector + "/" + s.Store
			var times []time.Time
			for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
				key += fmt.Sprintf(" %s=%s", name, r.Fields[name])
				var text string
				if json.Unmarshal(r.Fields[name], &text) != nil {
					continue
				}
				if at, err := time.Parse(time.RFC3339, text); err == nil {
					times = append(times, at)
				}
			}
			out[key] = times
		}
	}
	return out
}

// quoted are the values, and names of fields, in a line of a system's dump.
var quoted = regexp.MustCompile(`"([^"\\]*)"`)

// KN-3, KN-9, KN-10: a copy of everything holds every value of every record in
// which any of the four systems names her, and names nobody else; one of twelve
// months holds the same but for what is older. KN-1: the report on categories
// says of her what the copy shows.
func TestCopyHoldsAllInRange_KN3_KN10(t *testing.T) {
	m := newMachine(t)
	cast := people(t, m.bin, 0, companySize)
	her := cast["copier"]
	lines := map[string][]string{}
	for _, system := range connectors {
		for line := range m.dump(t, system) {
			if slices.ContainsFunc(her.identifying(), func(v string) bool { return strings.Contains(line, `"`+v+`"`) }) {
				lines[system] = append(lines[system], line)
			}
		}
		if len(lines[system]) == 0 {
			t.Fatalf("%s does not know her", system)
		}
	}
	wishes := []*wish{
		{person: her, right: "know_specific", kinds: []string{"email"}, key: "all"},
		{person: her, right: "know_specific", kinds: []string{"email"}, key: "recent", recent: true},
		{person: her, right: "know_categories", kinds: []string{"email"}, key: "categories"},
	}
	for _, w := range wishes {
		m.submit(t, w)
	}
	for i, v := range m.closed(t, patience, wishes) {
		if v.Result != "complete" {
			t.Errorf("%s ended %s", wishes[i].key, v.Result)
		}
	}
	all, text := m.answer(t, wishes[0].id)
	for system, named := range lines {
		for _, line := range named {
			for _, value := range quoted.FindAllStringSubmatch(line, -1) {
				if v := value[1]; len(v) >= 4 && !strings.Contains(text, v) && !isTime(v) {
					t.Errorf("%s holds %q, which is not in the copy: %.200s", system, v, line)
				}
			}
		}
	}
	for name, other := range cast {
		if name == "copier" || other["email"][0] == her["email"][0] {
			continue
		}
		for _, v := range other.identifying() {
			if strings.Contains(text, `"`+v+`"`) {
				t.Errorf("the copy names %s", name)
			}
		}
	}
	recent, _ := m.answer(t, wishes[1].id)
	inRange(t, all.records(), recent.records(), recent.Since)
	categories, _ := m.answer(t, wishes[2].id)
	aboutHer(t, &all, &categories)
}

// isTime reports whether a value of a dump is a time in the form of billing's
// dump, which is another than the copy's.
func isTime(v string) bool {
	_, err := time.Parse("2006-01-02 15:04:05 -0700 MST", v)
	return err == nil
}

// inRange holds a copy of twelve months against one of everything. A store that
// leaves nothing out keeps no time of its records: they are as of now.
func inRange(t *testing.T, all, recent map[string][]time.Time, since time.Time) {
	t.Helper()
	if since.IsZero() || len(recent) == 0 || len(recent) >= len(all) {
		t.Fatalf("of %d records %d are of since %v", len(all), len(recent), since)
	}
	timed := map[string]bool{}
	for record := range all {
		if _, given := recent[record]; !given {
			timed[placeOf(record)] = true
		}
	}
	for record, times := range all {
		before := func(at time.Time) bool { return at.Before(since) }
		_, given := recent[record]
		switch {
		case len(times) == 0 || !timed[placeOf(record)]:
		case given && !slices.ContainsFunc(times, func(at time.Time) bool { return !before(at) }):
			t.Errorf("older than the range and given: %.200s", record)
		case !given && !slices.ContainsFunc(times, before):
			t.Errorf("in the range and not given: %.200s", record)
		}
	}
	for record := range recent {
		if _, ok := all[record]; !ok {
			t.Errorf("in the shorter copy alone: %.200s", record)
		}
	}
}

func placeOf(record string) string {
	store, _, _ := strings.Cut(record, " ")
	return store
}

// aboutHer holds the report on categories against the copy.
func aboutHer(t *testing.T, all, report *answer) {
	t.Helper()
	letters := func(a *answer) (out []string) {
		for _, c := range a.Categories {
			out = append(out, c.Letter)
			if len(c.Sources) == 0 || len(c.Purposes) == 0 {
				t.Errorf("nothing is said of where %s comes from and what it is for", c.Letter)
			}
		}
		return out
	}
	if have, want := letters(report), letters(all); !slices.Equal(have, want) {
		t.Errorf("the report has categories %v and the copy %v", have, want)
	}
	in := report.Information
	if !in.Recorded || len(in.Disclosed) == 0 || len(in.Inferences) == 0 || len(in.Sold) == 0 || in.Sold[0].Shared[0] != "advertising networks" {
		t.Errorf("of where it went the report says %+v", in)
	}
	for _, s := range report.Stores {
		if len(s.Records) > 0 {
			t.Errorf("the report has specific pieces of %s/%s", s.Connector, s.Store)
		}
	}
}
