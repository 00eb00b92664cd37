package keyspace

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Erase implements [sdk.Eraser].
func (c *Connector) Erase(ctx context.Context, p sdk.Person) error {
	if errs := c.EraseBatch(ctx, []sdk.Person{p}); errs != nil {
		return errs[0]
	}
	return nil
}

// EraseBatch implements [sdk.BatchEraser]: the keys are walked once for all,
// and an error is everybody's. Stores held as a service provider are left
// alone.
func (c *Connector) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	err := c.eraseAll(ctx, people)
	if err == nil {
		return nil
	}
	errs := make([]error, len(people))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func (c *Connector) eraseAll(ctx context.Context, people []sdk.Person) error {
	q := c.sought(people)
	for _, s := range c.stores {
		if s.provider {
			continue
		}
		r := &remover{c: c, s: s, q: q, now: time.Now()}
		err := c.search(ctx, q, s, wants{times: q.since || s.keep != nil}, func(rec record) error { return r.take(ctx, rec) })
		if err == nil {
			err = r.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// remover removes records of one store in groups. Everything it does can be
// done again.
type remover struct {
	c   *Connector
	s   *store
	q   *sought
	now time.Time

	keys []string // to be unlinked
	key  string   // whose entries refs are
	refs []string
}

// take removes a record, now or with its group.
func (r *remover) take(ctx context.Context, rec record) error {
	theirs := slices.ContainsFunc(rec.people, func(i int) bool { return !outside(r.q.people[i], rec.at) })
	if !theirs {
		return nil
	}
	if _, kept := r.s.keptUntil(rec.at, r.now); kept {
		return r.strip(ctx, rec.key)
	}
	switch {
	case rec.ref != "":
		return r.entry(ctx, rec)
	case !r.s.byKey():
		return r.document(ctx, rec.key)
	}
	if r.keys = append(r.keys, rec.key); int64(len(r.keys)) >= r.c.count {
		return r.unlink(ctx)
	}
	return nil
}

func (r *remover) flush(ctx context.Context) error {
	if err := r.unlink(ctx); err != nil {
		return err
	}
	return r.entries(ctx)
}

// unlink removes keys by their names, each with a command of its own, since
// the nodes of a cluster answer for one slot at a time.
func (r *remover) unlink(ctx context.Context) error {
	if len(r.keys) == 0 {
		return nil
	}
	_, err := r.c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range r.keys {
			p.Unlink(ctx, key)
		}
		return nil
	})
	r.keys = r.keys[:0]
	return clean(ctx, err)
}

// entry gathers entries of one key.
func (r *remover) entry(ctx context.Context, rec record) error {
	if rec.key != r.key {
		if err := r.entries(ctx); err != nil {
			return err
		}
		r.key = rec.key
	}
	if r.s.typ == "list" && slices.Contains(r.refs, rec.ref) {
		return nil
	}
	if r.refs = append(r.refs, rec.ref); int64(len(r.refs)) >= r.c.count {
		return r.entries(ctx)
	}
	return nil
}

// entries removes the gathered ones. An entry is its name or its whole
// content, so there is none that could have become somebody else's; a hash's
// field names its owner.
func (r *remover) entries(ctx context.Context) error {
	if len(r.refs) == 0 {
		return nil
	}
	var err error
	client, refs := r.c.client, r.refs
	switch r.s.typ {
	case "set":
		err = client.SRem(ctx, r.key, anys(refs)...).Err()
	case "zset":
		err = client.ZRem(ctx, r.key, anys(refs)...).Err()
	case "hash":
		err = client.HDel(ctx, r.key, refs...).Err()
	case "stream":
		err = client.XDel(ctx, r.key, refs...).Err()
	case "list":
		_, err = client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, e := range refs {
				p.LRem(ctx, r.key, 0, e)
			}
			return nil
		})
	}
	r.refs = r.refs[:0]
	return clean(ctx, err)
}

func anys(texts []string) []any {
	values := make([]any, len(texts))
	for i, t := range texts {
		values[i] = t
	}
	return values
}

// document removes a key that was found by its content, if it still has that
// content.
func (r *remover) document(ctx context.Context, key string) error {
	return r.guarded(ctx, key, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Unlink(ctx, key)
			return nil
		})
		return err
	})
}

// strip removes from a kept hash what the basis does not need.
func (r *remover) strip(ctx context.Context, key string) error {
	needs := r.s.keep.Needs
	if len(needs) == 0 {
		return nil
	}
	return r.guarded(ctx, key, func(tx *redis.Tx) error {
		var more []string
		err := r.c.eachElement(ctx, r.s, key, "*", func(e element) error {
			if !slices.Contains(needs, e.ref) {
				more = append(more, e.ref)
			}
			return nil
		})
		if err != nil || len(more) == 0 {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for group := range slices.Chunk(more, int(r.c.count)) {
				p.HDel(ctx, key, group...)
			}
			return nil
		})
		return err
	})
}

// guarded runs act on a key that is theirs, and not once it is not. What act
// sends in a transaction happens only if nobody touched the key in between.
func (r *remover) guarded(ctx context.Context, key string, act func(*redis.Tx) error) error {
	for range changes {
		err := r.c.client.Watch(ctx, func(tx *redis.Tx) error {
			if !r.s.byKey() {
				h, err := r.s.readHead(r.s.askHead(ctx, tx, key))
				if err != nil || h == nil || len(r.s.owners(r.q, h)) == 0 {
					return err
				}
			}
			return act(tx)
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			return clean(ctx, err)
		}
	}
	return errChanging
}
