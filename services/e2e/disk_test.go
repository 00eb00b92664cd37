package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a disk that is quickly full, for as long as the test runs.
func smallDisk(t *testing.T) string {
	t.Helper()
	if !canMountTmpfs() {
		t.Skip("a disk can't be mounted here")
	}
	dir := folder(t)
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a disk can't be mounted here: %s", out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk fills the disk in mid-run, under everything: the requests, the log,
// the bus and the company's own systems. Later there is room again, and all is
// started again, as a service manager or a person does.
func fillDisk(m *machine, r *run) {
	r.submitNext(6)
	r.someSteps(12)
	filler := filepath.Join(filepath.Dir(m.state), "filler")
	// The process ends rather than go on with half of everything.
	eventually(r.t, patience, "ending for want of room", func() error {
		if m.up.running() != nil {
			return nil
		}
		// Programs give room back at first, as when SQLite starts its journal anew.
		fillUp(r.t, filler)
		if r.taken < len(r.wishes) && r.submitOnce(r.t.Context(), r.wishes[r.taken]) == nil {
			r.taken++
		}
		return errors.New("it is running")
	})
	if said := readFile(r.t, m.up.log); !strings.Contains(said, "habeas: ") || !strings.Contains(said, "full") {
		r.t.Errorf("it ended without saying why: %s", tail(m.up.log))
	}
	if err := os.Remove(filler); err != nil {
		r.t.Fatal(err)
	}
	m.start(r.t)
}

// fillUp makes a file as large as the disk lets it become.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
