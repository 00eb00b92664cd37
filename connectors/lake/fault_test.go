package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// flaky is a bucket in which things go wrong.
type flaky struct {
	bucket
	listing   func(ctx context.Context, prefix string) ([]object, error)
	replacing func(ctx context.Context, next bucket, key string, write writeFunc) (replaced, error)
}

type writeFunc = func(source, io.Writer) error

func (f *flaky) list(ctx context.Context, prefix string) ([]object, error) {
	if f.listing != nil {
		return f.listing(ctx, prefix)
	}
	return f.bucket.list(ctx, prefix)
}

func (f *flaky) replace(ctx context.Context, key string, write writeFunc) (replaced, error) {
	if f.replacing != nil {
		return f.replacing(ctx, f.bucket, key, write)
	}
	return f.bucket.replace(ctx, key, write)
}

// makeFlaky puts f between l and its folder.
func makeFlaky(l *Lake, f *flaky) {
	connect := l.connect
	l.connect = func(ctx context.Context) (bucket, error) {
		var err error
		f.bucket, err = connect(ctx)
		return f, err
	}
}

// state is everything in a folder: names, versions and bytes.
func state(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		v := versionFrom(info)
		all[name] = fmt.Sprintf("%d %d %q", v.inode, v.mtime, data)
	}
	return all
}

func twoFiles() map[string]string {
	return map[string]string{day2: lines(adaView, bobView), gz3: lines(bobView, adaList)}
}

// TestFailsClosed: when any file can't be searched, nothing is rewritten.
func TestFailsClosed(t *testing.T) {
	var gz = func(text string) string {
		dir := t.TempDir()
		put(t, dir, "x.gz", text)
		data, err := os.ReadFile(filepath.Join(dir, "x.gz"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	broken := "events/dt=2026-01-05/broken.jsonl"
	for name, test := range map[string]struct {
		key, text string
		want      string
		retry     bool
	}{
		"a line that does not parse":   {broken, lines(bobView, `{"user":{"id":"usr_a`, bobView), broken + ", line 2: not valid JSON", false},
		"a last line without its end":  {broken, bobView + "\n" + `{"user":{"id":"usr_a`, broken + ", line 2, the last: not valid JSON", true},
		"a line that is no object":     {broken, lines(`"usr_ada"`), "line 1: not a JSON object", false},
		"another shape than the map's": {broken, lines(`{"user":"usr_ada"}`), "field user is a value", false},
		"a truncated gzip stream":      {"events/dt=2026-01-05/b.jsonl.raw", gz(lines(bobView))[:30], "", true},
		"a file nobody claims":         {"events/elsewhere.jsonl", "", "events/elsewhere.jsonl: no store of the map claims it", false},
		"a partition that is no day":   {"events/dt=latest/a.jsonl", "", "not named after a day", false},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir := newTestLake(t, twoFiles())
			put(t, dir, test.key, test.text)
			if name, ok := strings.CutSuffix(test.key, ".raw"); ok {
				if err := os.Rename(filepath.Join(dir, test.key), filepath.Join(dir, name+".gz")); err != nil {
					t.Fatal(err)
				}
			}
			before := state(t, dir)
			errs := l.EraseBatch(t.Context(), []sdk.Person{ada, sdk.NewPerson(sdk.ID(sdk.UserID, "usr_bob"))})
			if len(errs) != 2 || errs[0] == nil || errs[1] == nil {
				t.Fatalf("errors %v, want one for everybody", errs)
			}
			if !strings.Contains(errs[0].Error(), test.want) || strings.Contains(errs[0].Error(), "usr_") {
				t.Errorf("error %q, want %q and no identifier", errs[0], test.want)
			}
			if sdk.IsPermanent(errs[0]) == test.retry {
				t.Errorf("permanent is %v: %v", !test.retry, errs[0])
			}
			if _, err := l.Locate(t.Context(), ada); err == nil {
				t.Error("Locate succeeded")
			}
			var out collector
			if err := l.Export(t.Context(), ada, &out); err == nil || len(out) > 0 {
				t.Errorf("Export wrote %d records, error %v", len(out), err)
			}
			if d := cmp.Diff(before, state(t, dir)); d != "" {
				t.Errorf("something was rewritten:\n%s", d)
			}
		})
	}
	t.Run("a folder that can't be listed", func(t *testing.T) {
		l, dir := newTestLake(t, twoFiles())
		before := state(t, dir)
		makeFlaky(l, &flaky{listing: func(context.Context, string) ([]object, error) { return nil, os.ErrPermission }})
		if err := l.Erase(t.Context(), ada); !errors.Is(err, os.ErrPermission) {
			t.Errorf("error %v", err)
		}
		if d := cmp.Diff(before, state(t, dir)); d != "" {
			t.Errorf("something was rewritten:\n%s", d)
		}
	})
	t.Run("a symbolic link", func(t *testing.T) {
		l, dir := newTestLake(t, twoFiles())
		if err := os.Symlink("a.jsonl", filepath.Join(dir, "events/dt=2026-01-02/link.jsonl")); err != nil {
			t.Fatal(err)
		}
		if err := l.Erase(t.Context(), ada); err == nil || !strings.Contains(err.Error(), "link.jsonl is not a regular file") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a folder that is not there", func(t *testing.T) {
		l := openTestLake(t, filepath.Join(t.TempDir(), "unmounted"))
		if _, err := l.Locate(t.Context(), ada); err == nil || sdk.IsPermanent(err) {
			t.Errorf("error %v", err)
		}
		l = openTestLake(t, t.TempDir())
		if _, err := l.Locate(t.Context(), ada); err == nil || sdk.IsPermanent(err) {
			t.Errorf("error %v", err)
		}
	})
}

// TestReplaceFaults fails the rewriting of the first file in both ways: it did
// not happen; it happened, and the answer was lost. Both are finished by doing
// it again, and neither keeps the other file from being rewritten.
func TestReplaceFaults(t *testing.T) {
	lost := errors.New("connection reset")
	for name, happens := range map[string]bool{"did not happen": false, "happened but the answer was lost": true} {
		t.Run(name, func(t *testing.T) {
			l, dir := newTestLake(t, twoFiles())
			failed := false
			makeFlaky(l, &flaky{replacing: func(ctx context.Context, next bucket, key string, write writeFunc) (replaced, error) {
				if key != day2 || failed {
					return next.replace(ctx, key, write)
				}
				failed = true
				if happens {
					if _, err := next.replace(ctx, key, write); err != nil {
						return replaced{}, err
					}
				}
				return replaced{}, lost
			}})
			carl := sdk.NewPerson(sdk.ID(sdk.UserID, "usr_carl"))
			errs := l.EraseBatch(t.Context(), []sdk.Person{carl, ada})
			if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], lost) || sdk.IsPermanent(errs[1]) {
				t.Fatalf("errors %v", errs)
			}
			if got := get(t, dir, gz3); got != lines(bobView) {
				t.Errorf("the other file is %q", got)
			}
			if err := l.Erase(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			if got := get(t, dir, day2); got != lines(bobView) {
				t.Errorf("the file is %q", got)
			}
		})
	}
}

// TestRewriteFails makes sure that an error in rewriting, not only in
// finding, leaves the file and nothing beside it.
func TestRewriteFails(t *testing.T) {
	l, dir := newTestLake(t, twoFiles())
	if err := l.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := state(t, dir)
	full := errors.New("no space left on device")
	_, err := l.bucket.replace(t.Context(), day2, func(_ source, dst io.Writer) error {
		if _, err := io.WriteString(dst, "half of it"); err != nil {
			return err
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = l.bucket.replace(ctx, day2, func(source, io.Writer) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff(before, state(t, dir)); d != "" {
		t.Errorf("something changed:\n%s", d)
	}
}
