package e2e

import (
	"errors"
	"fmt"
	"net/http"
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
// the bus and the company's own systems. Later there is room again, and what
// ended for want of it is started again, as a service manager does.
func fillDisk(m *machine, r *run) {
	r.submitNext(6)
	r.someSteps(12)
	filler := filepath.Join(filepath.Dir(m.state), "filler")
	tries := 0
	eventually(r.t, patience, "a refusal for want of room", func() error {
		// Programs give room back at first, as when SQLite starts its journal anew.
		fillUp(r.t, filler)
		tries++
		body := map[string]any{"right": "delete", "channel": "web", "identifiers": []map[string]string{{"kind": "email", "value": "nobody@example.com"}}}
		if err := m.call(r.t.Context(), http.MethodPost, m.api+"/v1/requests", fmt.Sprint("full-", tries), body, new(view)); err == nil {
			return errors.New("a request was taken")
		}
		return nil
	})
	eventually(r.t, patience, "saying so in the log", func() error {
		// On the terminal, when the log file can't take it.
		said := readFile(r.t, filepath.Join(m.state, "logs", "habeas.log")) + readFile(r.t, m.up.log)
		if !strings.Contains(said, "disk is full") && !strings.Contains(said, "no space left") {
			return errors.New("the log does not say that the disk is full")
		}
		return nil
	})
	if err := os.Remove(filler); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, patience, "working again", func() error {
		if m.up.running() != nil {
			r.t.Logf("started again: %s", tail(m.up.log))
			m.start(r.t)
		}
		var text []byte
		return m.call(r.t.Context(), http.MethodGet, m.api+"/readyz", "", nil, &text)
	})
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
