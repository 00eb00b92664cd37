package sdk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"
)

// gatherer puts jobs together into cohorts: jobs that arrive within the
// manifest's window, up to its batch size. The members of a cohort go through
// their steps side by side, and their calls are made as one.
type gatherer struct {
	w       *worker
	locator BatchLocator
	eraser  BatchEraser // nil when the connector is none
	one     chan struct{}

	mu   sync.Mutex
	open *cohort
}

func newGatherer(w *worker, l BatchLocator) *gatherer {
	e, _ := l.(BatchEraser)
	return &gatherer{w: w, locator: l, eraser: e, one: make(chan struct{}, 1)}
}

// join adds a job to the open cohort, or opens one.
func (g *gatherer) join(ctx context.Context) *cohort {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		c := &cohort{g: g, ctx: ctx, open: true}
		g.open = c
		c.timer = time.AfterFunc(g.w.Manifest.BatchWindow, func() { g.close(c) })
	}
	c := g.open
	c.mu.Lock()
	c.members++
	full := c.members >= g.w.Manifest.BatchSize
	c.mu.Unlock()
	if full {
		g.open = nil
		c.timer.Stop()
		go g.close(c)
	}
	return c
}

// close lets nobody join any more, and lets the cohort go.
func (g *gatherer) close(c *cohort) {
	g.mu.Lock()
	if g.open == c {
		g.open = nil
	}
	g.mu.Unlock()
	c.mu.Lock()
	c.open = false
	calls := c.ready()
	c.mu.Unlock()
	c.run(calls)
}

// cohort is jobs whose calls are made together. When every member waits, their
// calls are made; members that are through leave.
type cohort struct {
	g     *gatherer
	ctx   context.Context //nolint:containedctx // the first member's: values and the end of all work, the same for each
	timer *time.Timer

	mu      sync.Mutex
	open    bool
	members int
	waiting []*memberCall
}

// memberCall is one member's call, waiting for the others.
type memberCall struct {
	person Person
	info   JobInfo
	erase  bool
	found  []Found
	err    error
	done   chan struct{}
}

// ready takes the waiting calls when it is time to make them. c.mu is held.
func (c *cohort) ready() []*memberCall {
	if c.open || len(c.waiting) == 0 || len(c.waiting) < c.members {
		return nil
	}
	calls := c.waiting
	c.waiting = nil
	return calls
}

func (c *cohort) leave() {
	c.mu.Lock()
	c.members--
	calls := c.ready()
	c.mu.Unlock()
	if calls != nil {
		go c.run(calls)
	}
}

func (c *cohort) erases() bool { return c.g.eraser != nil }

func (c *cohort) locate(ctx context.Context, p Person) ([]Found, error) {
	call := c.wait(ctx, &memberCall{person: p})
	return call.found, call.err
}

func (c *cohort) erase(ctx context.Context, p Person) error {
	return c.wait(ctx, &memberCall{person: p, erase: true}).err
}

// wait adds a call and returns it answered, or with the error of ctx when that
// ends before the call is being made.
func (c *cohort) wait(ctx context.Context, call *memberCall) *memberCall {
	call.info, call.done = JobInfoFrom(ctx), make(chan struct{})
	c.mu.Lock()
	c.waiting = append(c.waiting, call)
	calls := c.ready()
	c.mu.Unlock()
	if calls != nil {
		c.run(calls)
	}
	select {
	case <-call.done:
		return call
	case <-ctx.Done():
	}
	c.mu.Lock()
	i := slices.Index(c.waiting, call)
	if i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
	c.mu.Unlock()
	if i < 0 {
		<-call.done // it is being made, and ends with ctx
		return call
	}
	call.err = ctx.Err()
	return call
}

// run makes the calls: those that erase as one, those that locate as one.
func (c *cohort) run(calls []*memberCall) {
	var erase, locate []*memberCall
	for _, call := range calls {
		if call.erase {
			erase = append(erase, call)
		} else {
			locate = append(locate, call)
		}
	}
	info := batchInfo(calls)
	// One pass at a time: two would read and rewrite the same files.
	select {
	case c.g.one <- struct{}{}:
		defer func() { <-c.g.one }()
		c.eraseAll(withMembers(c.ctx, info, erase), erase)
		c.locateAll(withMembers(c.ctx, info, locate), locate)
	case <-c.ctx.Done():
		for _, call := range calls {
			call.err = c.ctx.Err()
		}
	}
	for _, call := range calls {
		close(call.done)
	}
}

// batchInfo stands for the jobs of a batch, so that its effect keys are its
// own and the same batch has the same ones.
func batchInfo(calls []*memberCall) JobInfo {
	ids := make([]string, 0, len(calls))
	for _, call := range calls {
		ids = append(ids, call.info.JobID)
	}
	slices.SortFunc(ids, cmp.Compare[string])
	h := sha256.New()
	for _, id := range ids {
		h.Write([]byte(id + "\x00"))
	}
	return JobInfo{JobID: "batch-" + hex.EncodeToString(h.Sum(nil)[:16])}
}

// withMembers is the context of one call of the batch: info with the jobs of
// the people it is about.
func withMembers(ctx context.Context, info JobInfo, calls []*memberCall) context.Context {
	for _, call := range calls {
		info.Members = append(info.Members, call.info)
	}
	return WithJobInfo(ctx, info)
}

func people(calls []*memberCall) []Person {
	p := make([]Person, len(calls))
	for i, call := range calls {
		p[i] = call.person
	}
	return p
}

var errBatchAnswer = WithCode(Internal, Permanent(errors.New("the connector's answer to a batch has another length than the batch")))

func (c *cohort) locateAll(ctx context.Context, calls []*memberCall) {
	if len(calls) == 0 {
		return
	}
	var results [][]Found
	err := c.g.w.call(ctx, func(ctx context.Context) (err error) {
		results, err = c.g.locator.LocateBatch(ctx, people(calls))
		if err == nil && len(results) != len(calls) {
			err = errBatchAnswer
		}
		return err
	})
	for i, call := range calls {
		switch {
		case err == nil:
			call.found = results[i]
		case IsPermanent(err) && len(calls) > 1:
			// One person may have spoiled it for all: look for each alone.
			call.err = c.g.w.call(WithJobInfo(ctx, call.info), func(ctx context.Context) (err error) {
				call.found, err = c.g.locator.Locate(ctx, call.person)
				return err
			})
		default:
			call.err = err
		}
	}
}

func (c *cohort) eraseAll(ctx context.Context, calls []*memberCall) {
	if len(calls) == 0 {
		return
	}
	var errs []error
	err := c.g.w.call(ctx, func(ctx context.Context) error {
		errs = c.g.eraser.EraseBatch(ctx, people(calls))
		if errs != nil && len(errs) != len(calls) {
			return errBatchAnswer
		}
		return nil
	})
	for i, call := range calls {
		switch {
		case err != nil:
			call.err = err
		case errs != nil:
			call.err = errs[i]
		}
	}
}
