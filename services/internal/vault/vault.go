// Package vault encrypts what is personal under a key of its own for each
// request, and those keys under one master key.
//
// What it promises its callers: destroying the wrapped key of a request, here
// and wherever it is stored, makes everything sealed under it unreadable and
// its commitments unlinkable; what was sealed for one place (its additional
// data) opens in no other; no error, log line or print of its types shows a
// key or a plaintext.
package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"gocloud.dev/secrets"
	"gocloud.dev/secrets/localsecrets"

	"github.com/habeas-data/habeas/services/internal/room"
)

// cacheSize bounds how many unwrapped keys are kept, so that a master key far
// away is not asked for every read.
const cacheSize = 4096

// Vault makes and opens the data keys of requests under one master key. It is
// safe for concurrent use.
type Vault struct {
	keeper *secrets.Keeper

	mu    sync.Mutex
	cache map[[sha256.Size]byte]keyBytes // by digest of the wrapped key
}

// New opens the master key. key is a URL of gocloud.dev/secrets (the program
// must link the driver of its scheme) or the path of a key file, which is made
// when it is not there. "base64key://" and 32 bytes in URL-safe base64 is a key
// in the URL itself, for tests.
func New(ctx context.Context, key string) (*Vault, error) {
	scheme, rest, isURL := strings.Cut(key, "://")
	var keeper *secrets.Keeper
	switch {
	case isURL && scheme == localsecrets.Scheme:
		local, err := localsecrets.Base64Key(rest)
		if err != nil {
			return nil, errors.New("opening the master key: base64key: want 32 bytes in URL-safe base64")
		}
		keeper = localsecrets.NewKeeper(local)
	case isURL:
		var err error
		if keeper, err = secrets.OpenKeeper(ctx, key); err != nil {
			return nil, fmt.Errorf("opening the master key: %w", err)
		}
	default:
		local, err := masterFile(key)
		if err != nil {
			return nil, fmt.Errorf("opening the master key: %w", err)
		}
		keeper = localsecrets.NewKeeper(local)
	}
	return &Vault{keeper: keeper, cache: map[[sha256.Size]byte]keyBytes{}}, nil
}

func masterFile(path string) (key [32]byte, err error) {
	content, err := room.KeyFile(path, func() ([]byte, error) {
		k := make([]byte, len(key))
		rand.Read(k) // never fails
		return []byte(base64.URLEncoding.EncodeToString(k) + "\n"), nil
	})
	if err != nil {
		return key, err
	}
	k, err := base64.URLEncoding.DecodeString(string(bytes.TrimSpace(content)))
	if err != nil || len(k) != len(key) {
		return key, fmt.Errorf("%s: want 32 bytes in URL-safe base64", path)
	}
	return [32]byte(k), nil
}

// Close releases the master key and forgets the data keys.
func (v *Vault) Close() error {
	v.mu.Lock()
	for d, k := range v.cache {
		clear(k[:])
		delete(v.cache, d)
	}
	v.mu.Unlock()
	if err := v.keeper.Close(); err != nil {
		return fmt.Errorf("closing the master key: %w", err)
	}
	return nil
}

// NewDataKey makes a key, and its form wrapped under the master key, which is
// what to store.
func (v *Vault) NewDataKey(ctx context.Context) (key DataKey, wrapped []byte, err error) {
	var k keyBytes
	rand.Read(k[:]) // never fails
	if wrapped, err = v.keeper.Encrypt(ctx, k[:]); err != nil {
		return DataKey{}, nil, fmt.Errorf("wrapping a data key: %w", err)
	}
	v.remember(wrapped, k)
	return DataKey{k: &k}, wrapped, nil
}

// ErrWrapped is wrapped by errors of unwrapping what this master key did not
// wrap, or what was altered.
var ErrWrapped = errors.New("not wrapped by this master key, or altered")

// Unwrap opens a wrapped key.
func (v *Vault) Unwrap(ctx context.Context, wrapped []byte) (DataKey, error) {
	digest := sha256.Sum256(wrapped)
	v.mu.Lock()
	k, ok := v.cache[digest]
	v.mu.Unlock()
	if ok {
		return DataKey{k: &k}, nil
	}
	if len(wrapped) == 0 {
		return DataKey{}, fmt.Errorf("unwrapping a data key: it was destroyed: %w", ErrWrapped)
	}
	plain, err := v.keeper.Decrypt(ctx, wrapped)
	switch {
	case ctx.Err() != nil:
		return DataKey{}, fmt.Errorf("unwrapping a data key: %w", ctx.Err())
	case err != nil:
		return DataKey{}, fmt.Errorf("unwrapping a data key: %w: %w", ErrWrapped, err)
	case len(plain) != len(k):
		return DataKey{}, fmt.Errorf("unwrapping a data key: %w", ErrWrapped)
	}
	k = keyBytes(plain)
	clear(plain)
	v.remember(wrapped, k)
	return DataKey{k: &k}, nil
}

// Forget drops a key from memory. Call it when the stored wrapped form is
// destroyed.
func (v *Vault) Forget(wrapped []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.cache, sha256.Sum256(wrapped))
}

func (v *Vault) remember(wrapped []byte, k keyBytes) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for d := range v.cache { // any will do: the order of a map is as good as random
		if len(v.cache) < cacheSize {
			break
		}
		delete(v.cache, d)
	}
	v.cache[sha256.Sum256(wrapped)] = k
}
