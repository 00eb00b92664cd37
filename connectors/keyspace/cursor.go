package keyspace

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// owned is a key and, where its name tells, whose it is.
type owned struct {
	key    string
	people []int
}

// eachKey hands out the store's keys that may concern the people, each once and
// no more at a time than one command may look at. All of them have the type
// the map says.
func (c *Connector) eachKey(ctx context.Context, q *sought, s *store, visit func([]owned) error) error {
	typed := func(keys []owned) error {
		keys, err := c.ofType(ctx, s, keys)
		if err != nil || len(keys) == 0 {
			return err
		}
		return visit(keys)
	}
	kind := s.keys.kind
	if !s.keys.wild && (kind == "" || !q.normalise.Lower(kind)) {
		for group := range slices.Chunk(c.named(q, s), int(c.count)) {
			if err := typed(group); err != nil {
				return err
			}
		}
		return nil
	}
	seen := map[string]bool{}
	return c.scan(ctx, s.keys.glob(q.only(kind)), func(names []string) error {
		var keys []owned
		for _, name := range names {
			value, ok := s.keys.match(name)
			if !ok || seen[name] {
				continue
			}
			k := owned{key: name}
			if kind != "" {
				if k.people = q.who(kind, value); len(k.people) == 0 {
					continue
				}
			}
			// A cursor may show a key twice. Documents found by their content
			// are told apart later, when few of them are left.
			if kind != "" || !s.whole() {
				seen[name] = true
			}
			keys = append(keys, k)
		}
		return typed(keys)
	})
}

// named are the keys whose names follow from the identifiers.
func (c *Connector) named(q *sought, s *store) []owned {
	if s.keys.kind == "" {
		return []owned{{key: s.keys.name("")}}
	}
	var keys []owned
	for _, value := range slices.Sorted(maps.Keys(q.by[s.keys.kind])) {
		keys = append(keys, owned{key: s.keys.name(value), people: q.by[s.keys.kind][value]})
	}
	return keys
}

// ofType leaves out keys that are gone. One of another type is an error.
func (c *Connector) ofType(ctx context.Context, s *store, keys []owned) ([]owned, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	replies := make([]*redis.StatusCmd, len(keys))
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			replies[i] = p.Type(ctx, k.key)
		}
		return nil
	})
	if err != nil {
		return nil, clean(ctx, err)
	}
	var there []owned
	for i, k := range keys {
		switch got := replies[i].Val(); got {
		case "none":
		case s.serverType():
			there = append(there, k)
		default:
			return nil, s.misfit("a key that its pattern matches is a %s, and the map says %s: narrow the pattern or describe the key", got, s.typ)
		}
	}
	return there, nil
}

// scan walks the names that a glob matches, on every node that holds keys. A
// name may come twice.
func (c *Connector) scan(ctx context.Context, glob string, visit func([]string) error) error {
	cluster, ok := c.client.(*redis.ClusterClient)
	if !ok {
		return c.scanNode(ctx, c.client, glob, visit)
	}
	before, err := shape(ctx, cluster)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var nodes []*redis.Client
	err = cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node)
		return nil
	})
	if err != nil {
		return clean(ctx, err)
	}
	for _, node := range nodes {
		if err := c.scanNode(ctx, node, glob, visit); err != nil {
			return err
		}
	}
	after, err := shape(ctx, cluster)
	if err == nil && after != before {
		err = errMoving
	}
	return err
}

var errMoving = sdk.WithCode(sdk.Unavailable, errors.New("the cluster is moving keys between its nodes, and some could be missed: trying again later"))

// shape is which master holds which slots. While slots are moving it is an
// error: a key may go from a node not yet walked to one that was.
func shape(ctx context.Context, cluster *redis.ClusterClient) (string, error) {
	text, err := cluster.ClusterNodes(ctx).Result()
	if err != nil {
		return "", clean(ctx, err)
	}
	var masters []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 9 || !strings.Contains(words[2], "master") {
			continue
		}
		for _, slots := range words[8:] {
			if strings.HasPrefix(slots, "[") {
				return "", errMoving
			}
		}
		masters = append(masters, words[0]+" "+strings.Join(words[8:], " "))
	}
	slices.Sort(masters)
	return strings.Join(masters, "\n"), nil
}

func (c *Connector) scanNode(ctx context.Context, node redis.Cmdable, glob string, visit func([]string) error) error {
	for cursor := uint64(0); ; {
		names, next, err := node.Scan(ctx, cursor, glob, c.count).Result()
		if err != nil {
			return clean(ctx, err)
		}
		if err := visit(names); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
