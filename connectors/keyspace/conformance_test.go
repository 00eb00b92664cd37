package keyspace

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// shopMap has every type of key, in every way a record can be somebody's.
const shopMap = `
stores:
  - {name: profiles, keys: "user:<user_id>", type: hash, category: {letter: A, data: user.name}, withhold: [{field: licence, as: driver's licence number}]}
  - {name: carts, keys: "cart:<user_id>:*", type: list, category: {letter: D}}
  - {name: settings, keys: "settings:{<user_id>}", type: json, category: {letter: K}}
  - {name: visits, keys: "visits:<user_id>", type: stream, category: {letter: F}}
  - {name: sessions, keys: "session:*", type: hash, identifiers: {user_id: [uid, guest], email: mail}, category: {letter: F}, time: {field: at, layout: unix}}
  - {name: documents, keys: "doc:*", type: json, identifiers: {user_id: owner.id, email: owner.email}, category: {letter: K}}
  - {name: newsletter, keys: "newsletter", type: set, member: "<email>", category: {letter: A}}
  - {name: board, keys: "board:*", type: zset, member: "<user_id>", category: {letter: K}, time: {layout: unix}}
  - {name: presence, keys: "presence", type: hash, member: "<user_id>:*", category: {letter: F}}
  - {name: queue, keys: "queue", type: list, identifiers: {email: to}, category: {letter: A}}
  - {name: clicks, keys: "clicks:*", type: stream, identifiers: {user_id: u}, trimmed_after: 720h, category: {letter: F}}
  - {name: tokens, keys: "token:<email>", type: string, category: {letter: A}}
  - {name: invoices, keys: "invoice:*", type: hash, identifiers: {user_id: uid}, category: {letter: D}, time: {field: at, layout: unix}, keep: {basis: "ccpa-1798.105(d)(8)", for: 61320h, needs: [uid, at, total]}}
`

func TestConformance(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		sdktest.Run(t, func(t testing.TB) sdktest.System { return &shop{d: s.database(t)} })
	})
}

type shop struct{ d *database }

func (s *shop) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	c := s.d.connector(t, shopMap, func(s *Settings) { s.Count = 7 })
	m, err := ParseMap("map.yaml", []byte(shopMap))
	if err != nil {
		t.Fatal(err)
	}
	man := m.Manifest()
	man.Name, man.Version = "shop", "test"
	return man, c
}

func (s *shop) Dump(t testing.TB) []string { return s.d.dump(t) }

// Break takes the socket away and cuts the connections that came through it.
func (s *shop) Break(t testing.TB) {
	t.Helper()
	if err := os.Remove(s.d.socket); err != nil {
		t.Fatal(err)
	}
	list, err := s.d.ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.d.ClientID(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		var id int64
		if _, err := fmt.Sscanf(line, "id=%d", &id); err != nil || id == own {
			continue
		}
		if strings.Contains(line, fmt.Sprintf(" db=%d ", s.d.number)) {
			// It may be gone by itself.
			_ = s.d.Do(t.Context(), "CLIENT", "KILL", "ID", id).Err()
		}
	}
}

// Plant writes records of each type, some more than one walk of the cursor
// takes.
func (s *shop) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	ctx := t.Context()
	id, email := fmt.Sprintf("usr_%04d", n), fmt.Sprintf("person%d@example.com", n)
	phrase := func(what string) string { return fmt.Sprintf("%s of number %d only", what, n) }
	now := time.Now()
	_, err := s.d.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, "user:"+id, "name", phrase("name"), "surname", "Byron", "licence", fmt.Sprintf("DL-%05d-X", n))
		for i := range 3 {
			key := fmt.Sprintf("cart:%s:%d", id, i)
			p.RPush(ctx, key, phrase("first"), "socks", "socks", phrase("last"))
		}
		p.Set(ctx, "settings:{"+id+"}", fmt.Sprintf(`{"theme":"dark","nick":%q}`, phrase("nick")), 0)
		for i := range 20 {
			p.XAdd(ctx, &redis.XAddArgs{Stream: "visits:" + id, Values: []any{"page", phrase(fmt.Sprint("page", i))}})
			p.XAdd(ctx, &redis.XAddArgs{Stream: "clicks:" + fmt.Sprint(i%2), Values: []any{"u", id, "on", phrase(fmt.Sprint("click", i))}})
			p.ZAdd(ctx, "board:"+fmt.Sprint(i), redis.Z{Member: id, Score: float64(now.Unix() - int64(i))})
			p.HSet(ctx, "presence", fmt.Sprintf("%s:%d", id, i), phrase("device"))
		}
		p.HSet(ctx, fmt.Sprintf("session:a%d", n), "uid", id, "agent", phrase("agent"), "at", now.Unix())
		p.HSet(ctx, fmt.Sprintf("session:b%d", n), "mail", strings.ToUpper(email), "agent", phrase("other agent"))
		p.Set(ctx, fmt.Sprintf("doc:%d", n), fmt.Sprintf(`{"owner":{"id":%q},"text":%q,"n":1.50}`, id, phrase("text")), 0)
		p.SAdd(ctx, "newsletter", email)
		p.RPush(ctx, "queue", fmt.Sprintf(`{"to":%q,"text":%q}`, email, phrase("mail")), `{"to":"nobody","text":"left alone"}`)
		p.Set(ctx, "token:"+email, phrase("token"), time.Hour)
		p.HSet(ctx, fmt.Sprintf("invoice:%d", n), "uid", id, "at", now.AddDate(0, 0, -1).Unix(), "total", 100+n, "address", phrase("street"))
		p.HSet(ctx, fmt.Sprintf("invoice:old%d", n), "uid", id, "at", now.AddDate(-8, 0, 0).Unix(), "total", 500+n, "address", phrase("old street"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	traces := []string{id, email}
	for _, what := range []string{
		"name", "first", "last", "nick", "page0", "page19", "click0", "click19", "device", "agent", "other agent",
		"text", "mail", "token", "street", "old street",
	} {
		traces = append(traces, phrase(what))
	}
	return sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.UserID, id), sdk.ID(sdk.Email, email)),
		Traces: traces, KeptTraces: []string{id},
		Stores: map[string]int64{
			"profiles": 1, "carts": 12, "settings": 1, "visits": 20, "sessions": 2, "documents": 1, "newsletter": 1,
			"board": 20, "presence": 20, "queue": 1, "clicks": 20, "tokens": 1, "invoices": 2,
		},
		Kept: map[string]int64{"invoices": 1},
	}
}

var _ sdktest.Breaker = (*shop)(nil)

// collector keeps an export.
type collector []sdk.Record

func (c *collector) Write(_ context.Context, r sdk.Record) error {
	*c = append(*c, r)
	return nil
}
