package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request/store"
)

// sweepLoop looks after what nobody told us of: deferred jobs whose time has
// come, patience that has run out, jobs and records that the bus has lost.
func (r *Room) sweepLoop(ctx context.Context) error {
	for room.Sleep(ctx, time.Second) {
		if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "sweeping; trying again", slog.Any("error", err))
		}
	}
	return nil
}

// sweepBatch bounds one transaction of the sweeper.
const sweepBatch = 500

func (r *Room) sweep(ctx context.Context) error {
	now := r.Now().UTC()
	stale := now.Add(-r.Rules.Lease)
	lost, err := r.findLost(ctx, stale)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.lost = lost
	r.mu.Unlock()
	for {
		ids, err := r.Store.Due(ctx, now, stale, slices.Sorted(maps.Keys(lost)), sweepBatch)
		if err != nil {
			return err
		}
		if err := r.advance(ctx, store.Selector{IDs: ids}, nil); err != nil {
			return err
		}
		if len(ids) < sweepBatch {
			break
		}
	}
	return r.republish(ctx, stale)
}

// findLost names the connectors some of whose sent jobs are on the bus no more:
// everything that was answered has been read, and fewer messages wait for the
// connector than jobs are out.
func (r *Room) findLost(ctx context.Context, stale time.Time) (map[string]bool, error) {
	out, err := r.Store.Outstanding(ctx, stale)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	if behind, err := r.pending(ctx, wire.StreamEvidence, wire.ConsumerCoordinatorEvidence); err == nil && behind > 0 {
		return nil, nil // answers are still to be read
	}
	lost := make(map[string]bool)
	for _, o := range out {
		waiting, err := r.pending(ctx, wire.StreamJobs, wire.JobConsumer(o.Connector))
		if err != nil {
			if err := wire.EnsureConnector(ctx, r.JS, o.Connector, r.Streams); err != nil {
				return nil, err
			}
			waiting = 0
		}
		if waiting < o.Sent {
			lost[o.Connector] = true
			r.counters.resent.Add(ctx, o.Sent-waiting)
			r.Logger.WarnContext(ctx, "sent jobs are not on the bus; sending them again",
				slog.String("connector", o.Connector), slog.Int64("sent", o.Sent), slog.Int64("on_bus", waiting))
		}
	}
	return lost, nil
}

// pending counts what a consumer has still to deliver or to see acknowledged.
func (r *Room) pending(ctx context.Context, stream, durable string) (int64, error) {
	consumer, err := r.JS.Consumer(ctx, stream, durable)
	if err != nil {
		return 0, fmt.Errorf("asking for consumer %s: %w", durable, err)
	}
	info := consumer.CachedInfo()
	return int64(info.NumPending) + int64(info.NumAckPending), nil //nolint:gosec // far below 2^63
}

// republish sends records again that audit has not told of, unless audit has
// simply not come to them yet.
func (r *Room) republish(ctx context.Context, stale time.Time) error {
	records, err := r.Store.Unlogged(ctx, stale, sweepBatch)
	if err != nil || len(records) == 0 {
		return err
	}
	consumer, err := r.JS.Consumer(ctx, wire.StreamEvidence, wire.ConsumerAudit)
	if err != nil {
		return fmt.Errorf("asking for consumer %s: %w", wire.ConsumerAudit, err)
	}
	if consumer.CachedInfo().NumPending > 0 {
		return nil
	}
	r.Logger.WarnContext(ctx, "records are not in the log; sending them again", slog.Int("records", len(records)))
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
