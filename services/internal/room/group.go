package room

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// A Group runs the parts of a process together: when one part ends with an
// error, all are asked to stop. The zero Group is ready for use.
type Group struct {
	parts []part
}

type part struct {
	name string
	run  func(context.Context) error
}

// Add adds a part. Its run must return soon after its context is cancelled;
// the name goes before its error.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.parts = append(g.parts, part{name: name, run: run})
}

// Run runs all parts until each has returned, and returns their errors joined.
// A part that returns nil is finished and stops nobody. What parts return
// because they were asked to stop (context.Canceled after the cancellation) is
// not an error.
func (g *Group) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(g.parts))
	var wg sync.WaitGroup
	for i, p := range g.parts {
		wg.Go(func() {
			err := p.run(ctx)
			if err == nil || (ctx.Err() != nil && errors.Is(err, context.Canceled)) {
				return
			}
			errs[i] = fmt.Errorf("%s: %w", p.name, err)
			cancel()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
