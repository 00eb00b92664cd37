package pgtest

import (
	"context"
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
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTimeout = time.Minute
	pollInterval = 20 * time.Millisecond
)

// Server is a PostgreSQL server that lives no longer than the test process.
type Server struct {
	bin  string              // folder of the installed programs
	as   *syscall.Credential // whom to run as; nil for ourselves
	dir  string              // data, socket and log
	keep *keeper             // nil while stopped
}

// keeper is the shell that looks after a running server. It stops the server
// when its standard input ends, which happens however this process ends, and
// then removes the server's files unless it was told to keep them.
type keeper struct {
	cmd   *exec.Cmd
	input io.WriteCloser
}

// The shell's own group keeps an interrupt at the terminal from reaching it
// before the end of its input does. PostgreSQL takes SIGQUIT for an immediate
// stop, the nearest to a crash.
const keeperScript = `dir=$1; shift
"$@" &
pid=$!
word=
read -r word || true
kill -QUIT "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
[ "$word" = keep ] || rm -rf -- "$dir"`

func startServer() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	as, err := credential()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "habeas-pg-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the server: %w", err)
	}
	s := &Server{bin: bin, as: as, dir: dir}
	if err := s.init(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// programs finds the folder with initdb and postgres.
func programs() (string, error) {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("looking for %s: %w", pattern, err)
		}
		slices.Reverse(found) // the newest first, near enough
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		_, noInit := os.Stat(filepath.Join(dir, "initdb"))
		_, noServer := os.Stat(filepath.Join(dir, "postgres"))
		if noInit == nil && noServer == nil {
			return dir, nil
		}
	}
	return "", errors.New("initdb and postgres are not installed: install PostgreSQL (apt-get install postgresql) or set HABEAS_TEST_POSTGRES to the DSN of a server")
}

// credential returns whom to run as when we are root, as whom PostgreSQL
// refuses to run.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("reading the ids of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root and there is no user postgres or nobody: run the tests as another user")
}

func (s *Server) init() error {
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return fmt.Errorf("giving the server its folder: %w", err)
		}
	}
	cmd := s.command(filepath.Join(s.bin, "initdb"), "--pgdata="+s.data(), "--username=postgres",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, tail(out))
	}
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return cmd
}

// start runs the server and returns when it takes connections. Durability
// against a crash of the machine is traded for speed; against a crash of the
// server itself nothing is lost.
func (s *Server) start() error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own handle; there is nothing of ours to lose
	cmd := s.command("/bin/sh", "-c", keeperScript, "sh", s.dir,
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB", "-c", "max_connections=300")
	cmd.Stdout, cmd.Stderr = log, log
	input, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making the server's pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	s.keep = &keeper{cmd: cmd, input: input}
	if err := s.ready(); err != nil {
		text, _ := os.ReadFile(s.log()) // only to say more
		return fmt.Errorf("waiting for the server: %w: %s", err, tail(text))
	}
	return nil
}

// ready polls until the server takes a connection.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.admin())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// NewDatabase returns the DSN of a fresh database, good before and after a
// restart. It goes with the server.
func (s *Server) NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("d%d", time.Now().UnixNano())
	execute(t, s.admin(), "CREATE DATABASE "+name+" TEMPLATE template0")
	return s.dsn(name)
}

// Stop stops the server at once, as if it had crashed: no client is waited for
// and nothing is flushed. What was committed is there after [Server.Restart].
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end("keep\n"); err != nil {
		t.Fatalf("stopping PostgreSQL: %v", err)
	}
}

// Restart starts a stopped server again, on the same address with the same
// data; a running one is stopped first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := s.start(); err != nil {
		t.Fatalf("starting PostgreSQL again: %v", err)
	}
}

func (s *Server) remove() error {
	return errors.Join(s.end(""), os.RemoveAll(s.dir))
}

// end gives the keeper its last word and waits until the server is gone.
func (s *Server) end(word string) error {
	if s.keep == nil {
		return nil
	}
	_, writeErr := io.WriteString(s.keep.input, word)
	closeErr := s.keep.input.Close()
	waitErr := s.keep.cmd.Wait()
	s.keep = nil
	return errors.Join(writeErr, closeErr, waitErr)
}

func (s *Server) data() string  { return filepath.Join(s.dir, "data") }
func (s *Server) log() string   { return filepath.Join(s.dir, "log") }
func (s *Server) admin() string { return s.dsn("postgres") }

// dsn is for the socket in the server's folder.
func (s *Server) dsn(database string) string {
	q := url.Values{"host": {s.dir}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// tail returns the end of a program's output, where the reason is.
func tail(out []byte) string {
	const most = 2000
	text := strings.TrimSpace(string(out))
	return text[max(0, len(text)-most):]
}
