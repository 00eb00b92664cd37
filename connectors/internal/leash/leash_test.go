package leash_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/leash"
)

// The test program, run again as a child, starts a server and is killed.
func TestServerEndsWithItsProcess(t *testing.T) {
	if dir := os.Getenv("LEASH_TEST_DIR"); dir != "" {
		if err := leash.Run(dir, "KILL", nil, "/bin/sh", "-c", `echo $$ >"$0/pid"; exec sleep 600`, dir); err != nil {
			t.Fatal(err)
		}
		pid := filepath.Join(dir, "pid")
		err := leash.Await(dir, func(context.Context) error {
			text, err := os.ReadFile(pid)
			if err == nil && len(text) == 0 {
				err = errors.New("nothing is written yet")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("READY\n") //nolint:errcheck // who does not hear it says so
		select {}
	}
	dir := filepath.Join(t.TempDir(), "server")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithItsProcess$")
	child.Env = append(os.Environ(), "LEASH_TEST_DIR="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "READY" {
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	until(t, "its folder is still there", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	until(t, "the server still runs", func() bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
}

func until(t *testing.T, or string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(end) {
			t.Fatal(or)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestAccount(t *testing.T) {
	as, err := leash.Account("nobody")
	if os.Getuid() != 0 {
		if as != nil || err != nil {
			t.Errorf("somebody who is not root: %v, %v", as, err)
		}
		return
	}
	if err != nil || as.Credential.Uid == 0 {
		t.Errorf("root runs it as %v, %v", as, err)
	}
	if _, err := leash.Account("no such account"); err == nil {
		t.Error("there is an account that there can't be")
	}
}
