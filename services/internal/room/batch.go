package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Batches hands the messages of a durable consumer to handle in batches: the
// first message as soon as it is there, together with whatever else has
// arrived, up to size. Nothing waits for a batch to fill. It goes on until ctx
// is cancelled: when the bus is gone or has lost the consumer, ensure is called
// to make it again, with growing pauses.
//
// handle acknowledges. Its error is logged; the messages it did not
// acknowledge are delivered again.
func Batches(ctx context.Context, js jetstream.JetStream, stream, durable string, size int, logger *slog.Logger,
	ensure func(context.Context) error, handle func(context.Context, []jetstream.Msg) error) error {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		started := time.Now()
		err := consume(ctx, js, stream, durable, size, logger, handle)
		if ctx.Err() != nil {
			break
		}
		if time.Since(started) > 10*time.Second {
			pause = 100 * time.Millisecond
		}
		logger.WarnContext(ctx, "consumer interrupted; trying again", slog.String("consumer", durable), slog.Any("error", err))
		if !Sleep(ctx, pause) {
			break
		}
		pause = min(2*pause, 2*time.Second)
		if err := ensure(ctx); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "making streams and consumers", slog.String("consumer", durable), slog.Any("error", err))
		}
	}
	return nil
}

// Sleep waits for d and reports whether ctx is still good.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func consume(ctx context.Context, js jetstream.JetStream, stream, durable string, size int, logger *slog.Logger,
	handle func(context.Context, []jetstream.Msg) error) error {
	consumer, err := js.Consumer(ctx, stream, durable)
	if err != nil {
		return fmt.Errorf("finding the consumer: %w", err)
	}
	failed := make(chan error, 1)
	iter, err := consumer.Messages(jetstream.PullMaxMessages(2*size), jetstream.PullHeartbeat(2*time.Second), jetstream.PullExpiry(5*time.Second),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("opening the consumer: %w", err)
	}
	arrived := make(chan jetstream.Msg, 2*size)
	go func() {
		defer close(arrived)
		for {
			msg, err := iter.Next()
			if err != nil {
				failed <- err
				return
			}
			arrived <- msg
		}
	}()
	stopped := context.AfterFunc(ctx, iter.Stop)
	defer stopped()
	defer func() {
		iter.Stop()
		for range arrived { // undelivered messages come again
		}
	}()
	for first := range arrived {
		batch := gather(first, arrived, size)
		if err := handle(ctx, batch); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			logger.ErrorContext(ctx, "handling a batch; its messages will come again",
				slog.String("consumer", durable), slog.Int("messages", len(batch)), slog.Any("error", err))
			for _, m := range batch {
				if nak := m.NakWithDelay(time.Second); nak != nil && !errors.Is(nak, jetstream.ErrMsgAlreadyAckd) {
					return nak
				}
			}
		}
	}
	return <-failed
}

func gather(first jetstream.Msg, arrived <-chan jetstream.Msg, size int) []jetstream.Msg {
	batch := append(make([]jetstream.Msg, 0, size), first)
	for len(batch) < size {
		select {
		case m, ok := <-arrived:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}
