package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
)

// pausedFor is until when the bus keeps the jobs of a paused connector back: for
// longer than anybody forgets one. The store alone says whether it is paused.
const pausedFor = 100 * 365 * 24 * time.Hour

// readPauses learns which connectors are paused, and sees to it that the bus
// hands them no job. Whatever the bus was told and forgot, or was told by a
// coordinator that ended before it could, is put right by the next sweep of any.
func (r *Room) readPauses(ctx context.Context) error {
	list, err := r.Store.Pauses(ctx)
	if err != nil {
		return err
	}
	paused := make(map[string]bool, len(list))
	for _, p := range list {
		paused[p.Connector] = true
	}
	r.mu.Lock()
	r.paused = paused
	r.mu.Unlock()
	for _, c := range r.connectors.all() {
		hold := paused[c.Name]
		if told, known := r.sweeper.held[c.Name]; known && !told && !hold {
			continue // what is paused is looked at each time: the bus may have been made anew
		}
		if err := r.holdQueue(ctx, c.Name, hold); err != nil {
			delete(r.sweeper.held, c.Name)
			if ctx.Err() == nil {
				r.Logger.WarnContext(ctx, "telling the bus of a pause; the next sweep will", slog.String("connector", c.Name), slog.Any("error", err))
			}
			continue
		}
		if r.sweeper.held == nil {
			r.sweeper.held = make(map[string]bool)
		}
		r.sweeper.held[c.Name] = hold
	}
	return nil
}

// errNoQueue says that a connector's consumer is not on the bus.
var errNoQueue = errors.New("its queue was not there")

// holdQueue makes the bus keep a connector's jobs back, or hand them out again.
func (r *Room) holdQueue(ctx context.Context, name string, hold bool) error {
	consumer, err := r.JS.Consumer(ctx, wire.StreamJobs, wire.JobConsumer(name))
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return errors.Join(errNoQueue, r.ensure(ctx)) // the next sweep holds it
	case err != nil:
		return err
	case consumer.CachedInfo().Paused == hold:
		return nil
	case hold:
		_, err = r.JS.PauseConsumer(ctx, wire.StreamJobs, wire.JobConsumer(name), time.Now().Add(pausedFor))
	default:
		_, err = r.JS.ResumeConsumer(ctx, wire.StreamJobs, wire.JobConsumer(name))
	}
	return err
}
