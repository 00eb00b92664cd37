package keyspace

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// startCluster starts three masters that share the slots, and returns their
// addresses.
func startCluster(t *testing.T, program string) []string {
	t.Helper()
	var addrs []string
	for range 3 {
		port := freePort(t)
		dir := shortDir(t)
		started.Lock()
		launch(t, dir, program, "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes", "--save", "", "--dir", dir, "--cluster-config-file", filepath.Join(dir, "nodes"))
		started.Unlock()
		addr := "127.0.0.1:" + port
		await(t, redis.NewClient(&redis.Options{Addr: addr}), dir)
		addrs = append(addrs, addr)
	}
	for i, addr := range addrs {
		c := redis.NewClient(&redis.Options{Addr: addr})
		from, to := i*5462, min((i+1)*5462, 16384)-1
		do(t, c, "CLUSTER", "ADDSLOTSRANGE", from, to)
		host, port, _ := net.SplitHostPort(addrs[0]) // made above
		do(t, c, "CLUSTER", "MEET", host, port)
		closeAll(t, c)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		ready := 0
		for _, addr := range addrs {
			c := redis.NewClient(&redis.Options{Addr: addr})
			info, err := c.ClusterInfo(t.Context()).Result()
			closeAll(t, c)
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") {
				ready++
			}
		}
		if ready == len(addrs) {
			return addrs
		}
		if time.Now().After(end) {
			t.Fatal("the cluster did not form")
		}
		<-time.After(50 * time.Millisecond)
	}
}

func do(t *testing.T, c *redis.Client, words ...any) {
	t.Helper()
	if err := c.Do(t.Context(), words...).Err(); err != nil {
		t.Fatalf("%v: %v", words, err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	for {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String()) // it is one
		closeAll(t, l)
		// The nodes talk on the port 10000 higher.
		if len(port) < 5 || port < "55000" {
			return port
		}
	}
}

func TestCluster(t *testing.T) {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			continue
		}
		t.Run(program, func(t *testing.T) { testCluster(t, program) })
	}
}

func testCluster(t *testing.T, program string) {
	addrs := startCluster(t, program)
	all := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer closeAll(t, all)
	ctx := t.Context()
	for i := range 300 {
		id := fmt.Sprintf("u%d", i%3)
		for _, err := range []error{
			all.HSet(ctx, fmt.Sprintf("session:%d", i), "uid", id).Err(),
			all.RPush(ctx, fmt.Sprintf("cart:%s:%d", id, i), "socks").Err(),
			all.SAdd(ctx, "newsletter", fmt.Sprintf("%s+%d@example.com", id, i)).Err(),
			all.ZAdd(ctx, fmt.Sprintf("board:%d", i), redis.Z{Member: id}).Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := ParseMap("map.yaml", []byte(shopMap))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(m, Settings{Address: "redis://" + addrs[0], Cluster: true, Count: 10}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, c)
	count := func(id string) string {
		t.Helper()
		found, err := c.Locate(ctx, person(sdk.UserID, id))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range found {
			all = append(all, fmt.Sprint(f.Store, " ", f.Count))
		}
		return strings.Join(all, ", ")
	}
	const want = "carts 100, sessions 100, board 100"
	if got := count("u1"); got != want {
		t.Errorf("located %s, want %s", got, want)
	}
	if err := c.Erase(ctx, person(sdk.UserID, "u1")); err != nil {
		t.Fatal(err)
	}
	if got := count("u1"); got != "" {
		t.Errorf("left: %s", got)
	}
	if got := count("u2"); got != want {
		t.Errorf("of somebody else: %s, want %s", got, want)
	}

	// A slot on its way to another node could be missed.
	node := redis.NewClient(&redis.Options{Addr: addrs[0]})
	defer closeAll(t, node)
	other := redis.NewClient(&redis.Options{Addr: addrs[1]})
	defer closeAll(t, other)
	id, err := other.Do(ctx, "CLUSTER", "MYID").Text()
	if err != nil {
		t.Fatal(err)
	}
	do(t, node, "CLUSTER", "SETSLOT", 0, "MIGRATING", id)
	moving := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:1], ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
		return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: addrs[0]}}}}, nil
	}})
	defer closeAll(t, moving)
	if _, err := shape(ctx, moving); err == nil || sdk.IsPermanent(err) {
		t.Errorf("while slots are moving: %v", err)
	}
}
