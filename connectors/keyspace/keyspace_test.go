package keyspace

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func person(kind sdk.Kind, value string) sdk.Person { return sdk.NewPerson(sdk.ID(kind, value)) }

const cartMap = `
stores:
  - {name: carts, keys: "cart:<user_id>:*", type: string, category: {letter: D}}
  - {name: members, keys: "members", type: set, member: "m:<user_id>", category: {letter: A}}
`

// TestIdentifiersAreNeverPatterns erases people whose ids mean something to a
// glob, or look like another's key, and compares everything that is left.
func TestIdentifiersAreNeverPatterns(t *testing.T) {
	ids := []string{"7", "7:x", "*", "?", "[0-9]", `\*`, `7\`, "^7", "-", "7*", "{7}", "ü", "<7>", "7\n8"}
	onServers(t, func(t *testing.T, s *server) {
		for _, gone := range ids {
			d := s.database(t)
			var want []string
			for _, id := range ids {
				key := "cart:" + id + ":1"
				d.run(t, "SET", key, "v")
				d.run(t, "SADD", "members", "m:"+id)
				if id != gone {
					want = append(want, key+" v", "members m:"+id)
				}
			}
			if err := d.connector(t, cartMap).Erase(t.Context(), person(sdk.UserID, gone)); err != nil {
				t.Fatal(err)
			}
			got := d.dump(t)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("erasing %q (-want +got):\n%s", gone, diff)
			}
		}
	})
}

const sessionMap = `
stores:
  - {name: sessions, keys: "session:*", type: hash, identifiers: {user_id: uid}, category: {letter: F}}
`

// TestAKeyThatChangedHandsStays hands a session to somebody else between the
// look and the removal, before the key is watched and after.
func TestAKeyThatChangedHandsStays(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		t.Run("before", func(t *testing.T) {
			d := s.database(t)
			c := d.connector(t, sessionMap)
			d.lines(t, "HSET session:1 uid bob")
			r := &remover{c: c, s: c.stores[0], q: c.sought([]sdk.Person{person(sdk.UserID, "ada")})}
			if err := r.document(t.Context(), "session:1"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"session:1 uid=bob"}, d.dump(t)); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("in between", func(t *testing.T) {
			d := s.database(t)
			c := d.connector(t, sessionMap)
			d.lines(t, "HSET session:1 uid ada")
			r := &remover{c: c, s: c.stores[0], q: c.sought([]sdk.Person{person(sdk.UserID, "ada")})}
			acted := 0
			err := r.guarded(t.Context(), "session:1", func(tx *redis.Tx) error {
				if acted++; acted == 1 {
					d.lines(t, "HSET session:1 uid bob")
				}
				_, err := tx.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
					p.Unlink(t.Context(), "session:1")
					return nil
				})
				return err
			})
			if err != nil || acted != 1 {
				t.Errorf("acted %d times, %v", acted, err)
			}
			if diff := cmp.Diff([]string{"session:1 uid=bob"}, d.dump(t)); diff != "" {
				t.Error(diff)
			}
		})
	})
}

// TestAListThatMovesIsReadWhole takes elements off a list's head while it is
// read in windows of one.
func TestAListThatMovesIsReadWhole(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		d := s.database(t)
		c := d.connector(t, shopMap, func(s *Settings) { s.Count = 1 })
		list := c.stores[slices.IndexFunc(c.stores, func(s *store) bool { return s.name == "queue" })]
		for i := range 40 {
			d.run(t, "RPUSH", "queue", fmt.Sprintf(`{"to":"p%d@example.com"}`, i))
		}
		windows := 0
		err := c.readList(t.Context(), list, "queue", func([]string) error {
			if windows++; windows == 5 {
				d.lines(t, "LPOP queue")
			}
			return nil
		})
		if !errors.Is(err, errChanging) {
			t.Errorf("reading a list that moved: %v", err)
		}
	})
}

// TestWhatStopsAJob are keys that are not what the map says. The error says
// which store, and never which key.
func TestWhatStopsAJob(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		for name, test := range map[string]struct{ commands, want string }{
			"another type": {"SET session:ada@example.com x", "store sessions: a key that its pattern matches is a string, and the map says hash"},
			"no JSON":      {"SET doc:ada@example.com x", "store documents: a value is no JSON object"},
			"no date":      {"HSET session:ada@example.com mail ada@example.com at ada@example.com", "store sessions: a record's time is not what the map's layout says"},
		} {
			t.Run(name, func(t *testing.T) {
				d := s.database(t)
				d.lines(t, test.commands)
				before := d.dump(t)
				c := d.connector(t, shopMap)
				err := c.Erase(t.Context(), person(sdk.Email, "ada@example.com"))
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "ada") {
					t.Errorf("got %v, want %s", err, test.want)
				}
				if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Configuration {
					t.Errorf("%v is not a permanent error of configuration", err)
				}
				if diff := cmp.Diff(before, d.dump(t)); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run("a list too long", func(t *testing.T) {
			d := s.database(t)
			for range 11 {
				d.run(t, "RPUSH", "queue", `{"to":"ada@example.com"}`)
			}
			c := d.connector(t, shopMap, func(s *Settings) { s.LongestList = 10 })
			_, err := c.Locate(t.Context(), person(sdk.Email, "ada@example.com"))
			if !sdk.IsPermanent(err) || !strings.Contains(err.Error(), "store queue: a list has 11 elements") {
				t.Error(err)
			}
		})
		t.Run("a password that is wrong", func(t *testing.T) {
			d := s.database(t)
			c := d.connector(t, cartMap, func(s *Settings) {
				s.Address = strings.Replace(s.Address, "unix://", "unix://nobody:wrong@", 1)
			})
			err := c.Check(t.Context())
			if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Denied {
				t.Error(err)
			}
		})
	})
}

// TestWithheldAndWhole looks at what a copy shows.
func TestWithheldAndWhole(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		d := s.database(t)
		d.run(t, "HSET", "user:ada", "name", "Ada", "licence", "D1234567")
		d.run(t, "SET", "settings:{ada}", `{"n":1.50,"deep":{"a":[1,2]},"ok":true,"none":null}`)
		c := d.connector(t, shopMap)
		var out collector
		if err := c.Export(t.Context(), person(sdk.UserID, "ada"), &out); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range out {
			for _, f := range r.Fields {
				got = append(got, fmt.Sprintf("%s.%s %T %s", r.Store, f.Name, f.Value, f.Value))
			}
		}
		want := []string{
			"profiles.key string user:ada", "profiles.licence sdk.Withheld driver's licence number", "profiles.name string Ada",
			"settings.key string settings:{ada}", `settings.deep json.RawMessage {"a":[1,2]}`, "settings.n json.RawMessage 1.50",
			"settings.none <nil> %!s(<nil>)", "settings.ok bool %!s(bool=true)",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestWritersGoOn erases while others write to the same collections: what they
// wrote is all there in the end.
func TestWritersGoOn(t *testing.T) {
	onServers(t, func(t *testing.T, s *server) {
		d := s.database(t)
		c := d.connector(t, shopMap, func(s *Settings) { s.Count = 5 })
		p := sdk.NewPerson(sdk.ID(sdk.UserID, "ada"), sdk.ID(sdk.Email, "ada@example.com"))
		for range 200 {
			d.run(t, "XADD", "clicks:1", "*", "u", "ada")
			d.run(t, "RPUSH", "queue", `{"to":"ada@example.com"}`)
		}
		const others = 300
		var group sync.WaitGroup
		group.Go(func() {
			for i := range others {
				for _, words := range [][]any{
					{"SADD", "newsletter", fmt.Sprintf("bob%d@example.com", i)}, {"XADD", "clicks:1", "*", "u", "bob"},
					{"HSET", "presence", fmt.Sprintf("bob:%d", i), "x"},
				} {
					if err := d.Do(t.Context(), words...).Err(); err != nil {
						t.Errorf("%v: %v", words[0], err)
					}
				}
			}
		})
		group.Go(func() {
			if err := c.Erase(t.Context(), p); err != nil {
				t.Errorf("Erase: %v", err)
			}
		})
		group.Wait()
		if left, err := c.Locate(t.Context(), p); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
		if got := len(d.dump(t)); got != 3*others {
			t.Errorf("%d records of others, want %d", got, 3*others)
		}
	})
}

// TestTheUserOfTheManual does everything as the user that the manual says is
// enough.
func TestTheUserOfTheManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/connectors/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(manual), "ACL SETUSER habeas on >…")
	rules, _, closed := strings.Cut(rules, "\n\n")
	if !found || !closed {
		t.Fatal("the manual says nothing of the user")
	}
	onServers(t, func(t *testing.T, s *server) {
		sys := &shop{d: s.database(t)}
		words := []any{"ACL", "SETUSER", "habeas", "on", ">secret"}
		for w := range strings.FieldsSeq(rules) {
			words = append(words, w)
		}
		sys.d.run(t, words...)
		her := sys.Plant(t, 1)
		c := sys.d.connector(t, shopMap, func(s *Settings) {
			s.Address = strings.Replace(s.Address, "unix://", "unix://habeas:secret@", 1)
		})
		var out collector
		if err := errors.Join(c.Export(t.Context(), her.Person, &out), c.Erase(t.Context(), her.Person)); err != nil {
			t.Fatal(err)
		}
		left, err := c.Locate(t.Context(), her.Person)
		if err != nil || len(left) != 1 || left[0].Keep == nil || len(out) == 0 {
			t.Errorf("left %v, %v; %d records copied", left, err, len(out))
		}
	})
}
