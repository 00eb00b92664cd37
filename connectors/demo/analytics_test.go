package demo

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSeedAnalytics(t *testing.T) {
	dir := t.TempDir()
	start := time.Now()
	if err := SeedAnalytics(t.Context(), dir, Size); err != nil {
		t.Fatal(err)
	}
	t.Logf("seeding took %v", time.Since(start))
	files, err := filepath.Glob(filepath.Join(dir, "events", "dt=*", "part-000.jsonl"))
	if err != nil || len(files) != AnalyticsDays {
		t.Fatalf("%d files, want one for each of %d days (%v)", len(files), AnalyticsDays, err)
	}
	busy, leaver := PersonAt(Busy), PersonAt(Leaver)
	of := map[int]int{}
	types := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			for _, p := range []Person{busy, leaver} {
				for _, id := range append([]string{p.UserID}, p.DeviceIDs...) {
					if bytes.Contains(line, []byte(id)) {
						of[p.N]++
						break
					}
				}
			}
			var event struct {
				Type string    `json:"type"`
				At   time.Time `json:"at"`
			}
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatalf("%s: %v: %s", file, err, line)
			}
			if day := "dt=" + event.At.Format(time.DateOnly); day != filepath.Base(filepath.Dir(file)) {
				t.Fatalf("an event of %s is in %s", day, file)
			}
			types[event.Type]++
		}
	}
	if of[Busy] != BusyEvents {
		t.Errorf("the busy person has %d events, want %d", of[Busy], BusyEvents)
	}
	if of[Leaver] == 0 {
		t.Error("the leaver has no events")
	}
	for _, typ := range []string{"page_view", "search", "geo", "segment", "handoff", "co_view"} {
		if types[typ] == 0 {
			t.Errorf("no event of type %s", typ)
		}
	}
}
