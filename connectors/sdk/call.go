package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
)

// publishTimeout is how long the bus may take to store a message.
const publishTimeout = 5 * time.Second

// errBus is wrapped by errors of publishing: the job is handed back, because
// without the bus there is nobody to tell.
var errBus = errors.New("the bus does not take our answer")

func newPause() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(15*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
}

// call makes one call of the connector: with a slot of its own, a deadline,
// and panics turned into errors.
func (w *worker) call(ctx context.Context, f func(context.Context) error) (err error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, w.CallTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			// The value could hold anything; its type is enough to go by.
			err = WithCode(Internal, Permanent(fmt.Errorf("the connector panicked with a %T", p)))
		}
	}()
	return f(ctx)
}

// try makes a call and repeats it while its error is worth it, for as long as
// one delivery may take.
func (w *worker) try(ctx context.Context, f func(context.Context) error) error {
	pause := newPause()
	pause.MaxElapsedTime = w.RetryFor
	pause.Reset()
	err := backoff.Retry(func() error {
		err := f(ctx)
		_, notYet := AsNotYet(err)
		if err == nil || notYet || IsPermanent(err) {
			w.system.Store(true)
			if err != nil {
				return backoff.Permanent(err)
			}
			return nil
		}
		if ctx.Err() != nil {
			return backoff.Permanent(err)
		}
		w.system.Store(false)
		return err
	}, backoff.WithContext(pause, ctx))
	return err
}

// publish stores a message on the bus and waits until the bus has it. Waiting
// callers share the connection's round trips.
func (w *worker) publish(ctx context.Context, msg *nats.Msg) error {
	w.telemetry.inject(ctx, msg.Header)
	pause := newPause()
	pause.MaxElapsedTime = w.RetryFor
	pause.Reset()
	err := backoff.Retry(func() error {
		future, err := w.js.PublishMsgAsync(msg)
		if err != nil {
			return err
		}
		select {
		case <-future.Ok():
			return nil
		case err := <-future.Err():
			return err
		case <-ctx.Done():
			return backoff.Permanent(ctx.Err())
		}
	}, backoff.WithContext(pause, ctx))
	if err != nil {
		return fmt.Errorf("%w: %w", errBus, err)
	}
	return nil
}
