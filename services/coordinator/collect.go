package coordinator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// collect takes a batch of records from the evidence stream: it checks every
// signature, applies what connectors say to the requests they belong to in one
// transaction, and acknowledges after the commit.
func (r *Room) collect(ctx context.Context, batch []jetstream.Msg) error {
	records := make([]*wire.Record, len(batch))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, m := range batch {
		g.Go(func() error {
			records[i] = r.read(ctx, m)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	byRequest := make(map[request.ID][]*wire.Record)
	var ids []request.ID
	for _, rec := range records {
		if rec == nil {
			continue
		}
		id := request.ID(rec.RequestID())
		if byRequest[id] == nil {
			ids = append(ids, id)
		}
		byRequest[id] = append(byRequest[id], rec)
	}
	err := r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		for _, rec := range byRequest[st.s.Request.ID] {
			if !st.apply(rec) {
				r.Logger.DebugContext(ctx, "record was known or is for no job of its issuer", slog.String("request", rec.RequestID()), slog.String("issuer", rec.Issuer()))
			}
		}
		st.s.Records = slices.DeleteFunc(st.s.Records, func(s store.Record) bool { return r.logged.has(s.Digest) })
		return nil
	})
	if err != nil {
		return err
	}
	r.counters.collected.Add(ctx, int64(len(ids)))
	r.forgetEarly(ctx, records)
	return ackAll(batch)
}

// forgetEarly forgets records that audit told of before they were stored here.
func (r *Room) forgetEarly(ctx context.Context, records []*wire.Record) {
	var early [][]byte
	for _, rec := range records {
		if rec != nil && r.logged.has(rec.Digest[:]) {
			early = append(early, rec.Digest[:])
		}
	}
	if len(early) == 0 {
		return
	}
	if err := r.Store.Logged(ctx, early); err != nil {
		r.Logger.WarnContext(ctx, "forgetting logged records; the sweeper will", slog.Any("error", err))
	}
}

func ackAll(batch []jetstream.Msg) error {
	for _, m := range batch {
		if err := m.Ack(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	return nil
}

// read parses and checks one record. It returns nil for those that concern
// others and for those it refused.
func (r *Room) read(ctx context.Context, m jetstream.Msg) *wire.Record {
	issuer := wire.IssuerOf(m.Subject())
	if _, room := r.RoomKeys[issuer]; room {
		return nil // our own and the other rooms' records are audit's to check
	}
	rec, err := wire.ParseRecord(m.Data())
	if err != nil {
		r.reject(ctx, "malformed", m, err)
		return nil
	}
	if rec.Type != wire.RecordLocated && rec.Type != wire.RecordOutcome {
		return nil
	}
	key, ok := r.keys.find(ctx, r.Store, rec.KeyID)
	switch {
	case !ok:
		r.reject(ctx, "unknown_key", m, fmt.Errorf("key %s was never accepted", rec.KeyID))
	case key.owner != issuer || rec.Issuer() != issuer:
		r.reject(ctx, "wrong_issuer", m, fmt.Errorf("key of %s, record of %s, published by %s", key.owner, rec.Issuer(), issuer))
	default:
		if err := rec.Verify(key.public); err != nil {
			r.reject(ctx, "bad_signature", m, err)
			return nil
		}
		return rec
	}
	return nil
}

// takeDiscovered takes identifiers that connectors found.
func (r *Room) takeDiscovered(ctx context.Context, batch []jetstream.Msg) error {
	for _, m := range batch {
		if err := r.discover(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *Room) discover(ctx context.Context, m jetstream.Msg) error {
	d, err := wire.ParseDiscovered(m.Headers(), m.Data())
	if err != nil || d.GetConnector() != wire.IssuerOf(m.Subject()) {
		r.reject(ctx, "malformed", m, err)
		return nil
	}
	c, known := r.connectors.get(d.GetConnector())
	if !known || c.SealKey != d.GetSealerKey() {
		r.reject(ctx, "unknown_key", m, errors.New("sealed by a key the connector did not announce"))
		return nil
	}
	subject, err := r.SealKey.OpenSubject(d.GetSealedSubject(), d.GetSealerKey(), d.GetJobId())
	if err != nil {
		r.reject(ctx, "sealed_for_another", m, err)
		return nil
	}
	var found []request.Identifier
	for _, id := range subject.GetIdentifiers() {
		if !slices.Contains(c.Yields, id.GetKind()) {
			continue
		}
		normal, err := request.NewIdentifier(request.Kind(id.GetKind()), id.GetValue()).Normalize()
		if err != nil {
			r.Logger.WarnContext(ctx, "a discovered identifier can't be used", slog.String("connector", c.Name), slog.String("kind", id.GetKind()))
			continue
		}
		found = append(found, normal)
	}
	if err := r.merge(ctx, request.ID(d.GetRequestId()), request.ID(d.GetJobId()), c.Name, found); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			r.reject(ctx, "unknown_request", m, err)
			return nil
		}
		return err
	}
	if err := m.Ack(); err != nil {
		return fmt.Errorf("acknowledging: %w", err)
	}
	return nil
}

// merge adds identifiers to a request. The data key is unwrapped before the
// transaction: a key service may be far away.
func (r *Room) merge(ctx context.Context, id, jobID request.ID, connector string, found []request.Identifier) error {
	req, _, err := r.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if len(req.WrappedKey) == 0 {
		return nil // the request's personal data are destroyed: it is long closed
	}
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return err
	}
	defer key.Destroy()
	return r.advance(ctx, store.Selector{IDs: []request.ID{id}}, func(st *step) error {
		if !slices.ContainsFunc(st.s.Jobs, func(j store.Job) bool { return j.ID == jobID && j.Connector == connector }) {
			return nil
		}
		kinds, err := addIdentifiers(key, &st.s.Request, found)
		if err != nil {
			return err
		}
		st.discovered(jobID, kinds)
		return nil
	})
}

// addIdentifiers puts new identifiers under the request's key and returns the
// kinds that gained a value.
func addIdentifiers(key vault.DataKey, r *store.Request, found []request.Identifier) ([]string, error) {
	have, err := key.OpenIdentifiers(r.ID, r.Sealed)
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, id := range found {
		if slices.Contains(have, id) || len(have) >= maxIdentifiers {
			continue
		}
		have = append(have, id)
		if !slices.Contains(kinds, string(id.Kind)) {
			kinds = append(kinds, string(id.Kind))
		}
	}
	if len(kinds) > 0 {
		r.Sealed = key.SealIdentifiers(r.ID, have)
	}
	return kinds, nil
}

// maxIdentifiers bounds what resolving may gather for one person; more than
// this is a graph that joins strangers.
const maxIdentifiers = 500

// takeLogged learns which records are leaves of the log and closes the
// requests whose closure is.
func (r *Room) takeLogged(ctx context.Context, batch []jetstream.Msg) error {
	var digests [][]byte
	closures := make(map[request.ID][][]byte)
	for _, m := range batch {
		l, err := wire.ParseLogged(m.Headers(), m.Data())
		if err != nil {
			r.reject(ctx, "malformed", m, err)
			continue
		}
		for _, rec := range l.GetRecords() {
			digests = append(digests, rec.GetDigest())
			if rec.GetType() == string(wire.RecordClosure) {
				id := request.ID(rec.GetRequestId())
				closures[id] = append(closures[id], rec.GetDigest())
			}
		}
	}
	r.logged.add(digests)
	if err := r.Store.Logged(ctx, digests); err != nil {
		return err
	}
	ids := make([]request.ID, 0, len(closures))
	for id := range closures {
		ids = append(ids, id)
	}
	err := r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		req := &st.s.Request
		if req.State() != request.Closing || !slices.ContainsFunc(closures[req.ID], func(d []byte) bool { return slices.Equal(d, req.ClosureDigest) }) {
			return nil
		}
		req.ClosedAt, st.s.Changed = st.w.now, true
		return req.Move(request.Closed)
	})
	if err != nil {
		return err
	}
	return ackAll(batch)
}

// digestRing remembers the last digests audit told of, because audit may be
// faster than we are.
type digestRing struct {
	mu   sync.Mutex
	set  map[[sha256.Size]byte]struct{}
	ring [][sha256.Size]byte
	next int
}

const ringSize = 50_000

func (d *digestRing) add(digests [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.set == nil {
		d.set = make(map[[sha256.Size]byte]struct{}, ringSize)
	}
	for _, b := range digests {
		if len(b) != sha256.Size {
			continue
		}
		digest := [sha256.Size]byte(b)
		if len(d.ring) < ringSize {
			d.ring = append(d.ring, digest)
		} else {
			delete(d.set, d.ring[d.next])
			d.ring[d.next] = digest
			d.next = (d.next + 1) % ringSize
		}
		d.set[digest] = struct{}{}
	}
}

func (d *digestRing) has(b []byte) bool {
	if len(b) != sha256.Size {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.set[[sha256.Size]byte(b)]
	return ok
}
