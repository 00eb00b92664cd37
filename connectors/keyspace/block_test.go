package keyspace

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Commands whose time does not grow with what a database holds: those that
// move a cursor by COUNT, those that name what they touch, and those of the
// connection.
var (
	counted = []string{"scan", "sscan", "hscan", "zscan", "xrange"}
	named   = []string{"hmget", "hdel", "srem", "zrem", "xdel", "unlink", "get", "lrem"}
	steady  = []string{"type", "watch", "unwatch", "multi", "exec", "llen", "scard", "zcard", "xlen", "lrange", "hello", "client", "select", "ping", "auth"}
)

var omitted = regexp.MustCompile(`\((\d+) more arguments\)`)

// words is how many arguments a logged command had: the log shows the first 31
// and the number of the others.
func words(args []string) int {
	if m := omitted.FindStringSubmatch(args[len(args)-1]); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits
		return len(args) - 1 + n
	}
	return len(args)
}

// TestNoCommandTouchesMoreThanTheCount lets the server log every command while
// one person is located, copied and erased among many, and reads the log.
func TestNoCommandTouchesMoreThanTheCount(t *testing.T) {
	const count = 100
	onServers(t, func(t *testing.T, s *server) {
		d := s.database(t)
		crowd(t, d, 20_000)
		c := d.connector(t, shopMap, func(s *Settings) { s.Count = count })
		p := sdk.NewPerson(sdk.ID(sdk.UserID, "u7"), sdk.ID(sdk.Email, "u7@example.com"))

		d.run(t, "CONFIG", "SET", "slowlog-max-len", "1000000")
		d.run(t, "CONFIG", "SET", "slowlog-log-slower-than", "0")
		d.run(t, "SLOWLOG", "RESET")
		located, err := c.Locate(t.Context(), p)
		if err != nil || len(located) == 0 {
			t.Fatalf("Locate: %v, %v", located, err)
		}
		var out collector
		if err := c.Export(t.Context(), p, &out); err != nil {
			t.Fatal(err)
		}
		if err := c.Erase(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		log, err := d.SlowLogGet(t.Context(), -1).Result()
		d.run(t, "CONFIG", "SET", "slowlog-log-slower-than", "-1")
		d.run(t, "SLOWLOG", "RESET")
		if err != nil {
			t.Fatal(err)
		}
		if left, err := c.Locate(t.Context(), p); err != nil || len(left[:]) != 0 {
			t.Errorf("after Erase: %v, %v", left, err)
		}
		seen, longest := map[string]int{}, time.Duration(0)
		for _, entry := range log {
			name := strings.ToLower(entry.Args[0])
			if name == "config" || name == "slowlog" {
				continue
			}
			seen[name]++
			longest = max(longest, entry.Duration)
			checkCommand(t, name, entry.Args, count)
		}
		if seen["scan"] < 10 || seen["unlink"] == 0 {
			t.Errorf("the log does not show the work: %v", seen)
		}
		t.Logf("%d commands, the longest took %s: %v", len(log), longest, seen)
	})
}

func checkCommand(t *testing.T, name string, args []string, count int) {
	t.Helper()
	switch {
	case slices.Contains(counted, name):
		i := slices.IndexFunc(args, func(a string) bool { return strings.EqualFold(a, "count") })
		if i < 0 || i+1 >= len(args) || args[i+1] != strconv.Itoa(count) {
			t.Errorf("%s without COUNT %d", name, count)
		}
	case name == "lrange":
		from, err1 := strconv.Atoi(args[2])
		to, err2 := strconv.Atoi(args[3])
		if err1 != nil || err2 != nil || to-from+1 > count {
			t.Errorf("lrange of more than %d elements", count)
		}
	case slices.Contains(named, name):
		if n := words(args) - 2; n > count {
			t.Errorf("%s of %d names, more than %d", name, n, count)
		}
	case !slices.Contains(steady, name):
		t.Errorf("command %s may hold up the server", name)
	}
}

// crowd fills a database with n people's records and collections of n entries.
func crowd(t testing.TB, d *database, n int) {
	t.Helper()
	ctx := t.Context()
	for from := 0; from < n; from += 5000 {
		_, err := d.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := from; i < min(n, from+5000); i++ {
				id := fmt.Sprintf("u%d", i)
				p.HSet(ctx, fmt.Sprintf("session:%d", i), "uid", id)
				p.SAdd(ctx, "newsletter", id+"@example.com")
				p.ZAdd(ctx, "board:all", redis.Z{Member: id, Score: float64(i)})
				p.HSet(ctx, "presence", id+":1", "x")
				p.XAdd(ctx, &redis.XAddArgs{Stream: "clicks:all", Values: []any{"u", id}})
				if i%10 == 7 {
					p.RPush(ctx, "queue", fmt.Sprintf(`{"to":"%s@example.com"}`, id))
				}
				// One person has a great deal in one key.
				p.SAdd(ctx, "friends:u7", i)
				p.XAdd(ctx, &redis.XAddArgs{Stream: "visits:u7", Values: []any{"page", i}})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.lines(t, "HSET user:u7 name Ada\nHSET user:u8 name Bob")
}

// TestManyPeopleInOneWalk shows that a batch walks the keys as often as one
// person does.
func TestManyPeopleInOneWalk(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		d := s.database(t)
		crowd(t, d, 5000)
		c := d.connector(t, shopMap)
		var people []sdk.Person
		for i := range 1000 {
			people = append(people, sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("u%d", i)), sdk.ID(sdk.Email, fmt.Sprintf("U%d@example.com", i))))
		}
		one := scans(t, d, func() {
			if _, err := c.Locate(t.Context(), people[7]); err != nil {
				t.Fatal(err)
			}
		})
		many := scans(t, d, func() {
			if errs := c.EraseBatch(t.Context(), people); errs != nil {
				t.Fatal(errs[0])
			}
		})
		if one == 0 || many > one+one/10 {
			t.Errorf("%d pages of keys for one person, %d for a thousand", one, many)
		}
		if n, err := d.SCard(t.Context(), "newsletter").Result(); err != nil || n != 4000 {
			t.Errorf("%d subscribers are left, want 4000: %v", n, err)
		}
	})
}

var scanCalls = regexp.MustCompile(`cmdstat_scan:calls=(\d+)`)

// scans is how many SCAN commands the server ran for f.
func scans(t *testing.T, d *database, f func()) int {
	t.Helper()
	read := func() int {
		text, err := d.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		if m := scanCalls.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			return n
		}
		return 0
	}
	before := read()
	f()
	return read() - before
}
