package manual

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// No file shows whom a task is about, and a file that was altered or exchanged is
// refused rather than believed.
func TestFilesAreSealed(t *testing.T) {
	r := newRig(t)
	_, err := r.c.Locate(job(t.Context(), "erase", 1), ann)
	r.waits(err)
	r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Attach{Attach: &habeasv1.TaskProof{MediaType: "text/plain", Content: []byte("about " + planted)}}})
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("planted")) || bytes.Contains(text, []byte("delete")) || strings.Contains(file, "planted") {
			t.Errorf("%s can be read", filepath.Base(file))
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", filepath.Base(file), info.Mode())
		}
	}
	name := filepath.Join(r.dir, jobID+taskEnd)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "another"+taskEnd), text, 0o600); err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{jobID, "another"} {
		a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Open{Open: &habeasv1.TaskOpen{TaskId: id}}})
		if a.GetProblem() != problemFailed || len(a.GetPerson()) != 0 {
			t.Errorf("%s: %q", id, a.GetProblem())
		}
	}
}

// Two instances share the folder: what one asks the other's desk answers.
func TestInstancesShareTasks(t *testing.T) {
	r := newRig(t)
	_, second, err := New(archive, r.dir)
	if err != nil {
		t.Fatal(err)
	}
	other := second.(all).Connector
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx := job(t.Context(), "locate", 1)
	_, err = other.Locate(ctx, ann)
	r.waits(err)
	r.says(there(1, 0, 0))
	if found, err := other.Locate(ctx, ann); err != nil || len(found) != 1 {
		t.Errorf("located %v, %v", found, err)
	}
}

// Tasks and documents go when they were kept for long enough, and so does what
// nobody waits for any more and what a crash left.
func TestOldTasksAreForgotten(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "locate", 1)
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Attach{Attach: &habeasv1.TaskProof{MediaType: "text/plain", Content: []byte("x")}}})
	r.says(there(0, 0, 0))
	if _, err := r.c.Locate(ctx, ann); err != nil {
		t.Fatal(err)
	}
	if err := r.c.folder.put(proofName("gone", "00"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	r.c.swept = time.Time{} // as after an hour
	count := func(after time.Duration) (tasks, files int) {
		r.c.now = func() time.Time { return time.Now().Add(after) }
		a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{Done: true}}})
		names, err := filepath.Glob(filepath.Join(r.dir, "*"+proofEnd))
		if err != nil {
			t.Fatal(err)
		}
		return len(a.GetTasks()), len(names)
	}
	if tasks, files := count(0); tasks != 1 || files != 1 {
		t.Errorf("%d tasks and %d documents at first", tasks, files)
	}
	if tasks, files := count(usualKeep - time.Hour); tasks != 1 || files != 1 {
		t.Errorf("%d tasks and %d documents shortly before the end", tasks, files)
	}
	if tasks, files := count(usualKeep + time.Hour); tasks != 0 || files != 0 {
		t.Errorf("%d tasks and %d documents after it", tasks, files)
	}
	r.c.now = time.Now
	_, err = r.c.Locate(ctx, ann)
	r.waits(err)
	r.c.swept = time.Time{}
	if tasks, _ := count(45*24*time.Hour + staleAfter + 24*time.Hour); tasks != 0 {
		t.Error("a task that nobody waits for stays, with whom it is about")
	}
}

func TestSettings(t *testing.T) {
	good := func(change func(*Settings)) Settings {
		s := archive
		s.Stores = append([]StoreSettings{}, archive.Stores...)
		change(&s)
		return s
	}
	for want, s := range map[string]Settings{
		"config.accepts":        good(func(s *Settings) { s.Accepts = nil }),
		"config.stores":         good(func(s *Settings) { s.Stores = nil }),
		"config.stores[1].name": good(func(s *Settings) { s.Stores[1].Name = "cabinet" }),
		"config.stores[0].role": good(func(s *Settings) { s.Stores[0].Role = "owner" }),
		"config.can[0]":         good(func(s *Settings) { s.Can = []string{"export"} }),
		"config.tier":           good(func(s *Settings) { s.Tier = "first" }),
		"config.remind":         good(func(s *Settings) { s.Remind = time.Second }),
		"config.keep":           good(func(s *Settings) { s.Keep = -1 }),
	} {
		if _, _, err := New(s, ""); err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%s: %v", want, err)
		}
	}
	for can, want := range map[string][2]bool{"": {true, false}, "erase": {true, false}, "opt_out": {false, true}} {
		s := archive
		if s.Can = nil; can != "" {
			s.Can = []string{can}
		}
		_, c, err := New(s, "")
		if err != nil {
			t.Fatal(err)
		}
		_, erases := c.(sdk.Eraser)
		_, optsOut := c.(sdk.OptOuter)
		if got := [2]bool{erases, optsOut}; got != want {
			t.Errorf("can %q: %v", can, got)
		}
	}
}
