package sdk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// startJournal opens a journal and lets it write until the test ends.
func startJournal(t *testing.T, dir string) *journal {
	t.Helper()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return j
}

func wantLocated(t *testing.T, j *journal, job, want string) {
	t.Helper()
	have, err := j.located(job, true)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("job %q: %q is remembered, want %q", job, have, want)
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j := startJournal(t, dir)
	jobs := []string{"plain", "with space", "with\nline", "../up", "%41", ""}
	var all sync.WaitGroup
	for i, job := range jobs {
		all.Go(func() {
			for _, body := range []string{fmt.Sprintf("body %d", i), "a later one"} {
				if err := j.write(entryLocated, job, []byte(body)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	restarted := startJournal(t, dir)
	for i, job := range jobs {
		wantLocated(t, j, job, fmt.Sprintf("body %d", i))
		wantLocated(t, restarted, job, fmt.Sprintf("body %d", i))
	}
	wantLocated(t, j, "never", "")

	// Instances see each other's entries.
	if err := restarted.write(entryLocated, "other", []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	wantLocated(t, j, "other", "theirs")
}

func TestJournalActed(t *testing.T) {
	dir := t.TempDir()
	j := startJournal(t, dir)
	first, err := j.acted("job")
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range []*journal{j, startJournal(t, dir)} {
		again, err := j.acted("job")
		if err != nil || !again.Equal(first) {
			t.Errorf("acted at %v, then at %v (%v)", first, again, err)
		}
	}
}

// TestJournalTorn cuts the last entry at every byte: the others are never lost
// and nothing is made up.
func TestJournalTorn(t *testing.T) {
	whole := append(formatEntry(entryLocated, "a", []byte("first")), formatEntry(entryLocated, "b", []byte("second"))...)
	firstEnd := len(formatEntry(entryLocated, "a", []byte("first")))
	for cut := firstEnd; cut < len(whole); cut++ {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, journalDir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, journalDir, "x"+journalExt), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := startJournal(t, dir)
		wantLocated(t, j, "a", "first")
		wantLocated(t, j, "b", "")
	}
}

// TestJournalDamaged flips every byte of an entry: it is not believed.
func TestJournalDamaged(t *testing.T) {
	line := formatEntry(entryLocated, "job", []byte("body"))
	for i := range line {
		for _, bit := range []byte{1, 32} {
			damaged := append([]byte(nil), line...)
			damaged[i] ^= bit
			if kind, job, body, ok := parseEntry(damaged); ok && (kind != entryLocated || job != "job" || string(body) != "body") {
				t.Errorf("byte %d: read as %s %s %q", i, kind, job, body)
			}
		}
	}
}

func TestJournalSweep(t *testing.T) {
	dir := t.TempDir()
	j := startJournal(t, dir)
	if err := j.write(entryLocated, "old", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := j.removeBefore(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantLocated(t, j, "old", "old")
	if err := startJournal(t, dir).removeBefore(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if have, err := startJournal(t, dir).located("old", true); err != nil || have != nil {
		t.Errorf("an old entry is still there: %q, %v", have, err)
	}
}
