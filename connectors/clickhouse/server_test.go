package clickhouse

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/leash"
)

// running is the server that the tests of this process share.
var running struct {
	sync.Mutex
	address *url.URL
	next    atomic.Int64
}

const serverConfig = `<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>%[2]d</http_port><tcp_port>%[3]d</tcp_port><interserver_http_port>%[4]d</interserver_http_port>
  <listen_host>127.0.0.1</listen_host>
  <path>%[1]s/data/</path><tmp_path>%[1]s/tmp/</tmp_path><user_files_path>%[1]s/files/</user_files_path>
  <users_config>users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
  %[5]s
  <mark_cache_size>67108864</mark_cache_size>
  <query_log><database>system</database><table>query_log</table><flush_interval_milliseconds>100</flush_interval_milliseconds></query_log>
</yandex>
`

const serverUsers = `<?xml version="1.0"?>
<yandex>
  <profiles><default><log_queries>1</log_queries></default></profiles>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
  </users>
  <quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors><result_rows>0</result_rows><read_rows>0</read_rows><execution_time>0</execution_time></interval></default></quotas>
</yandex>
`

// program finds the server's program, in PATH or where Debian puts it.
func program() string {
	for _, name := range []string{"clickhouse-server", "/usr/sbin/clickhouse-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// start returns the address of the server that all tests of the process share.
func start(t testing.TB) *url.URL {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	if running.address == nil {
		running.address = launch(t, "")
	}
	return running.address
}

// launch starts a server of its own, with more in its configuration. The
// process's end is the server's.
func launch(t testing.TB, more string) *url.URL {
	t.Helper()
	path := program()
	if path == "" {
		leash.Missing(t, "no ClickHouse server: install the package clickhouse-server")
	}
	dir, err := os.MkdirTemp("", "clickhouse") //nolint:usetesting // it outlives the test
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 3)
	for name, text := range map[string]string{
		"config.xml": fmt.Sprintf(serverConfig, dir, ports[0], ports[1], ports[2], more), "users.xml": serverUsers,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := leash.Run(dir, "KILL", nil, path, "--config-file="+filepath.Join(dir, "config.xml")); err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	s := &server{address: u, client: http.DefaultClient}
	if err := leash.Await(dir, func(ctx context.Context) error { return s.do(ctx, "SELECT 1", nil, "") }); err != nil {
		t.Fatal(err)
	}
	return u
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0") //nolint:usetesting // t may be over when it is used
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		}()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// line leads to the server byte by byte, until it is cut.
type line struct {
	listener net.Listener
	mu       sync.Mutex
	ends     []net.Conn
}

func newLine(t testing.TB, to string) *line {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0") //nolint:usetesting // it is cut in a cleanup
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // it was cut
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close() // the caller sees it
				continue
			}
			l.mu.Lock()
			l.ends = append(l.ends, near, far)
			l.mu.Unlock()
			for from, into := range map[net.Conn]net.Conn{near: far, far: near} {
				go func() {
					_, _ = io.Copy(into, from) // it ends when either does
					_ = into.Close()
				}()
			}
		}
	}()
	return l
}

func (l *line) cut() {
	_ = l.listener.Close() // it may have been cut before
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range l.ends {
		_ = end.Close() // likewise
	}
}

// database is a database of its own on the server, and a way to it that can be
// cut.
type database struct {
	*server
	name string
	line *line
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	u := start(t)
	d := &database{server: &server{address: u, client: http.DefaultClient}, name: fmt.Sprintf("test_%d", running.next.Add(1))}
	d.line = newLine(t, u.Host)
	d.run(t, "CREATE DATABASE "+d.name)
	t.Cleanup(func() {
		d.line.cut()
		ctx := context.Background() //nolint:usetesting // t's context has ended
		if err := d.do(ctx, "DROP DATABASE "+d.name, nil, ""); err != nil {
			t.Errorf("dropping the database: %v", err)
		}
	})
	return d
}

// run runs a statement, in which "DB." stands for the database.
func (d *database) run(t testing.TB, statement string) {
	t.Helper()
	if err := d.do(t.Context(), strings.ReplaceAll(statement, "DB.", d.name+"."), nil, ""); err != nil {
		t.Fatalf("%.60s: %v", statement, err)
	}
}

// lines returns the rows of a query as text.
func (d *database) lines(t testing.TB, text string) []string {
	t.Helper()
	all, err := query[map[string]any](t.Context(), d.server, strings.ReplaceAll(text, "DB.", d.name+"."), nil, nil)
	if err != nil {
		t.Fatalf("%.60s: %v", text, err)
	}
	var out []string
	for _, row := range all {
		out = append(out, fmt.Sprint(row))
	}
	return out
}

// connector opens the engine with a map in which "DB." stands for the database.
func (d *database) connector(t testing.TB, text string, change ...func(*Settings)) *Connector {
	t.Helper()
	m, err := ParseMap("map.yaml", []byte(strings.ReplaceAll(text, "DB.", d.name+".")))
	if err != nil {
		t.Fatal(err)
	}
	s := Settings{Address: "http://" + d.line.listener.Addr().String(), Keys: KeysSettings{Table: d.name + ".erasing"}}
	for _, f := range change {
		f(&s)
	}
	c, err := New(m, s, "")
	if err != nil {
		t.Fatal(err)
	}
	c.pause = 20 * time.Millisecond
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return c
}
