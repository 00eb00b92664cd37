// Package pgtest gives tests a PostgreSQL of their own.
//
// It promises a test that its database is empty and nobody else's, and the
// machine that nothing is left behind: however the test process ends, its
// server stops and its files go.
//
// The server is the one HABEAS_TEST_POSTGRES names, a DSN whose user may create
// databases. Without it, one is started for the test process from the installed
// PostgreSQL programs, never as root, reached by a socket only. Where there are
// none a test is skipped; with CI=true it fails, so that nothing passes there
// for want of a database.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const dropTimeout = 30 * time.Second

// New returns the DSN of a fresh, empty database, dropped when t ends. Tests of
// one process share a server.
func New(t testing.TB) (dsn string) {
	t.Helper()
	return create(t, "template0")
}

// Copy returns the DSN of a database that has what the one of another DSN from
// [New] has, dropped when t ends. Nobody may be connected to that one.
func Copy(t testing.TB, of string) (dsn string) {
	t.Helper()
	config, err := pgx.ParseConfig(of)
	if err != nil {
		t.Fatal("copying a test's database: not a DSN of New")
	}
	return create(t, config.Database)
}

// Start returns a server of the test's own, which it may stop and start again.
// It needs the installed programs even when HABEAS_TEST_POSTGRES is set.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := startServer()
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Errorf("removing the test's PostgreSQL: %v", err)
		}
	})
	return s
}

var startShared = sync.OnceValues(startServer)

func shared(t testing.TB) *Server {
	t.Helper()
	s, err := startShared()
	if err != nil {
		unavailable(t, err)
	}
	return s
}

func unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Skipf("starting PostgreSQL: %v", err)
}

// create makes a database like another on the server that is named, or else on the
// one that the tests of this process share.
func create(t testing.TB, like string) string {
	t.Helper()
	admin := os.Getenv("HABEAS_TEST_POSTGRES")
	if admin == "" {
		admin = shared(t).admin()
	}
	name := "t_" + strings.ToLower(rand.Text())
	execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE "+like)
	t.Cleanup(func() { execute(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	dsn, err := withDatabase(admin, name)
	if err != nil {
		t.Fatalf("reading HABEAS_TEST_POSTGRES: %v", err)
	}
	return dsn
}

func execute(t testing.TB, admin, sql string) {
	t.Helper()
	// In a cleanup the test's own context has ended already.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), dropTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		t.Errorf("connecting to the test PostgreSQL: %v", err)
		return
	}
	defer func() {
		if err := conn.Close(ctx); err != nil {
			t.Errorf("closing the connection to the test PostgreSQL: %v", err)
		}
	}()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Errorf("running %s: %v", sql, err)
	}
}

// withDatabase returns dsn, a URL or a list of key=value, for another database.
func withDatabase(dsn, name string) (string, error) {
	if !strings.Contains(dsn, "://") {
		return dsn + " dbname=" + name, nil // the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("parsing the DSN as a URL: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}
