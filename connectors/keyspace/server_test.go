package keyspace

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/habeas-data/habeas/connectors/internal/leash"
	"github.com/redis/go-redis/v9"
)

// programs are the servers the tests run against, those that are installed.
var programs = []string{"redis-server", "valkey-server"}

// server is one running server, shared by the tests of the process.
type server struct {
	socket string
	dbs    atomic.Int64
}

// started holds the servers by program.
var started struct {
	sync.Mutex
	servers map[string]*server
}

// onServers runs a test on each kind of server that is installed. It skips on
// a machine that has none, and fails there when CI=true.
func onServers(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	found := 0
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			continue
		}
		found++
		t.Run(program, func(t *testing.T) { test(t, serverOf(t, program)) })
	}
	if found == 0 {
		needServer(t)
	}
}

func needServer(t testing.TB) {
	t.Helper()
	leash.Missing(t, "no Redis or Valkey server: install the package redis-server")
}

func serverOf(t testing.TB, program string) *server {
	t.Helper()
	started.Lock()
	defer started.Unlock()
	if s := started.servers[program]; s != nil {
		return s
	}
	dir := shortDir(t)
	s := &server{socket: filepath.Join(dir, "s")}
	launch(t, dir, program, "--port", "0", "--unixsocket", s.socket, "--save", "", "--databases", "4000", "--dir", dir)
	await(t, s.client(0), dir)
	if started.servers == nil {
		started.servers = map[string]*server{}
	}
	started.servers[program] = s
	return s
}

// shortDir is a folder whose path is short enough for a socket. The server's
// supervisor removes it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ks") //nolint:usetesting // it outlives the test, and its path must be short
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func launch(t testing.TB, dir string, command ...string) {
	t.Helper()
	if err := leash.Run(dir, "KILL", nil, command...); err != nil {
		t.Fatal(err)
	}
}

func await(t testing.TB, client redis.UniversalClient, dir string) {
	t.Helper()
	defer closeAll(t, client)
	if err := leash.Await(dir, func(ctx context.Context) error { return client.Ping(ctx).Err() }); err != nil {
		t.Fatal(err)
	}
}

func closeAll(t testing.TB, all ...io.Closer) {
	t.Helper()
	for _, c := range all {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
}

func (s *server) client(db int64) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket, DB: int(db)})
}

// database is an empty database of its own, and a socket of its own that leads
// to it.
type database struct {
	*redis.Client
	number int64
	socket string
}

func (s *server) database(t testing.TB) *database {
	t.Helper()
	n := s.dbs.Add(1)
	d := &database{Client: s.client(n), number: n, socket: filepath.Join(filepath.Dir(s.socket), fmt.Sprint(n))}
	if err := os.Symlink(s.socket, d.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.FlushDB(context.Background()).Err(); err != nil { //nolint:usetesting // t's context has ended
			t.Errorf("emptying the database: %v", err)
		}
		closeAll(t, d)
	})
	return d
}

// run runs one command given as words.
func (d *database) run(t testing.TB, words ...any) {
	t.Helper()
	if err := d.Do(t.Context(), words...).Err(); err != nil {
		t.Fatalf("%v: %v", words[0], err)
	}
}

// lines runs commands of plain words, one a line.
func (d *database) lines(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var words []any
		for w := range strings.FieldsSeq(line) {
			words = append(words, w)
		}
		if len(words) > 0 {
			d.run(t, words...)
		}
	}
}

// connector opens the engine on the database with a map.
func (d *database) connector(t testing.TB, text string, change ...func(*Settings)) *Connector {
	t.Helper()
	m, err := ParseMap("map.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := Settings{Address: fmt.Sprintf("unix://%s?db=%d", d.socket, d.number)}
	for _, f := range change {
		f(&s)
	}
	c, err := New(m, s, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return c
}

// dump is everything in the database, key by key and entry by entry.
func (d *database) dump(t testing.TB) []string {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := d.Keys(ctx, "*").Result()
	must(err)
	var all []string
	add := func(key string, words ...any) { all = append(all, fmt.Sprint(append([]any{key, " "}, words...)...)) }
	for _, key := range keys {
		typ, err := d.Type(ctx, key).Result()
		must(err)
		switch typ {
		case "string":
			v, err := d.Get(ctx, key).Result()
			must(err)
			add(key, v)
		case "hash":
			v, err := d.HGetAll(ctx, key).Result()
			must(err)
			for f, x := range v {
				add(key, f, "=", x)
			}
		case "set":
			v, err := d.SMembers(ctx, key).Result()
			must(err)
			for _, m := range v {
				add(key, m)
			}
		case "zset":
			v, err := d.ZRangeWithScores(ctx, key, 0, -1).Result()
			must(err)
			for _, m := range v {
				add(key, m.Member, " ", m.Score)
			}
		case "list":
			v, err := d.LRange(ctx, key, 0, -1).Result()
			must(err)
			for _, e := range v {
				add(key, e)
			}
		case "stream":
			v, err := d.XRange(ctx, key, "-", "+").Result()
			must(err)
			for _, e := range v {
				add(key, e.ID, e.Values)
			}
		}
	}
	slices.Sort(all)
	return all
}
