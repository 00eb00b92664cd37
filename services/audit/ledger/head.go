package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrConflict is wrapped by the error of a swap that another writer won.
var ErrConflict = errors.New("another process signed a head meanwhile")

// A Head keeps the last signed head of a log in a place that the database's
// backups do not reach.
type Head interface {
	// Load returns the head and its revision; nil and 0 when there is none.
	Load(ctx context.Context) (note []byte, revision uint64, err error)
	// Swap puts the head in place of the one with the given revision. It
	// returns an error that wraps ErrConflict when that is no longer there.
	Swap(ctx context.Context, note []byte, revision uint64) error
}

// FileHead keeps the head in a file of the folder dir.
func FileHead(dir string) Head { return &fileHead{dir: dir, path: filepath.Join(dir, "log.head")} }

type fileHead struct {
	dir, path string
	mu        sync.Mutex
}

func (h *fileHead) Load(context.Context) ([]byte, uint64, error) {
	note, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the signed head: %w", err)
	}
	return note, fileRevision(note), nil
}

// fileRevision stands for a head's content; 0 is kept for "no file".
func fileRevision(note []byte) uint64 {
	sum := sha256.Sum256(note)
	var revision uint64
	for _, b := range sum[:8] {
		revision = revision<<8 | uint64(b)
	}
	return max(revision, 1)
}

func (h *fileHead) Swap(ctx context.Context, note []byte, revision uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	have, current, err := h.Load(ctx)
	if err != nil {
		return err
	}
	if bytes.Equal(have, note) {
		return nil
	}
	if current != revision {
		return fmt.Errorf("writing the signed head: %w", ErrConflict)
	}
	temp, err := writeTemp(h.dir, note)
	if err != nil {
		return fmt.Errorf("writing the signed head: %w", err)
	}
	if err := os.Rename(temp, h.path); err != nil {
		return errors.Join(fmt.Errorf("writing the signed head: %w", err), os.Remove(temp))
	}
	if err := syncDir(h.dir); err != nil {
		return fmt.Errorf("writing the signed head: %w", err)
	}
	return nil
}

// headBucket is the KV bucket of signed heads.
const headBucket = "habeas_log_head"

// KVHead keeps the head of the log called origin in a JetStream bucket, which
// it makes when it is not there: the broker may lose everything and start
// anew, and then the other heads guard alone until the next one is signed.
func KVHead(js jetstream.JetStream, origin string, replicas int) Head {
	sum := sha256.Sum256([]byte(origin))
	return &kvHead{js: js, key: "log-" + hex.EncodeToString(sum[:8]), replicas: max(replicas, 1)}
}

type kvHead struct {
	js       jetstream.JetStream
	key      string
	replicas int
}

func (h *kvHead) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	return h.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: headBucket, Replicas: h.replicas, History: 8, Description: "The last signed head of each log.",
	})
}

func (h *kvHead) Load(ctx context.Context) ([]byte, uint64, error) {
	kv, err := h.bucket(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("opening bucket %s: %w", headBucket, err)
	}
	entry, err := kv.Get(ctx, h.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the signed head from bucket %s: %w", headBucket, err)
	}
	return entry.Value(), entry.Revision(), nil
}

func (h *kvHead) Swap(ctx context.Context, note []byte, revision uint64) error {
	kv, err := h.bucket(ctx)
	if err != nil {
		return fmt.Errorf("opening bucket %s: %w", headBucket, err)
	}
	if revision == 0 {
		_, err = kv.Create(ctx, h.key, note)
	} else {
		_, err = kv.Update(ctx, h.key, note, revision)
	}
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return fmt.Errorf("writing the signed head to bucket %s: %w", headBucket, ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("writing the signed head to bucket %s: %w", headBucket, err)
	}
	return nil
}
