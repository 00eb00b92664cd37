package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func appendLine(t testing.TB, dir, key, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, key), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := f.WriteString(text); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// eraseUntilDone erases as the runtime would: again while it is worth it.
func eraseUntilDone(ctx context.Context, l *Lake, p sdk.Person) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := l.Erase(ctx, p)
		if err == nil || sdk.IsPermanent(err) || ctx.Err() != nil {
			return err
		}
	}
}

// TestAppendMeanwhile: a writer that appends while the file is rewritten waits
// for the rewriting to give up, and loses nothing.
func TestAppendMeanwhile(t *testing.T) {
	l, dir := newTestLake(t, twoFiles())
	var writer sync.WaitGroup
	tries := 0
	makeFlaky(l, &flaky{replacing: func(ctx context.Context, next bucket, key string, write writeFunc) (replaced, error) {
		if key != day2 {
			return next.replace(ctx, key, write)
		}
		tries++
		return next.replace(ctx, key, func(src source, dst io.Writer) error {
			if tries > 1 {
				return write(src, dst)
			}
			writer.Go(func() { appendLine(t, dir, day2, lines(noOne, adaView)) })
			// The rewriting goes on until it notices the writer.
			for ctx.Err() == nil {
				if _, err := io.WriteString(dst, "x"); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}})
	if err := eraseUntilDone(t.Context(), l, ada); err != nil {
		t.Fatal(err)
	}
	writer.Wait()
	if err := eraseUntilDone(t.Context(), l, ada); err != nil { // what the writer may have added last
		t.Fatal(err)
	}
	if d := cmp.Diff(lines(bobView, noOne), get(t, dir, day2)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if tries < 2 {
		t.Errorf("the file was rewritten in %d tries: nothing was tested", tries)
	}
}

func TestOpenForWriting(t *testing.T) {
	l, dir := newTestLake(t, twoFiles())
	w, err := os.OpenFile(filepath.Join(dir, day2), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = l.Erase(t.Context(), ada)
	if !errors.Is(err, errBusy) || sdk.IsPermanent(err) {
		t.Errorf("error %v, want one worth retrying", err)
	}
	if _, err := w.WriteString(lines(noOne)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if got := get(t, dir, day2); got != lines(bobView, noOne) {
		t.Errorf("the file is %q", got)
	}
}

// crash is a replacement that stopped somewhere: the pieces of folder.replace
// without its end.
type crash struct {
	f     *folder
	src   *folderFile
	draft *draftFile
}

func newCrash(t *testing.T, dir, key, text string) *crash {
	t.Helper()
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &crash{f: f}
	if c.src, err = f.openFile(key); err != nil {
		t.Fatal(err)
	}
	if err := lock(c.src.file); err != nil {
		t.Fatal(err)
	}
	c.draft, err = f.writeDraft(t.Context(), key, c.src, func(_ source, dst io.Writer) error {
		_, err := io.WriteString(dst, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// die lets go of everything, as the end of a process does.
func (c *crash) die(t *testing.T) {
	t.Helper()
	if err := errors.Join(c.src.Close(), c.draft.file.Close()); err != nil {
		t.Fatal(err)
	}
}

func (c *crash) toSwap(t *testing.T, key string) string {
	t.Helper()
	swap := path.Join(path.Dir(key), swapName{base: path.Base(key), old: c.src.version, inode: c.draft.inode}.String())
	if err := os.Rename(c.f.path(c.draft.key), c.f.path(swap)); err != nil {
		t.Fatal(err)
	}
	return swap
}

func (c *crash) exchange(t *testing.T, a, b string) {
	t.Helper()
	if err := exchange(c.f.path(a), c.f.path(b)); err != nil {
		t.Fatal(err)
	}
}

// TestCrash stops a replacement at each step and starts a new process.
func TestCrash(t *testing.T) {
	rewritten := lines(bobView)
	foreign := lines(noOne, bobView)
	for name, test := range map[string]struct {
		steps func(t *testing.T, c *crash, dir string)
		want  string
	}{
		"while the draft is written": {func(*testing.T, *crash, string) {}, lines(adaView, bobView)},
		"before the exchange":        {func(t *testing.T, c *crash, _ string) { c.toSwap(t, day2) }, lines(adaView, bobView)},
		"after the exchange": {func(t *testing.T, c *crash, _ string) {
			c.exchange(t, c.toSwap(t, day2), day2)
		}, rewritten},
		"after exchanging another writer's version": {func(t *testing.T, c *crash, dir string) {
			swap := c.toSwap(t, day2)
			put(t, dir, "other", foreign)
			if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, day2)); err != nil {
				t.Fatal(err)
			}
			c.exchange(t, swap, day2)
		}, foreign},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := newTestLake(t, map[string]string{day2: lines(adaView, bobView)})
			c := newCrash(t, dir, day2, rewritten)
			test.steps(t, c, dir)
			// While the process lives, nobody cleans up after it.
			before := state(t, dir)
			if _, err := openTestLake(t, dir).Locate(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(before, state(t, dir)); d != "" && name != "after exchanging another writer's version" {
				t.Errorf("cleaned up after a living process:\n%s", d)
			}
			c.die(t)
			l := openTestLake(t, dir)
			if err := l.ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := get(t, dir, day2); got != test.want {
				t.Errorf("the file is %q, want %q", got, test.want)
			}
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("left behind: %v", got)
			}
			if err := l.Erase(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLeftover: an old version that could not be removed still counts as the
// person's, until it is.
func TestLeftover(t *testing.T) {
	l, dir := newTestLake(t, map[string]string{day2: lines(adaView, bobView)})
	if err := l.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newCrash(t, dir, day2, lines(bobView))
	c.exchange(t, c.toSwap(t, day2), day2)
	c.die(t)
	found, err := l.Locate(t.Context(), ada)
	if err != nil || len(found) != 1 || found[0].Count != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if found, err := l.Locate(t.Context(), ada); found != nil || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

// TestSwapUndone replaces the file between the last look and the exchange.
func TestSwapUndone(t *testing.T) {
	_, dir := newTestLake(t, map[string]string{day2: lines(adaView, bobView), "other": lines(noOne)})
	c := newCrash(t, dir, day2, lines(bobView))
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, day2)); err != nil {
		t.Fatal(err)
	}
	if err := c.f.swap(day2, c.src, c.draft, lease{}); !errors.Is(err, errConflict) {
		t.Errorf("error %v", err)
	}
	c.die(t)
	if got := get(t, dir, day2); got != lines(noOne) {
		t.Errorf("the other writer's version became %q", got)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestOtherNamesAreReported(t *testing.T) {
	_, dir := newTestLake(t, map[string]string{day2: lines(adaView, bobView)})
	if err := os.Link(filepath.Join(dir, day2), filepath.Join(dir, "snapshot")); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	l, err := Open(Options{Folder: dir, Map: mustMap(t, testMap), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "older version") || !strings.Contains(log.String(), "versions=1") {
		t.Errorf("the log says %q", log.String())
	}
}

// TestManyWriters lets two connectors erase people from files that another
// program keeps appending to. What is not erased is all there, in order.
func TestManyWriters(t *testing.T) {
	const people, rounds = 4, 40
	line := func(n, i int) string { return fmt.Sprintf(`{"type":"view","user":{"id":"usr_%d"},"n":%d}`, n, i) }
	_, dir := newTestLake(t, map[string]string{day2: "", "events/dt=2026-01-03/b.jsonl": ""})
	keys := []string{day2, "events/dt=2026-01-03/b.jsonl"}
	var work sync.WaitGroup
	for _, key := range keys {
		work.Go(func() {
			for i := range rounds {
				for n := range people {
					appendLine(t, dir, key, line(n, i)+"\n")
				}
			}
		})
	}
	for n := range people - 1 {
		l := openTestLake(t, dir)
		p := sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("usr_%d", n)))
		for range 2 {
			work.Go(func() {
				if err := eraseUntilDone(t.Context(), l, p); err != nil {
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
	l := openTestLake(t, dir)
	for n := range people - 1 {
		if err := l.Erase(t.Context(), sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("usr_%d", n)))); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range rounds {
		want = append(want, line(people-1, i))
	}
	for _, key := range keys {
		if d := cmp.Diff(lines(want...), get(t, dir, key)); d != "" {
			t.Errorf("%s (-want +got):\n%s", key, d)
		}
	}
	if got := names(t, dir); len(got) != len(keys) {
		t.Errorf("left behind: %v", got)
	}
}
