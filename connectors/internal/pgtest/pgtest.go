// Package pgtest gives a test a PostgreSQL database of its own.
//
// The server is the one HABEAS_TEST_POSTGRES names, or a private one started
// from the installed programs, once for the test process. A test skips where
// there is neither, and fails where CI=true says that there must be one.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// errMissing says that no PostgreSQL is installed.
var errMissing = errors.New("no PostgreSQL server: set HABEAS_TEST_POSTGRES to an address, or install the package postgresql")

// ready is how long a server may take to start.
const ready = 60 * time.Second

var server = sync.OnceValues(start)

// private is a server this process started.
type private struct {
	address string
	// leash is the server's standard input. It stays open as long as this
	// process lives; a pipe that nobody holds would be closed as garbage.
	leash io.WriteCloser
}

// New makes an empty database and returns its address, a postgres:// URL. The
// database goes when the test ends.
func New(t testing.TB) string {
	t.Helper()
	base := os.Getenv("HABEAS_TEST_POSTGRES")
	if base == "" {
		own, err := server()
		if errors.Is(err, errMissing) && os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		base = own.address
	}
	name := "habeas_test_" + token()
	admin(t, base, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, base, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("HABEAS_TEST_POSTGRES must be a postgres:// URL")
	}
	u.Path = "/" + name
	return u.String()
}

// admin runs one statement on a connection of its own.
func admin(t testing.TB, address, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatalf("connecting to the test server: %v", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatalf("preparing a test database: %v", err)
	}
}

func token() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// program finds a server program, in PATH or where Debian puts the newest.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", errMissing
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return found[0], nil
}

func version(path string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if err != nil {
		return 0 // not a numbered folder: last choice
	}
	return n
}

// account is whom the server runs as: PostgreSQL refuses to run as root.
func account() (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
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
	return nil, errors.New("starting PostgreSQL as root: there is no account postgres or nobody to run it as")
}

// supervise runs the server until its standard input ends, which it does when
// the test process ends, however it ends. Then it removes the folder.
const supervise = `
"$1" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=100 >"$2/log" 2>&1 &
read -r _
kill -INT $!
wait $!
rm -rf "$2"
`

// start makes and starts a private server and returns it.
func start() (*private, error) {
	initdb, err := program("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := program("postgres")
	if err != nil {
		return nil, err
	}
	attr, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	if attr != nil {
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	init := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = attr, dir
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making a PostgreSQL cluster: %w: %s", err, strings.TrimSpace(string(out)))
	}
	run := exec.Command("/bin/sh", "-c", supervise, "sh", postgres, dir)
	run.SysProcAttr, run.Dir = attr, dir
	leash, err := run.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := run.Start(); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	address := "postgres://postgres@/postgres?host=" + url.QueryEscape(dir)
	return &private{address: address, leash: leash}, await(address, dir)
}

// await connects until the server answers.
func await(address, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, address)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return fmt.Errorf("PostgreSQL did not start: %w: %s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
