package keyspace

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// element is one entry of a collection.
type element struct {
	// ref names it within its key: a member, a hash's field, a list's element
	// or a stream's id.
	ref string
	// text is a hash field's value.
	text string
	// score is a zset member's.
	score string
	// values are a stream entry's fields.
	values map[string]any
}

// eachElement hands out the entries of a key, each once. glob narrows what the
// server shows; what comes may still be others.
func (c *Connector) eachElement(ctx context.Context, s *store, key, glob string, visit func(element) error) error {
	switch s.typ {
	case "list":
		return c.eachInList(ctx, s, key, visit)
	case "stream":
		return c.eachInStream(ctx, key, visit)
	}
	page := map[string]func(uint64) *redis.ScanCmd{
		"set":  func(at uint64) *redis.ScanCmd { return c.client.SScan(ctx, key, at, glob, c.count) },
		"zset": func(at uint64) *redis.ScanCmd { return c.client.ZScan(ctx, key, at, glob, c.count) },
		"hash": func(at uint64) *redis.ScanCmd { return c.client.HScan(ctx, key, at, glob, c.count) },
	}[s.typ]
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		words, next, err := page(cursor).Result()
		if err != nil {
			return clean(ctx, err)
		}
		step := 2
		if s.typ == "set" {
			step = 1
		}
		for i := 0; i+step <= len(words); i += step {
			e := element{ref: words[i]}
			if seen[e.ref] {
				continue
			}
			seen[e.ref] = true
			switch s.typ {
			case "zset":
				e.score = words[i+1]
			case "hash":
				e.text = words[i+1]
			}
			if err := visit(e); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// eachInStream follows the ids, which never change.
func (c *Connector) eachInStream(ctx context.Context, key string, visit func(element) error) error {
	for from := "-"; ; {
		entries, err := c.client.XRangeN(ctx, key, from, "+", c.count).Result()
		if err != nil {
			return clean(ctx, err)
		}
		for _, e := range entries {
			if err := visit(element{ref: e.ID, values: e.Values}); err != nil {
				return err
			}
			if from, err = afterID(e.ID); err != nil {
				return err
			}
		}
		if int64(len(entries)) < c.count {
			return nil
		}
	}
}

var errStreamID = errors.New("a stream's entry has an id that is not two numbers")

// afterID is the smallest id greater than id, for servers before 6.2, which
// know no open ranges.
func afterID(id string) (string, error) {
	ms, seq, ok := strings.Cut(id, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if !ok || err != nil {
		return "", errStreamID
	}
	if n+1 == 0 {
		m, err := strconv.ParseUint(ms, 10, 64)
		if err != nil {
			return "", errStreamID
		}
		return strconv.FormatUint(m+1, 10) + "-0", nil
	}
	return ms + "-" + strconv.FormatUint(n+1, 10), nil
}

// idTime is when an entry was added, by its id.
func idTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{} // an id of the application's own making
	}
	return time.UnixMilli(n).UTC()
}

// changes is how often something that others change is tried again before the
// runtime is told to come back later.
const changes = 8

// eachInList reads a list in windows, and again from its start when it changed
// meanwhile: taking an element off its head moves all others by one place. A
// list that is one person's can be long, and is handed out as it is read.
func (c *Connector) eachInList(ctx context.Context, s *store, key string, visit func(element) error) error {
	if s.byKey() {
		return c.readList(ctx, s, key, func(window []string) error { return visitAll(window, visit) })
	}
	for range changes {
		var elements []string
		err := c.readList(ctx, s, key, func(window []string) error {
			elements = append(elements, window...)
			return nil
		})
		if errors.Is(err, errChanging) {
			continue
		}
		if err != nil {
			return err
		}
		return visitAll(elements, visit)
	}
	return errChanging
}

func visitAll(elements []string, visit func(element) error) error {
	for _, e := range elements {
		if err := visit(element{ref: e}); err != nil {
			return err
		}
	}
	return nil
}

// readList reads a list once. The error is errChanging when what was read was
// never there all at the same time.
func (c *Connector) readList(ctx context.Context, s *store, key string, visit func([]string) error) error {
	err := c.client.Watch(ctx, func(tx *redis.Tx) error {
		n, err := tx.LLen(ctx, key).Result()
		if err != nil {
			return err
		}
		if n > c.longest && !s.byKey() {
			return s.misfit("a list has %d elements, and removing from its middle would hold up the server: keep such lists shorter, or set config.longest_list to accept it", n)
		}
		for from := int64(0); from < n; from += c.count {
			window, err := tx.LRange(ctx, key, from, from+c.count-1).Result()
			if err != nil {
				return err
			}
			if err := visit(window); err != nil {
				return &visitError{err}
			}
		}
		// The transaction goes through only if the list is as it was.
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.LLen(ctx, key)
			return nil
		})
		return err
	}, key)
	if errors.Is(err, redis.TxFailedErr) {
		return errChanging
	}
	if own, ok := errors.AsType[*visitError](err); ok {
		return own.err
	}
	return clean(ctx, err)
}

// visitError carries what a visitor returned past the client library.
type visitError struct{ err error }

func (e *visitError) Error() string { return e.err.Error() }
