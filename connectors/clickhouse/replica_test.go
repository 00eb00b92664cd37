package clickhouse

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/leash"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// zooKeeper starts a ZooKeeper for the length of the test and returns its port.
// Debian's package has its script and no program in PATH.
func zooKeeper(t *testing.T) int {
	t.Helper()
	const script = "/usr/share/zookeeper/bin/zkServer.sh"
	if _, err := os.Stat(script); err != nil {
		leash.Missing(t, "no ZooKeeper: install the package zookeeper")
	}
	dir, port := t.TempDir(), freePorts(t, 1)[0]
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=2000\nmaxSessionTimeout=120000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n", dir, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), script, "start-foreground", file)
	run.Env = append(os.Environ(), "ZOO_LOG_DIR="+dir, "ZOOCFGDIR="+dir, "ZOOPIDFILE="+filepath.Join(dir, "pid"))
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Kill() // the context has ended and done it
		_ = run.Wait()         // it was killed
	})
	for end := time.Now().Add(60 * time.Second); ; {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
		if time.Now().After(end) {
			t.Fatalf("ZooKeeper did not start: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// awaitKeeper waits until the server's session with ZooKeeper stands. The server
// gives up connecting after three tries of a second, and a ZooKeeper that has only
// just opened its port can take longer on a busy machine: it answers 999 then.
func awaitKeeper(t *testing.T, s *server) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		err := s.do(t.Context(), "SELECT count() FROM system.zookeeper WHERE path = '/'", nil, "")
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server has no session with ZooKeeper: %v", err)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// TestReplicatedTables erases on two replicas of which one is held up.
func TestReplicatedTables(t *testing.T) {
	if program() == "" {
		leash.Missing(t, "no ClickHouse server: install the package clickhouse-server")
	}
	keeper := zooKeeper(t)
	var servers []*server
	var addresses []string
	for i := range 2 {
		u := launch(t, fmt.Sprintf(`<interserver_http_host>127.0.0.1</interserver_http_host>
  <zookeeper><node><host>127.0.0.1</host><port>%d</port></node><session_timeout_ms>60000</session_timeout_ms></zookeeper>
  <macros><shard>1</shard><replica>r%d</replica></macros>`, keeper, i))
		servers = append(servers, &server{address: u, client: http.DefaultClient})
		addresses = append(addresses, u.String())
	}
	on := func(s *server, statement string) {
		t.Helper()
		if err := s.do(t.Context(), statement, nil, ""); err != nil {
			t.Fatalf("%.60s: %v", statement, err)
		}
	}
	number := func(s *server, text string) int64 {
		t.Helper()
		return (&database{server: s}).number(t, text)
	}
	for _, s := range servers {
		awaitKeeper(t, s)
		on(s, "CREATE DATABASE web")
		on(s, "CREATE TABLE web.visits (user String, n UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/1/visits', '{replica}') PARTITION BY n % 3 ORDER BY n")
	}
	on(servers[0], "INSERT INTO web.visits SELECT concat('usr_', toString(number % 10)), number FROM numbers(1000)")
	on(servers[1], "SYSTEM SYNC REPLICA web.visits")
	const text = `stores: [{name: visits, table: web.visits, identifiers: {user_id: user}, categories: {"*": {letter: F}}}]`
	connector := func(s Settings) *Connector {
		t.Helper()
		m, err := ParseMap("map.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s.Keys = KeysSettings{Table: "web.erasing", Engine: "ReplicatedMergeTree('/clickhouse/{shard}/erasing', '{replica}')"}
		c, err := New(m, s, "")
		if err != nil {
			t.Fatal(err)
		}
		c.pause = 20 * time.Millisecond
		return c
	}
	ada := person(sdk.UserID, "usr_7")
	_, err := connector(Settings{Address: addresses[0]}).Locate(t.Context(), ada)
	if !sdk.IsPermanent(err) || !strings.Contains(err.Error(), "web.visits has 2 replicas, and the configuration names 1 servers") {
		t.Errorf("with one of two servers: %v", err)
	}

	c := connector(Settings{Address: addresses[0], Replicas: addresses[1:]})
	on(servers[1], "SYSTEM STOP REPLICATION QUEUES web.visits")
	var waits int
	for end := time.Now().Add(20 * time.Second); number(servers[0], "SELECT count() AS n FROM web.visits") != 900; waits++ {
		if _, notYet := sdk.AsNotYet(c.Erase(t.Context(), ada)); !notYet || time.Now().After(end) {
			t.Fatal("over before a replica has begun")
		}
		<-time.After(20 * time.Millisecond)
	}
	if _, notYet := sdk.AsNotYet(c.Erase(t.Context(), ada)); !notYet {
		t.Error("over while one replica has all its rows")
	}
	if n := number(servers[1], "SELECT count() AS n FROM web.visits"); n != 1000 {
		t.Fatalf("the replica that is held up has %d rows: the test shows nothing", n)
	}
	if n := number(servers[1], "SELECT count() AS n FROM web.erasing"); n != 1 {
		t.Errorf("%d identifiers are on the other replica, want 1", n)
	}
	on(servers[1], "SYSTEM START REPLICATION QUEUES web.visits")
	until(t, func() error { return c.Erase(t.Context(), ada) })
	for i, s := range servers {
		if n := number(s, "SELECT count() AS n FROM web.visits"); n != 900 {
			t.Errorf("replica %d has %d rows, want 900", i, n)
		}
	}
	on(servers[1], "SYSTEM SYNC REPLICA web.erasing")
	if n := number(servers[1], "SELECT count() AS n FROM web.erasing"); n != 0 {
		t.Errorf("%d identifiers are left", n)
	}
}
