package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// collect takes a batch of records from the evidence stream: it checks every
// signature, applies what connectors say to the requests they belong to in one
// transaction, and acknowledges after the commit.
func (r *Room) collect(ctx context.Context, batch []jetstream.Msg) error {
	records := make([]*wire.Record, len(batch))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, m := range batch {
		g.Go(func() (err error) {
			records[i], err = r.read(ctx, m)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.take(ctx, r.held.sort(batch, records, time.Now()))
}

// take applies records to the requests they belong to, in one transaction, and
// then settles their messages. Messages without a record are done with.
func (r *Room) take(ctx context.Context, arrived []arrival) error {
	byRequest := make(map[request.ID][]*wire.Record)
	var ids []request.ID
	for _, a := range arrived {
		if a.rec == nil {
			continue
		}
		id := request.ID(a.rec.RequestID())
		if byRequest[id] == nil {
			ids = append(ids, id)
		}
		byRequest[id] = append(byRequest[id], a.rec)
	}
	for _, recs := range byRequest {
		// What was found is said before what became of it, also when it comes
		// later: a job that failed for good must still know it when it is retried.
		slices.SortStableFunc(recs, func(a, b *wire.Record) int { return cmp.Compare(locatedFirst(a), locatedFirst(b)) })
	}
	stuck, err := r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		for _, rec := range byRequest[st.s.Request.ID] {
			if !st.apply(rec) {
				r.Logger.DebugContext(ctx, "record was known or is for no job of its issuer", slog.String("request", rec.RequestID()), slog.String("issuer", rec.Issuer()))
			}
		}
		st.s.Records = slices.DeleteFunc(st.s.Records, func(s store.Record) bool { return r.logged.has(s.Digest) })
		return nil
	})
	if err != nil {
		handBack(arrived)
		return err
	}
	r.counters.collected.Add(ctx, int64(len(ids)))
	r.forgetEarly(ctx, arrived)
	batch := make([]jetstream.Msg, len(arrived))
	for i, a := range arrived {
		batch[i] = a.msg
	}
	return settle(batch, func(i int) bool {
		return arrived[i].rec == nil || !slices.Contains(stuck, request.ID(arrived[i].rec.RequestID()))
	})
}

func locatedFirst(rec *wire.Record) int {
	if rec.Type == wire.RecordLocated {
		return 0
	}
	return 1
}

// forgetEarly forgets records that audit told of before they were stored here.
func (r *Room) forgetEarly(ctx context.Context, arrived []arrival) {
	var early [][]byte
	for _, a := range arrived {
		if a.rec != nil && r.logged.has(a.rec.Digest[:]) {
			early = append(early, a.rec.Digest[:])
		}
	}
	if len(early) == 0 {
		return
	}
	if err := r.Store.Logged(ctx, early); err != nil {
		r.Logger.WarnContext(ctx, "forgetting logged records; the sweeper will", slog.Any("error", err))
	}
}

// settle acknowledges the messages that were done with and asks for the others
// again.
func settle(batch []jetstream.Msg, done func(i int) bool) error {
	for i, m := range batch {
		settle := m.Ack
		if !done(i) {
			settle = func() error { return m.NakWithDelay(stuckPause) }
		}
		if err := settle(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	return nil
}

// stuckPause is how long messages wait for a request that can't be worked on.
const stuckPause = 30 * time.Second

// read parses and checks one record. It returns nil for those that concern
// others and for those it refused.
func (r *Room) read(ctx context.Context, m jetstream.Msg) (*wire.Record, error) {
	issuer := wire.IssuerOf(m.Subject())
	if _, room := r.RoomKeys[issuer]; room {
		return nil, nil // our own and the other rooms' records are audit's to check
	}
	rec, err := wire.ParseRecord(m.Data())
	if err != nil {
		r.reject(ctx, malformed, m, err)
		return nil, nil
	}
	if rec.Type != wire.RecordLocated && rec.Type != wire.RecordOutcome {
		return nil, nil
	}
	if _, err := request.ParseID(rec.RequestID()); err != nil {
		r.reject(ctx, malformed, m, err)
		return nil, nil
	}
	key, ok, err := r.keys.find(ctx, r.Store, rec.KeyID)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		r.reject(ctx, unknownKey, m, errors.New("the record's key was never accepted"))
	case key.owner != issuer || rec.Issuer() != issuer:
		r.reject(ctx, wrongIssuer, m, fmt.Errorf("the key is %s's, and %s published the record", key.owner, issuer))
	default:
		if err := rec.Verify(key.public); err != nil {
			r.reject(ctx, badSignature, m, err)
			return nil, nil
		}
		return rec, nil
	}
	return nil, nil
}

// takeLogged learns which records are leaves of the log and closes the
// requests whose closure is. Records are forgotten last: as long as one is kept
// audit is asked about it again, and the news comes again although the bus has
// lost it.
func (r *Room) takeLogged(ctx context.Context, batch []jetstream.Msg) error {
	var digests [][]byte
	closures := make(map[request.ID][][]byte)
	for _, m := range batch {
		l, err := wire.ParseLogged(m.Headers(), m.Data())
		if err != nil {
			r.reject(ctx, malformed, m, err)
			continue
		}
		for _, rec := range l.GetRecords() {
			digests = append(digests, rec.GetDigest())
			if id, err := request.ParseID(rec.GetRequestId()); err == nil && rec.GetType() == string(wire.RecordClosure) {
				closures[id] = append(closures[id], rec.GetDigest())
			}
		}
	}
	r.logged.add(digests)
	ids := make([]request.ID, 0, len(closures))
	for id := range closures {
		ids = append(ids, id)
	}
	var peppers suppression.Peppers
	if len(ids) > 0 {
		var err error
		if peppers, err = r.suppression.Peppers(ctx); err != nil {
			return err
		}
	}
	stuck, err := r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		req := &st.s.Request
		if req.State() != request.Closing || !slices.ContainsFunc(closures[req.ID], func(d []byte) bool { return bytes.Equal(d, req.ClosureDigest) }) {
			return nil
		}
		if err := r.suppress(ctx, peppers, st); err != nil {
			return err
		}
		req.ClosedAt, st.s.Changed = st.w.now, true
		if err := r.forgetPerson(st); err != nil {
			return err
		}
		if e := req.Ending; e != nil && e.Result.Answered() && !req.Case.Origin.Ours() {
			st.notice(store.NoticeAnswer) // not before it can be shown
		}
		return req.Move(request.Closed)
	})
	if err != nil {
		return err
	}
	for _, id := range stuck {
		digests = slices.DeleteFunc(digests, func(d []byte) bool {
			return slices.ContainsFunc(closures[id], func(c []byte) bool { return bytes.Equal(c, d) })
		})
	}
	if err := r.Store.Logged(ctx, digests); err != nil {
		return err
	}
	return settle(batch, func(int) bool { return len(stuck) == 0 })
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
