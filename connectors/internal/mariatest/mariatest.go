// Package mariatest gives a test a MariaDB or MySQL database of its own.
//
// The server is the one HABEAS_TEST_MYSQL names, or a private one started from
// the installed programs of MariaDB, once for the test process. A test skips
// where there is neither, and fails where CI=true says that there must be one.
package mariatest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
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

	"github.com/go-sql-driver/mysql"
)

// errMissing says that no MariaDB is installed.
var errMissing = errors.New("no MariaDB server: set HABEAS_TEST_MYSQL to an address such as mysql://root@host:3306/, or install the package mariadb-server")

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

// New makes an empty database and returns its address, a mysql:// URL, and an
// independent connection to it with the quoting of standard SQL. The database
// goes when the test ends.
func New(t testing.TB) (address string, plain *sql.DB) {
	t.Helper()
	base := os.Getenv("HABEAS_TEST_MYSQL")
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
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("HABEAS_TEST_MYSQL must be a mysql:// URL")
	}
	u.Path = ""
	admin, err := open(u)
	if err != nil {
		t.Fatal(err)
	}
	name := "habeas_test_" + token()
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		t.Fatalf("preparing a test database: %v", err)
	}
	u.Path = "/" + name
	if plain, err = open(u); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+name)
		if err := errors.Join(err, plain.Close(), admin.Close()); err != nil {
			t.Error(err)
		}
	})
	return u.String(), plain
}

// open connects by the driver's own means.
func open(u *url.URL) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", u.Host
	if socket := u.Query().Get("socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	config.InterpolateParams = true
	config.Params = map[string]string{"sql_mode": "'ANSI_QUOTES,STRICT_ALL_TABLES'", "time_zone": "'+00:00'"}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the test server: %w", err)
	}
	return sql.OpenDB(connector), nil
}

func token() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// program finds a server program, in PATH or where Debian puts it.
func program(names ...string) (string, error) {
	for _, name := range names {
		for _, try := range []string{name, "/usr/sbin/" + name, "/usr/libexec/" + name} {
			if path, err := exec.LookPath(try); err == nil {
				return path, nil
			}
		}
	}
	return "", errMissing
}

// account is whom the server runs as: MariaDB refuses to run as root.
func account() (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"mysql", "nobody"} {
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
	return nil, errors.New("starting MariaDB as root: there is no account mysql or nobody to run it as")
}

// supervise runs the server until its standard input ends, which it does when
// the test process ends, however it ends. Then it removes the folder.
const supervise = `
"$1" --no-defaults --datadir="$2/data" --socket="$2/s" --pid-file="$2/pid" --skip-networking --skip-log-bin \
	--innodb-flush-log-at-trx-commit=0 --sync-frm=0 --innodb-buffer-pool-size=128M --max-connections=200 >"$2/log" 2>&1 &
read -r _
kill -KILL $!
wait $!
rm -rf "$2"
`

// start makes and starts a private server and returns it.
func start() (*private, error) {
	install, err := program("mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, err
	}
	mariadbd, err := program("mariadbd", "mysqld")
	if err != nil {
		return nil, err
	}
	attr, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mariatest")
	if err != nil {
		return nil, err
	}
	if attr != nil {
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	init := exec.Command(install, "--no-defaults", "--datadir="+filepath.Join(dir, "data"), "--auth-root-authentication-method=normal", "--skip-test-db")
	init.SysProcAttr, init.Dir = attr, dir
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making a MariaDB data folder: %w: %s", err, strings.TrimSpace(string(out)))
	}
	run := exec.Command("/bin/sh", "-c", supervise, "sh", mariadbd, dir)
	run.SysProcAttr, run.Dir = attr, dir
	leash, err := run.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := run.Start(); err != nil {
		return nil, fmt.Errorf("starting MariaDB: %w", err)
	}
	address := &url.URL{Scheme: "mysql", User: url.User("root"), Host: "localhost", Path: "/", RawQuery: url.Values{"socket": {filepath.Join(dir, "s")}}.Encode()}
	return &private{address: address.String(), leash: leash}, await(address, dir)
}

// await connects until the server answers.
func await(address *url.URL, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	u := *address
	u.Path = ""
	db, err := open(&u)
	if err != nil {
		return err
	}
	for {
		if err = db.PingContext(ctx); err == nil {
			return db.Close()
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return errors.Join(fmt.Errorf("MariaDB did not start: %w: %s", err, log), db.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
