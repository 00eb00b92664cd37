// Package pgtest gives a test a PostgreSQL database of its own.
//
// The server is the one HABEAS_TEST_POSTGRES names, or a private one started
// from the installed programs, once for the test process. A test skips where
// there is neither, and fails where CI=true says that there must be one.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/leash"
	"github.com/jackc/pgx/v5"
)

// errMissing says that no PostgreSQL is installed.
var errMissing = errors.New("no PostgreSQL server: set HABEAS_TEST_POSTGRES to an address, or install the package postgresql")

// patience is how long one statement may take.
const patience = 60 * time.Second

var server = sync.OnceValues(start)

// New makes an empty database and returns its address, a postgres:// URL. The
// database goes when the test ends.
func New(t testing.TB) string {
	t.Helper()
	base := os.Getenv("HABEAS_TEST_POSTGRES")
	if base == "" {
		var err error
		if base, err = server(); errors.Is(err, errMissing) {
			leash.Missing(t, err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	name := "habeas_test_" + leash.Token()
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// start makes and starts a private server and returns its address.
func start() (string, error) {
	initdb, err := program("initdb")
	if err != nil {
		return "", err
	}
	postgres, err := program("postgres")
	if err != nil {
		return "", err
	}
	as, err := leash.Account("postgres", "nobody")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return "", err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			return "", err
		}
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = as, dir
	if out, err := init.CombinedOutput(); err != nil {
		return "", fmt.Errorf("making a PostgreSQL cluster: %w: %s", err, strings.TrimSpace(string(out)))
	}
	err = leash.Run(dir, "INT", as, postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=100")
	if err != nil {
		return "", err
	}
	address := "postgres://postgres@/postgres?host=" + url.QueryEscape(dir)
	return address, leash.Await(dir, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}
