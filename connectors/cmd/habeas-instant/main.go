// Command habeas-instant is a connector without a system behind it: everybody
// has one record in its only store until they are erased. It answers at once,
// so that what is measured with it is Habeas and nothing else.
package main

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func main() { sdk.Main("instant", open) }

func open(context.Context, sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	m := sdk.Manifest{
		Accepts: []sdk.Kind{sdk.Email},
		Stores:  []sdk.Store{{Name: "records", Categories: []sdk.Category{{Letter: "A", Data: "user.contact.email"}}}},
	}
	return m, &instant{seed: maphash.MakeSeed(), gone: map[uint64]bool{}}, nil
}

// instant remembers whom it has erased by a keyed hash that lives as long as
// the process.
type instant struct {
	seed maphash.Seed
	mu   sync.Mutex
	gone map[uint64]bool
}

var _ sdk.Eraser = (*instant)(nil)

func (c *instant) key(p sdk.Person) (uint64, bool) {
	values := p.Values(sdk.Email)
	if len(values) == 0 {
		return 0, false
	}
	return maphash.String(c.seed, values[0]), true
}

// Locate implements [sdk.Connector].
func (c *instant) Locate(_ context.Context, p sdk.Person) ([]sdk.Found, error) {
	key, ok := c.key(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok || c.gone[key] {
		return nil, nil
	}
	return []sdk.Found{{Store: "records", Count: 1}}, nil
}

// Erase implements [sdk.Eraser].
func (c *instant) Erase(_ context.Context, p sdk.Person) error {
	if key, ok := c.key(p); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gone[key] = true
	}
	return nil
}
