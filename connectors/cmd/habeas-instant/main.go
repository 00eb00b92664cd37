// Command habeas-instant is a connector without a system behind it: everybody
// has one record in its only store until they are erased. It answers at once,
// so that what is measured with it is Habeas and nothing else.
package main

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func main() {
	if dir := os.Getenv("HABEAS_INSTANT_PROFILES"); dir != "" {
		if err := profile(dir); err != nil {
			fmt.Fprintln(os.Stderr, "habeas-instant:", err)
			os.Exit(1)
		}
	}
	sdk.Main("instant", open)
}

// profile writes what the processor does in the first seconds to a file in the
// folder, from which the compiler learns what to make fast ("make profile").
func profile(dir string) error {
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("instant-%d.prof", os.Getpid()))) //nolint:gosec // who starts the program says where
	if err != nil {
		return fmt.Errorf("making the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("starting the profile: %w", err)
	}
	time.AfterFunc(profileFor, func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "habeas-instant: closing the profile:", err)
		}
	})
	return nil
}

const profileFor = 20 * time.Second

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
