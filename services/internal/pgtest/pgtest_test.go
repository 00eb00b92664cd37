package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestDatabasesAreApart(t *testing.T) {
	one, two := New(t), New(t)
	if one == two {
		t.Fatal("two tests share a database")
	}
	exec1(t, connect(t, one), "CREATE TABLE t (n int)")
	exec1(t, connect(t, two), "CREATE TABLE t (n int)")
}

func TestCopy(t *testing.T) {
	first := New(t)
	conn := connect(t, first)
	exec1(t, conn, "CREATE TABLE t (n int)")
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := connect(t, Copy(t, first))
	exec1(t, second, "INSERT INTO t VALUES (1)")
	var n int
	if err := connect(t, first).QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 0 {
		t.Errorf("what was written to the copy is in the other: %d, %v", n, err)
	}
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = New(t)
		connect(t, dsn) // left open on purpose
	})
	if _, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Error("the database is still there")
	}
}

func TestStopAndRestart(t *testing.T) {
	s := Start(t)
	dsn := s.NewDatabase(t)
	conn := connect(t, dsn)
	exec1(t, conn, "CREATE TABLE t (n int)")
	exec1(t, conn, "INSERT INTO t VALUES (1)")
	s.Stop(t)
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a stopped server answers")
	}
	if _, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Error("a stopped server takes a connection")
	}
	s.Restart(t)
	var n int
	if err := connect(t, dsn).QueryRow(t.Context(), "SELECT n FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("what was committed: %d, %v", n, err)
	}
	s.Restart(t) // of a running one
	connect(t, dsn)
}

// The test program, run again as a child, starts a server and is killed.
func TestServerDiesWithItsProcess(t *testing.T) {
	if os.Getenv("PGTEST_CHILD") == "true" {
		s, err := startServer()
		if err != nil {
			unavailable(t, err)
		}
		fmt.Println("DIR", s.dir)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithItsProcess$")
	cmd.Env = append(os.Environ(), "PGTEST_CHILD=true")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "DIR %s", &dir) // other lines don't match
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as asked
	if dir == "" {
		unavailable(t, errors.New("the child started no server"))
	}
	deadline := time.After(startTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		_, err := os.Stat(filepath.Join(dir, "data"))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s is still there", dir)
		case <-tick.C:
		}
	}
}

func TestWithDatabase(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u:p@h:5433/postgres?sslmode=disable": "postgres://u:p@h:5433/x?sslmode=disable",
		"postgres://u@h":         "postgres://u@h/x",
		"host=/tmp dbname=admin": "host=/tmp dbname=admin dbname=x",
	} {
		if got, err := withDatabase(in, "x"); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if cfg, err := pgx.ParseConfig("host=/tmp dbname=admin dbname=x"); err != nil || cfg.Database != "x" {
		t.Errorf("the last name does not count: %v", err)
	}
}
