// Package leash runs the servers that tests need, each a program of its own. It
// promises the machine that nothing is left behind: a server ends with the test
// process, however that ends, and its folder goes with it.
package leash

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ready is how long a server may take to start.
const ready = 60 * time.Second

// Missing skips a test on a machine that lacks a program, and fails it where
// CI=true says that there must be one.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Token is a name that no other test has: twelve hex digits.
func Token() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// Account is whom a server runs as that refuses to run as root: the first of the
// names that there is, or, for whoever is not root, nil for themselves.
func Account(names ...string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, fmt.Errorf("running a server as root: there is no account %s to run it as", strings.Join(names, " or "))
}

// supervise runs the server until standard input ends, which it does when the
// test process ends, however it ends. Then it removes the folder.
const supervise = `
dir=$1 signal=$2; shift 2
"$@" >"$dir/log" 2>&1 &
read -r _
kill -"$signal" $!
wait $!
rm -rf "$dir"
`

// held are the standard inputs of the supervisors. They stay open as long as this
// process lives; a pipe that nobody holds would be closed as garbage.
var held struct {
	sync.Mutex
	leashes []io.Closer
}

// Run starts a server whose files are in dir, where its output goes to the file
// log. The signal, such as INT, ends it.
func Run(dir, signal string, as *syscall.SysProcAttr, command ...string) error {
	run := exec.Command("/bin/sh", append([]string{"-c", supervise, "sh", dir, signal}, command...)...) //nolint:gosec // a test names its server
	run.SysProcAttr, run.Dir = as, dir
	input, err := run.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", filepath.Base(command[0]), err)
	}
	if err := run.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", filepath.Base(command[0]), err)
	}
	held.Lock()
	defer held.Unlock()
	held.leashes = append(held.leashes, input)
	return nil
}

// Await tries until the server in dir answers. The error of one that does not has
// its log.
func Await(dir string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "log")) //nolint:gosec // a file of the server; it says what it can
			return fmt.Errorf("waiting for the server: %w: %s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
