package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// sweepLoop looks after what nobody told us of: deferred jobs whose time has
// come, patience that has run out, jobs and records that the bus has lost.
func (r *Room) sweepLoop(ctx context.Context) error {
	for room.Sleep(ctx, r.every) {
		if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "sweeping; trying again", slog.Any("error", err))
		}
	}
	return nil
}

// sweeper is what one sweep remembers for the next.
type sweeper struct {
	// suspects are connectors whose jobs seem to be lost, each with the number
	// of the last record there was on the bus when it first seemed so.
	suspects map[string]uint64
	// resent is when records were last sent again, first the oldest of them, and
	// times how often that one has been.
	resent time.Time
	first  []byte
	times  int
	// tidied is when the store last put its counts together.
	tidied time.Time
	// held is what the bus was told last of each connector's queue: that it is
	// held, or not.
	held map[string]bool
}

// tidyEvery is how often the store puts its counts together.
const tidyEvery = 30 * time.Second

// sweepBatch bounds one transaction of the sweeper.
const sweepBatch = 500

func (r *Room) sweep(ctx context.Context) error {
	if err := r.readPauses(ctx); err != nil {
		return err
	}
	now := r.Now().UTC()
	stale := now.Add(-r.Rules.Lease)
	lost, err := r.findLost(ctx, stale)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.lost = lost
	r.mu.Unlock()
	if err := r.advanceDue(ctx, now, stale, slices.Sorted(maps.Keys(lost))); err != nil {
		return err
	}
	if err := r.askAnew(ctx); err != nil {
		return err
	}
	// What comes after an answer must not hold up what leads to one: each of these
	// is tried, whatever became of the others.
	return errors.Join(r.republish(ctx, now, stale), r.planReplays(ctx), r.keepForRestores(ctx, now), r.shred(ctx, now), r.tidy(ctx, now))
}

// tidy lets the store put its counts in order now and then.
func (r *Room) tidy(ctx context.Context, now time.Time) error {
	if now.Sub(r.sweeper.tidied) < tidyEvery {
		return nil
	}
	if err := r.Store.Tidy(ctx); err != nil {
		return err
	}
	r.sweeper.tidied = now
	return nil
}

// advanceDue looks at every request that has something due.
func (r *Room) advanceDue(ctx context.Context, now, stale time.Time, lost []string) error {
	seen := make(map[request.ID]bool)
	for {
		ids, err := r.Store.Due(ctx, now, stale, lost, sweepBatch)
		if err != nil {
			return err
		}
		full := len(ids) == sweepBatch
		ids = slices.DeleteFunc(ids, func(id request.ID) bool { return seen[id] })
		if _, err := r.advance(ctx, store.Selector{IDs: ids}, nil); err != nil {
			return err
		}
		for _, id := range ids {
			seen[id] = true
		}
		if !full || len(ids) == 0 {
			return nil
		}
	}
}

// askAnew looks again at requests that nobody could be asked for, or that stopped
// for a basis, when there
// are connectors that were not there or were different before.
func (r *Room) askAnew(ctx context.Context) (err error) {
	if !r.reconsider.Swap(false) {
		return nil
	}
	defer func() {
		if err != nil {
			r.reconsider.Store(true)
		}
	}()
	filter := store.Filter{State: request.Running, Attention: true, Limit: sweepBatch}
	for {
		page, err := r.Store.List(ctx, filter)
		if err != nil {
			return err
		}
		var ids []request.ID
		for i := range page {
			if page[i].Attention == AttentionNobody || page[i].Attention == AttentionBasis {
				ids = append(ids, page[i].ID)
			}
		}
		if _, err := r.advance(ctx, store.Selector{IDs: ids}, nil); err != nil {
			return err
		}
		if len(page) < sweepBatch {
			return nil
		}
		last := &page[len(page)-1]
		filter.Before = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// findLost names the connectors some of whose sent jobs are on the bus no more:
// fewer messages wait for the connector than jobs are out, and every answer
// that was there when this was first seen has been read.
func (r *Room) findLost(ctx context.Context, stale time.Time) (map[string]bool, error) {
	out, err := r.Store.Outstanding(ctx, stale)
	if err != nil || len(out) == 0 {
		r.sweeper.suspects = nil
		return nil, err
	}
	written, read, err := r.evidenceRead(ctx)
	if err != nil {
		return nil, err
	}
	suspects, lost := make(map[string]uint64), make(map[string]bool)
	for _, o := range out {
		missing, err := r.missing(ctx, o)
		if err != nil {
			return nil, err
		}
		if missing <= 0 {
			continue
		}
		since, before := r.sweeper.suspects[o.Connector]
		if !before || since > written { // the stream was made anew
			since = written
		}
		if read < since {
			suspects[o.Connector] = since
			continue // answers are still to be read
		}
		lost[o.Connector] = true
		r.counters.resent.Add(ctx, missing)
		r.Logger.WarnContext(ctx, "sent jobs are not on the bus; sending them again",
			slog.String("connector", o.Connector), slog.Int64("sent", o.Sent), slog.Int64("missing", missing))
	}
	r.sweeper.suspects = suspects
	return lost, nil
}

// evidenceRead gives the number of the last record on the bus, and of the last
// up to which we have read and stored everything.
func (r *Room) evidenceRead(ctx context.Context) (written, read uint64, err error) {
	stream, err := r.JS.Stream(ctx, wire.StreamEvidence)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for stream %s: %w", wire.StreamEvidence, err)
	}
	written = stream.CachedInfo().State.LastSeq
	info, err := r.consumer(ctx, wire.StreamEvidence, wire.ConsumerCoordinatorEvidence)
	if err != nil {
		return 0, 0, err
	}
	if info.NumPending == 0 && info.NumAckPending == 0 {
		return written, written, nil
	}
	return written, info.AckFloor.Stream, nil
}

// missing estimates how many of a connector's outstanding jobs the bus has
// lost. It has fewer messages than it should have or, when newer ones make up
// the number, none that is nearly as old as the oldest job.
func (r *Room) missing(ctx context.Context, o store.Outstanding) (int64, error) {
	info, err := r.consumer(ctx, wire.StreamJobs, wire.JobConsumer(o.Connector))
	if err != nil {
		if err := r.ensure(ctx); err != nil {
			return 0, err
		}
		return o.Sent, nil
	}
	waiting := int64(info.NumPending) + int64(info.NumAckPending) //nolint:gosec // far below 2^63
	if waiting < o.Sent {
		return o.Sent - waiting, nil
	}
	stream, err := r.JS.Stream(ctx, wire.StreamJobs)
	if err != nil {
		return 0, fmt.Errorf("asking for stream %s: %w", wire.StreamJobs, err)
	}
	oldest, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(wire.JobSubject(o.Connector)))
	if err != nil {
		return 0, nil //nolint:nilerr // they were all taken meanwhile: the next sweep counts anew
	}
	if oldest.Time.After(o.Oldest.Add(r.Rules.Lease)) {
		return 1, nil
	}
	return 0, nil
}

func (r *Room) consumer(ctx context.Context, stream, durable string) (*jetstream.ConsumerInfo, error) {
	consumer, err := r.JS.Consumer(ctx, stream, durable)
	if err != nil {
		return nil, fmt.Errorf("asking for consumer %s: %w", durable, err)
	}
	return consumer.CachedInfo(), nil
}

// longestResend is how often the pause between two sendings of the same records
// doubles.
const longestResend = 3

// republish sends records again that audit has not told of, unless audit has
// simply not come to them yet. One that is slow is given longer each time, or
// what it is sent would make it slower still.
func (r *Room) republish(ctx context.Context, now, stale time.Time) error {
	records, err := r.Store.Unlogged(ctx, stale, sweepBatch)
	if err != nil || len(records) == 0 {
		return err
	}
	if !bytes.Equal(r.sweeper.first, records[0].Digest) {
		r.sweeper.times = 0
	} else if now.Sub(r.sweeper.resent) < r.Rules.Lease<<min(r.sweeper.times-1, longestResend) {
		return nil // audit was given these a moment ago
	}
	info, err := r.consumer(ctx, wire.StreamEvidence, wire.ConsumerAudit)
	if err != nil {
		return err
	}
	if info.NumPending > 0 {
		return nil
	}
	r.Logger.WarnContext(ctx, "records are not in the log; sending them again", slog.Int("records", len(records)))
	r.sweeper.resent, r.sweeper.first, r.sweeper.times = now, records[0].Digest, r.sweeper.times+1
	for i := range records {
		msg := wire.RecordEnvelopeMessage(records[i].Issuer, records[i].Envelope, records[i].Digest)
		// Without a message id: inside the duplicate window the bus would drop
		// what audit may never have seen. Audit knows its own duplicates.
		msg.Header.Del("Nats-Msg-Id")
		if _, err := r.JS.PublishMsgAsync(msg); err != nil {
			return fmt.Errorf("sending records again: %w", err)
		}
	}
	r.counters.resent.Add(ctx, int64(len(records)))
	return nil
}
