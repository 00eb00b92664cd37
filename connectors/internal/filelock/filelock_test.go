//go:build unix && !solaris && !aix

package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/habeas-data/habeas/connectors/internal/filelock"
)

// Two handles of one file are as two processes.
func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	ours, theirs := open(), open()
	free := func() bool {
		err := syscall.Flock(int(theirs.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			t.Fatal(err)
		}
		return err == nil && syscall.Flock(int(theirs.Fd()), syscall.LOCK_UN) == nil
	}
	for _, release := range []func(*os.File) error{filelock.Unlock, (*os.File).Close} { // a file closes when its process ends
		if err := filelock.Lock(ours); err != nil {
			t.Fatal(err)
		}
		if free() {
			t.Error("another can take the lock too")
		}
		if err := release(ours); err != nil {
			t.Fatal(err)
		}
		if !free() {
			t.Error("nobody can take the lock that was given back")
		}
	}
	if err := theirs.Close(); err != nil {
		t.Error(err)
	}
}
