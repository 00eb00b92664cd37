// Package tries measures whether messages to people get away: by mail, and by text
// message. Without them nobody can be verified and nobody gets an answer, and the
// process that sends them looks well.
package tries

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Way counts the tries of one way to reach people. All senders of one way share one.
type Way struct {
	name  attribute.KeyValue
	tried metric.Int64Counter

	mu     sync.Mutex
	failed int64 // since one was taken
}

// New begins to count the tries of each way with meter. Names are short: mail, text.
func New(meter metric.Meter, names ...string) ([]*Way, error) {
	tried, err := meter.Int64Counter("habeas.messages", metric.WithDescription("Messages to people, by way and what came of the try."))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	ways := make([]*Way, len(names))
	for i, name := range names {
		ways[i] = &Way{name: attribute.String("way", name), tried: tried}
	}
	_, err = meter.Int64ObservableGauge("habeas.messages.failed", metric.WithDescription("Tries that failed since a message was taken, by way."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, w := range ways {
				o.Observe(w.failedInARow(), metric.WithAttributes(w.name))
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	return ways, nil
}

func (w *Way) failedInARow() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// Tried counts one try by its error; refused says that trying again can't help. One
// that its caller gave up says nothing, and is not counted.
func (w *Way) Tried(ctx context.Context, err error, refused bool) {
	outcome := "taken"
	switch {
	case refused:
		outcome = "refused"
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return
	case err != nil:
		outcome = "unavailable"
	}
	w.tried.Add(ctx, 1, metric.WithAttributes(w.name, attribute.String("outcome", outcome)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed++; err == nil {
		w.failed = 0
	}
}
