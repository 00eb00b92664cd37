package coordinator

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request/store"
)

// watchConnectors follows the bucket of connectors: who is there, what they
// can do, by which keys they speak.
func (r *Room) watchConnectors(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.watch(ctx); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "watching connectors; trying again", slog.Any("error", err))
			if !room.Sleep(ctx, time.Second) {
				break
			}
			if err := r.ensure(ctx); err != nil && ctx.Err() == nil {
				r.Logger.WarnContext(ctx, "making streams and consumers", slog.Any("error", err))
			}
		}
	}
	return nil
}

func (r *Room) watch(ctx context.Context) error {
	kv, err := r.JS.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return fmt.Errorf("opening the bucket of connectors: %w", err)
	}
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watching the bucket of connectors: %w", err)
	}
	defer func() { _ = watcher.Stop() }() // the connection may be closed already
	check := time.NewTicker(5 * time.Second)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("the watch ended")
			}
			switch {
			case entry == nil: // that was all there was
				r.heardOnce.Do(func() { close(r.heard) })
			case entry.Operation() == jetstream.KeyValuePut:
				r.announced(ctx, entry)
			}
		case <-check.C:
			// A bucket that was lost with the broker's disk does not end the
			// watch by itself.
			if _, err := kv.Status(ctx); err != nil {
				return fmt.Errorf("the bucket of connectors: %w", err)
			}
		}
	}
}

// askAnnounced reads what a connector has announced, without waiting to be told.
func (r *Room) askAnnounced(ctx context.Context, name string) error {
	kv, err := r.JS.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return fmt.Errorf("opening the bucket of connectors: %w", err)
	}
	entry, err := kv.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what %s announced: %w", name, err)
	}
	r.announced(ctx, entry)
	return nil
}

// announced takes a connector's manifest or sign of life.
func (r *Room) announced(ctx context.Context, entry jetstream.KeyValueEntry) {
	c, err := parseManifest(entry.Key(), entry.Value())
	if _, room := r.RoomKeys[entry.Key()]; room {
		err = fmt.Errorf("manifest of %s: that is the name of a room", entry.Key())
	}
	if err != nil {
		r.counters.rejected.Add(ctx, 1, badManifest.option())
		r.Logger.ErrorContext(ctx, "a connector's manifest was refused", slog.Any("error", err))
		return
	}
	before, known := r.connectors.get(c.Name)
	if known && before.Digest == c.Digest && before.KeyID == c.KeyID && before.SealKey == c.SealKey && before.Version == c.Version {
		r.connectors.put(c)
		return
	}
	if err := r.enrol(ctx, c, entry.Value()); err != nil {
		r.Logger.ErrorContext(ctx, "enrolling a connector; its next sign of life tries again", slog.String("connector", c.Name), slog.Any("error", err))
		return
	}
	r.connectors.put(c)
	r.Logger.InfoContext(ctx, "connector announced", slog.String("connector", c.Name), slog.String("version", c.Version), slog.String("digest", c.Digest))
	r.wake()
	r.reconsider.Store(true)
}

// enrol gives a new or changed connector its place: its consumer, its line in
// the store, its key on record before any job is sent to it.
func (r *Room) enrol(ctx context.Context, c Connector, manifest []byte) error {
	if err := wire.EnsureConnector(ctx, r.JS, c.Name, r.Streams); err != nil {
		return err
	}
	if err := r.acceptKey(ctx, c.Name, "", c.Key); err != nil {
		return err
	}
	now := r.Now().UTC()
	return r.Store.PutConnector(ctx, store.Connector{
		Name: c.Name, Manifest: manifest, KeyID: c.KeyID, Key: wire.PublicDER(c.Key), SeenAt: c.Seen, UpdatedAt: now,
	})
}

// acceptKey puts an evidence key on record, once.
func (r *Room) acceptKey(ctx context.Context, owner, instance string, key ed25519.PublicKey) error {
	now := r.Now().UTC()
	id := wire.Fingerprint(key)
	rec, err := r.Signer.Sign(&habeasv1.KeyRecord{
		Owner: owner, OwnerInstance: instance, PublicKey: wire.PublicDER(key), Fingerprint: id, NotBeforeTime: timestamppb.New(now),
	}, "", nil)
	if err != nil {
		return err
	}
	fresh, err := r.Store.PutKey(ctx, id, store.Key{Owner: owner, DER: wire.PublicDER(key)}, store.Record{
		Digest: rec.Digest[:], Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now,
	})
	r.keys.forget() // another coordinator may have been first to accept it
	if err != nil || !fresh {
		return err
	}
	if _, err := r.JS.PublishMsg(ctx, wire.RecordMessage(rec)); err != nil {
		// The record is in the store; the sweeper publishes it.
		r.Logger.WarnContext(ctx, "publishing a key record", slog.String("owner", owner), slog.Any("error", err))
	}
	return nil
}

// keyring is the accepted evidence keys, read from the store when one is
// missing.
type keyring struct {
	mu   sync.RWMutex
	keys map[string]ownedKey
	read time.Time
}

type ownedKey struct {
	owner  string
	public ed25519.PublicKey
}

func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = time.Time{}
}

// find returns an accepted key. Another coordinator may have accepted it, so a
// missing one is looked for in the store, at most once a second.
func (k *keyring) find(ctx context.Context, s store.Store, id string) (ownedKey, bool, error) {
	k.mu.RLock()
	key, ok := k.keys[id]
	fresh := time.Since(k.read) < time.Second
	k.mu.RUnlock()
	if ok || fresh {
		return key, ok, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	stored, err := s.Keys(ctx)
	if err != nil {
		return ownedKey{}, false, err
	}
	k.keys = make(map[string]ownedKey, len(stored))
	for id, s := range stored {
		if public, err := wire.ParsePublicDER(s.DER); err == nil {
			k.keys[id] = ownedKey{owner: s.Owner, public: public}
		}
	}
	k.read = time.Now()
	key, ok = k.keys[id]
	return key, ok, nil
}
