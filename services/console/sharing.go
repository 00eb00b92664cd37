package console

import (
	"context"
	"sync"
	"time"
)

// sharing computes something once for all who ask at about the same time. Who
// asks gets what began to be computed after the last change that was told before
// they asked, and is no older than age. However many ask and however fast things
// change, computations begin at least rest apart.
type sharing[T any] struct {
	age, rest time.Duration

	mu      sync.Mutex
	changes uint64
	newest  *computed[T]
}

// computed is one computation: about to begin, under way, or done.
type computed[T any] struct {
	begun  bool
	failed bool
	// of is how many changes were told when it began, at.
	of uint64
	at time.Time

	done  chan struct{}
	value T
	err   error
}

// change says that what was computed until now is not so any more.
func (s *sharing[T]) change() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
}

// get returns what compute gives, or what it gave somebody else. What is returned
// is shared and must not be changed.
func (s *sharing[T]) get(ctx context.Context, compute func(context.Context) (T, error)) (T, error) {
	c := s.join(context.WithoutCancel(ctx), compute)
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *sharing[T]) join(ctx context.Context, compute func(context.Context) (T, error)) *computed[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.newest
	if last != nil && (!last.begun || !last.failed && last.of == s.changes && time.Since(last.at) < s.age) {
		return last
	}
	var wait time.Duration
	if last != nil {
		wait = s.rest - time.Since(last.at)
	}
	c := &computed[T]{done: make(chan struct{})}
	s.newest = c
	go s.run(ctx, c, wait, compute)
	return c
}

func (s *sharing[T]) run(ctx context.Context, c *computed[T], wait time.Duration, compute func(context.Context) (T, error)) {
	defer close(c.done)
	if wait > 0 {
		time.Sleep(wait)
	}
	s.mu.Lock()
	c.begun, c.of, c.at = true, s.changes, time.Now()
	s.mu.Unlock()
	c.value, c.err = compute(ctx)
	s.mu.Lock()
	c.failed = c.err != nil
	s.mu.Unlock()
}
