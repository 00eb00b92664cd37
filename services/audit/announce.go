package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/ledger"
	"github.com/habeas-data/habeas/services/internal/room"
)

// announcement is a committed batch whose messages are acknowledged once the
// bus has the news.
type announcement struct {
	future jetstream.PubAckFuture
	err    error
	items  []*item
}

// settle tells of a committed batch. It must not fail: the leaves are there.
func (w *worker) settle(ctx context.Context, ready []*item, placed []ledger.Placed, size int64, took time.Duration) {
	if len(ready) == 0 {
		return
	}
	news := &habeasv1.Logged{Origin: w.room.config.Origin, Size: size}
	byType, again := map[string]int64{}, false
	var released [][]byte
	for i, it := range ready {
		if placed[i].Fresh {
			byType[string(it.rec.Type)]++
			it.trace(placed[i].Leaf)
		} else {
			again = true
		}
		if it.msg == nil {
			released = append(released, it.digest[:])
		}
		news.Records = append(news.Records, &habeasv1.LoggedRecord{
			Digest: it.digest[:], Leaf: placed[i].Leaf, RequestId: it.rec.RequestID(), Type: string(it.rec.Type),
		})
	}
	if len(byType) > 0 {
		w.room.metrics.appended(ctx, took.Seconds(), byType)
		w.room.markDirty()
	}
	if len(released) > 0 {
		if err := w.ledger.Release(ctx, released); err != nil {
			// They are leaves; being listed as rejected too misleads no proof.
			w.room.logger.WarnContext(ctx, "records that were logged after all are still listed as rejected", "error", err)
		}
	}
	future, err := w.publish(news, again)
	w.announces <- announcement{future, err, ready}
}

// trace puts the record's becoming a leaf into the trace of its request.
func (it *item) trace(leaf int64) {
	if it.msg == nil || it.rec.RequestID() == "" {
		return
	}
	ctx := room.Extract(context.Background(), it.msg.Headers())
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = room.RequestTrace(ctx, it.rec.RequestID())
	}
	_, span := otel.Tracer(scope).Start(ctx, "audit.logged", trace.WithAttributes(
		attribute.String("habeas.record", string(it.rec.Type)), attribute.Int64("habeas.leaf", leaf)))
	span.End()
}

// publish sends the news. The id of a Logged message is the log's size, which
// a batch of records that were leaves before does not change: those get an id
// of their own, or the bus would drop the news as told already.
func (w *worker) publish(news *habeasv1.Logged, again bool) (jetstream.PubAckFuture, error) {
	msg, err := wire.LoggedMessage(news)
	if err != nil {
		return nil, err
	}
	if again {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(news)
		if err != nil {
			return nil, fmt.Errorf("encoding news of the log: %w", err)
		}
		sum := sha256.Sum256(body)
		msg.Header.Set(nats.MsgIdHdr, msg.Header.Get(nats.MsgIdHdr)+"/"+hex.EncodeToString(sum[:8]))
	}
	return w.room.config.JS.PublishMsgAsync(msg)
}

// How long the bus may take to store the news, and how long once the room
// stops.
const (
	announceTimeout = 5 * time.Second
	partingTimeout  = time.Second
)

// announceLoop acknowledges records once the news of them is stored, and gives
// them back to the bus when it is not, to be told of again. It ends with the
// last batch.
func (w *worker) announceLoop(ctx context.Context) error {
	for a := range w.announces {
		err := a.wait(ctx)
		w.room.fault("announce", err)
		for _, it := range a.items {
			switch {
			case it.msg == nil:
			case err != nil:
				w.dropped(it.msg.NakWithDelay(time.Second))
			default:
				w.dropped(it.msg.Ack())
			}
		}
	}
	return nil
}

func (a announcement) wait(ctx context.Context) error {
	if a.err != nil {
		return fmt.Errorf("telling of new leaves: %w", a.err)
	}
	timeout := announceTimeout
	if ctx.Err() != nil {
		timeout = partingTimeout
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-a.future.Ok():
		return nil
	case err := <-a.future.Err():
		return fmt.Errorf("telling of new leaves: %w", err)
	case <-timer.C:
		return errors.New("telling of new leaves: the bus did not answer")
	}
}

// freed returns the held and set-aside records that a committed batch made
// ready.
func (w *worker) freed(ctx context.Context, logged []*item) ([]*item, error) {
	leaves, keys := map[[sha256.Size]byte]bool{}, map[string]bool{}
	for _, it := range logged {
		leaves[it.digest] = true
		if k, ok := it.rec.Predicate.(*habeasv1.KeyRecord); ok {
			keys[k.GetFingerprint()] = true
		}
	}
	freed := w.takeWaiting(func(it *item) bool { return leaves[it.awaitsLeaf] || keys[it.awaitsKey] })
	for id := range keys {
		err := w.ledger.Rejected(ctx, id, func(r ledger.Rejected) error {
			rec, err := wire.ParseRecord(r.Envelope)
			if err != nil {
				return fmt.Errorf("a rejected record no longer parses: %w", err)
			}
			freed = append(freed, &item{subject: r.Subject, digest: r.Digest, rec: rec})
			return nil
		})
		if err != nil {
			// The batch is committed; these are read again when the key is next
			// on record, or by hand.
			w.room.logger.WarnContext(ctx, "records that waited for a key were not read", "error", err)
		}
	}
	return freed, nil
}
