// Package mariatest gives a test a MariaDB or MySQL database of its own.
//
// The server is the one HABEAS_TEST_MYSQL names, or a private one started from
// the installed programs of MariaDB, once for the test process. A test skips
// where there is neither, and fails where CI=true says that there must be one.
package mariatest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/habeas-data/habeas/connectors/internal/leash"
)

// errMissing says that no MariaDB is installed.
var errMissing = errors.New("no MariaDB server: set HABEAS_TEST_MYSQL to an address such as mysql://root@host:3306/, or install the package mariadb-server")

var server = sync.OnceValues(start)

// New makes an empty database and returns its address, a mysql:// URL, and an
// independent connection to it with the quoting of standard SQL. The database
// goes when the test ends.
func New(t testing.TB) (address string, plain *sql.DB) {
	t.Helper()
	base := os.Getenv("HABEAS_TEST_MYSQL")
	if base == "" {
		var err error
		if base, err = server(); errors.Is(err, errMissing) {
			leash.Missing(t, err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
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
	name := "habeas_test_" + leash.Token()
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

// start makes and starts a private server and returns its address.
func start() (string, error) {
	install, err := program("mariadb-install-db", "mysql_install_db")
	if err != nil {
		return "", err
	}
	mariadbd, err := program("mariadbd", "mysqld")
	if err != nil {
		return "", err
	}
	as, err := leash.Account("mysql", "nobody")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mariatest")
	if err != nil {
		return "", err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			return "", err
		}
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	init := exec.Command(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	init.SysProcAttr, init.Dir = as, dir
	if out, err := init.CombinedOutput(); err != nil {
		return "", fmt.Errorf("making a MariaDB data folder: %w: %s", err, strings.TrimSpace(string(out)))
	}
	err = leash.Run(dir, "KILL", as, mariadbd, "--no-defaults", "--datadir="+data, "--socket="+socket, "--pid-file="+filepath.Join(dir, "pid"),
		"--skip-networking", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--sync-frm=0", "--innodb-buffer-pool-size=128M", "--max-connections=200")
	if err != nil {
		return "", err
	}
	address := &url.URL{Scheme: "mysql", User: url.User("root"), Host: "localhost", RawQuery: url.Values{"socket": {socket}}.Encode()}
	db, err := open(address)
	if err != nil {
		return "", err
	}
	err = leash.Await(dir, db.PingContext)
	address.Path = "/"
	return address.String(), errors.Join(err, db.Close())
}
