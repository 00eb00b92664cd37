package keyspace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// record is what the search found of somebody: a document, an entry, or, with
// no ref and n not 1, all entries of a key at once.
type record struct {
	key    string
	ref    string
	n      int64
	people []int
	at     time.Time    // zero when it has no date
	fields []fieldValue // when they were wanted
}

// fieldValue is one field of a document or entry.
type fieldValue struct {
	name  string
	value any // nil, string, bool, json.Number or json.RawMessage
}

// wants is how much of each record is needed.
type wants struct {
	times  bool
	fields bool
}

// search hands out the people's records in one store.
func (c *Connector) search(ctx context.Context, q *sought, s *store, w wants, visit func(record) error) error {
	if !q.concerns(s) {
		return ctx.Err()
	}
	found := map[string]bool{}
	return c.eachKey(ctx, q, s, func(keys []owned) error {
		if s.whole() {
			return c.documents(ctx, q, s, keys, w, func(r record) error {
				if found[r.key] {
					return nil
				}
				found[r.key] = true
				return visit(r)
			})
		}
		for _, k := range keys {
			if err := c.entries(ctx, q, s, k, w, visit); err != nil {
				return err
			}
		}
		return nil
	})
}

// documents reads keys that are one record each. What a look needs comes in
// one round trip for all of them.
func (c *Connector) documents(ctx context.Context, q *sought, s *store, keys []owned, w wants, visit func(record) error) error {
	heads, err := c.heads(ctx, s, keys, w)
	if err != nil {
		return err
	}
	for i, k := range keys {
		r := record{key: k.key, n: 1, people: k.people}
		if heads != nil {
			if heads[i] == nil {
				continue // gone meanwhile
			}
			if !s.byKey() {
				r.people = s.owners(q, heads[i])
			}
			if len(r.people) == 0 {
				continue
			}
			if r.at, err = s.timeOf(heads[i]); err != nil {
				return err
			}
		}
		if w.fields {
			if r.fields, err = c.fieldsOf(ctx, s, k.key, heads, i); err != nil {
				return err
			}
			if len(r.fields) == 0 {
				continue // gone meanwhile
			}
		}
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// head is the part of a document that tells whose it is and when it was made.
type head interface {
	// text is the field's text; false when there is none.
	text(path []string) (string, bool)
}

// hashHead are some fields of a hash.
type hashHead map[string]string

func (h hashHead) text(path []string) (string, bool) {
	v, ok := h[path[0]]
	return v, ok
}

// jsonHead is a JSON object.
type jsonHead map[string]any

func (h jsonHead) text(path []string) (string, bool) {
	var at any = map[string]any(h)
	for _, name := range path {
		object, ok := at.(map[string]any)
		if !ok {
			return "", false
		}
		at = object[name]
	}
	switch v := at.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// rawHead is a plain string.
type rawHead string

func (rawHead) text([]string) (string, bool) { return "", false }

// heads reads the heads of documents; nil stands for one that is gone, and all
// of nil for that they are not needed.
func (c *Connector) heads(ctx context.Context, s *store, keys []owned, w wants) ([]head, error) {
	needed := len(s.fields) > 0 || w.times && s.dated() || w.fields && s.typ != "hash"
	if !needed {
		return nil, nil
	}
	replies := make([]redis.Cmder, len(keys))
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			replies[i] = s.askHead(ctx, p, k.key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, clean(ctx, err)
	}
	heads := make([]head, len(keys))
	for i, reply := range replies {
		if heads[i], err = s.readHead(reply); err != nil {
			return nil, clean(ctx, err)
		}
	}
	return heads, nil
}

// headFields are the fields of a hash that its head needs.
func (s *store) headFields() []string {
	var names []string
	for _, f := range s.fields {
		names = append(names, f.path[0])
	}
	if s.time.Field != "" && !slices.Contains(names, s.time.Field) {
		names = append(names, s.time.Field)
	}
	return names
}

func (s *store) askHead(ctx context.Context, p redis.Cmdable, key string) redis.Cmder {
	if s.typ == "hash" {
		return p.HMGet(ctx, key, s.headFields()...)
	}
	return p.Get(ctx, key)
}

func (s *store) readHead(reply redis.Cmder) (head, error) {
	if err := reply.Err(); errors.Is(err, redis.Nil) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	switch reply := reply.(type) {
	case *redis.SliceCmd:
		h := hashHead{}
		for i, name := range s.headFields() {
			if v, ok := reply.Val()[i].(string); ok {
				h[name] = v
			}
		}
		return h, nil
	case *redis.StringCmd:
		if s.typ == "string" {
			return rawHead(reply.Val()), nil
		}
		return s.parseJSON(reply.Val())
	}
	return nil, sdk.WithCode(sdk.Internal, sdk.Permanent(errors.New("a reply of an unexpected kind")))
}

// parseJSON reads an object. What is none could be anybody's.
func (s *store) parseJSON(text string) (jsonHead, error) {
	var h jsonHead
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&h); err != nil || h == nil || d.More() {
		return nil, s.misfit("a value is no JSON object: narrow the pattern, or use type string")
	}
	return h, nil
}

// owners are the people whose identifiers a document or entry holds.
func (s *store) owners(q *sought, h head) []int {
	var people []int
	for _, f := range s.fields {
		if value, ok := h.text(f.path); ok {
			people = union(people, q.who(f.kind, value))
		}
	}
	return people
}

// timeOf reads the date from a field, if the map names one and it is there.
func (s *store) timeOf(h head) (time.Time, error) {
	if s.time.Field == "" {
		return time.Time{}, nil
	}
	text, ok := h.text([]string{s.time.Field})
	if !ok || text == "" {
		return time.Time{}, nil
	}
	at, err := s.time.parse(text)
	if err != nil {
		return time.Time{}, s.misfit("%v", err)
	}
	return at, nil
}

// entries finds the people's entries in one collection.
func (c *Connector) entries(ctx context.Context, q *sought, s *store, k owned, w wants, visit func(record) error) error {
	if s.byKey() && !w.fields && !(w.times && s.dated()) {
		n, err := c.size(ctx, s, k.key)
		if err != nil || n == 0 {
			return err
		}
		return visit(record{key: k.key, n: n, people: k.people})
	}
	glob := "*"
	if s.member != nil {
		glob = s.member.glob(q.only(s.member.kind))
	}
	return c.eachElement(ctx, s, k.key, glob, func(e element) error {
		r := record{key: k.key, ref: e.ref, n: 1, people: k.people}
		h, err := s.elementHead(e)
		if err != nil {
			return err
		}
		switch {
		case s.member != nil:
			value, ok := s.member.match(e.ref)
			if !ok {
				return nil
			}
			r.people = q.who(s.member.kind, value)
		case !s.byKey():
			r.people = s.owners(q, h)
		}
		if len(r.people) == 0 {
			return nil
		}
		if r.at, err = s.elementTime(e, h); err != nil {
			return err
		}
		if w.fields {
			if r.fields, err = s.elementFields(e); err != nil {
				return err
			}
		}
		return visit(r)
	})
}

// elementHead is where an entry's identifiers are.
func (s *store) elementHead(e element) (head, error) {
	switch {
	case s.typ == "stream":
		h := hashHead{}
		for name, v := range e.values {
			if text, ok := v.(string); ok {
				h[name] = text
			}
		}
		return h, nil
	case len(s.fields) > 0:
		return s.parseJSON(e.ref)
	}
	return rawHead(e.ref), nil
}

func (s *store) elementTime(e element, h head) (time.Time, error) {
	switch {
	case s.time.Field != "":
		return s.timeOf(h)
	case s.typ == "stream":
		return idTime(e.ref), nil
	case s.typ == "zset" && s.time.Layout != "":
		at, err := s.time.parse(e.score)
		if err != nil {
			return time.Time{}, s.misfit("a score is no date")
		}
		return at, nil
	}
	return time.Time{}, nil
}

// size is how many entries a collection has, which the server knows.
func (c *Connector) size(ctx context.Context, s *store, key string) (int64, error) {
	var n int64
	var err error
	switch s.typ {
	case "set":
		n, err = c.client.SCard(ctx, key).Result()
	case "zset":
		n, err = c.client.ZCard(ctx, key).Result()
	case "list":
		n, err = c.client.LLen(ctx, key).Result()
	case "stream":
		n, err = c.client.XLen(ctx, key).Result()
	default:
		err = sdk.WithCode(sdk.Internal, sdk.Permanent(errors.New("no size for type "+strconv.Quote(s.typ))))
	}
	return n, clean(ctx, err)
}
