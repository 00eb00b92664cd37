package manual

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Open is the [sdk.Opener] of systems whose work people do.
func Open(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var s Settings
	if err := env.Decode(&s); err != nil {
		return sdk.Manifest{}, nil, err
	}
	dir := filepath.Join(env.Dir, "tasks")
	if env.Describe {
		dir = ""
	}
	m, c, err := New(s, dir)
	if err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: %w", env.ConfigFile, err)
	}
	return m, c, nil
}

// Connector makes tasks of jobs. It is safe for concurrent use.
type Connector struct {
	settings Settings
	folder   *folder // nil when only the manifest is wanted
	now      func() time.Time
	// linger is how long a call waits for somebody to do what it asks.
	linger time.Duration

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	swept   time.Time
}

// New makes a connector that keeps its tasks in dir; without one it is good for
// its manifest alone. Its abilities are those that the settings say.
func New(s Settings, dir string) (sdk.Manifest, sdk.Connector, error) {
	if err := s.check(); err != nil {
		return sdk.Manifest{}, nil, err
	}
	s.Remind, s.Keep = cmp.Or(s.Remind, usualRemind), cmp.Or(s.Keep, usualKeep)
	m, err := s.manifest()
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	c := &Connector{settings: s, now: time.Now, changed: make(chan struct{})}
	if dir != "" {
		if c.folder, err = openFolder(dir); err != nil {
			return sdk.Manifest{}, nil, err
		}
	}
	return m, c.able(), nil
}

// Close lets go of the folder.
func (c *Connector) Close() error {
	if c.folder == nil {
		return nil
	}
	return c.folder.close()
}

// Scopes implements [sdk.Scoped]: a task names the stores to leave alone.
func (c *Connector) Scopes() bool { return true }

var (
	errAsked  = errors.New("people have been asked and have not answered yet")
	errNoJob  = sdk.WithCode(sdk.Rejected, sdk.Permanent(errors.New("people are asked for jobs alone, and this is none")))
	errClosed = sdk.WithCode(sdk.Internal, sdk.Permanent(errors.New("the connector was opened to describe itself")))
)

// impossible is before what people say of why it can't be done.
const impossible = "people say that it can't be done: "

// changes returns a channel that is closed at the next change of any task.
func (c *Connector) changes() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *Connector) tellChange() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// ask finds the job's task, or makes one that begins with step, and lets ready
// say whether it has come to what the call wants; ready may move it on. While it
// has not, the call waits a moment and then says that it is not done yet. A call
// that corrects brings what is to be put right.
func (c *Connector) ask(ctx context.Context, p sdk.Person, step string, ready func(*task) bool, corrections ...sdk.Correction) (*task, error) {
	info := sdk.JobInfoFrom(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.folder == nil:
		return nil, errClosed
	case !safeName(info.JobID):
		return nil, errNoJob
	}
	patience := time.NewTimer(c.linger)
	defer patience.Stop()
	for {
		changed := c.changes()
		t, is, err := c.look(ctx, info, p, step, ready, corrections)
		switch {
		case err != nil:
			return nil, err
		case t.Impossible != "":
			return nil, sdk.WithCode(sdk.Rejected, sdk.Permanent(errors.New(impossible+t.Impossible)))
		case is:
			return t, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-patience.C:
			return nil, sdk.NotYet(c.settings.Remind, errAsked)
		}
	}
}

// look is one look at the job's task, with nobody else looking.
func (c *Connector) look(ctx context.Context, info sdk.JobInfo, p sdk.Person, step string, ready func(*task) bool, corrections []sdk.Correction) (t *task, is bool, err error) {
	moved := false
	err = c.folder.exclusively(ctx, func() error {
		if err := c.sweep(); err != nil {
			return err
		}
		t, err = c.folder.task(info.JobID)
		before := int64(0)
		switch {
		case errors.Is(err, errNoTask):
			t = newTask(info, p, c.settings.storeNames(), step, c.now().UTC())
			t.learn(corrections)
		case err != nil:
			return err
		default:
			before = t.Version
			t.learn(corrections)
			t.again(info, p)
		}
		if t.Impossible != "" {
			t.Told = max(t.Told, info.Attempt)
			return c.folder.putTask(t)
		}
		is = ready(t)
		if moved = t.Version != before; moved || is {
			return c.folder.putTask(t)
		}
		return nil
	})
	if err == nil && moved {
		c.tellChange()
	}
	return t, is, err
}

// again takes in what a later attempt brings: identifiers that were found since,
// for which people look anew, and the wish to try what was impossible.
func (t *task) again(info sdk.JobInfo, p sdk.Person) {
	if t.Expired {
		t.reopen()
	}
	if !t.Done.IsZero() {
		return
	}
	if t.Impossible != "" && t.Told > 0 && info.Attempt > t.Told {
		t.ask(t.Step)
		t.Told = 0
	}
	news := false
	for _, id := range p.Identifiers() {
		one := identifier{string(id.Kind), id.Value.Reveal()}
		if !slices.Contains(t.Person, one) && !t.isRight(one) {
			t.Person, news = append(t.Person, one), true
		}
	}
	if news && !t.Acted && !t.Righted {
		t.Looked, t.Found, t.Seen = false, nil, false
		t.ask(firstOf(t.Step))
	}
}

// firstOf is the step with which a task begins that has come to step.
func firstOf(step string) string {
	switch step {
	case stepErase, stepFields, stepCorrect, stepCopy:
		return stepLook
	default:
		return step
	}
}

// Locate implements [sdk.Connector]. Before the act it is what people saw first,
// after it what they saw then.
func (c *Connector) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	t, err := c.ask(ctx, p, stepLook, func(t *task) bool {
		if !t.Looked && !t.Acted {
			return false
		}
		switch nothing := !t.Acted && total(t.Found) == 0; t.Action {
		case "erase", "correct":
			if nothing {
				t.finish(c.now().UTC())
			}
		case "export":
			if nothing || t.Taken { // it was written, and this is the look after it
				t.finish(c.now().UTC())
			}
		default:
			t.finish(c.now().UTC())
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if t.Acted {
		return found(t.Left), nil
	}
	return found(t.Found), nil
}

func total(counts []count) (n int64) {
	for _, c := range counts {
		n += c.Count
	}
	return n
}

// Erase implements [sdk.Eraser].
func (c erasing) Erase(ctx context.Context, p sdk.Person) error { return c.erase(ctx, p) }

// Erase implements [sdk.Eraser].
func (e eraser) Erase(ctx context.Context, p sdk.Person) error { return e.c.erase(ctx, p) }

func (c *Connector) erase(ctx context.Context, p sdk.Person) error {
	_, err := c.ask(ctx, p, stepErase, func(t *task) bool {
		left := erasable(t.Left, t.Excluded)
		switch {
		case !t.Done.IsZero():
			return true
		case t.Acted && (left == 0 || !t.Taken):
			t.Taken = true // what is left is for the runtime to judge, once
			if left == 0 {
				t.finish(c.now().UTC())
			}
			return true
		case t.Acted:
			t.Acted, t.Taken = false, false
			t.ask(stepErase)
		case t.Looked && t.Step == stepLook && erasable(t.Found, t.Excluded) == 0:
			t.Left, t.Acted, t.Taken = t.Found, true, true
			t.finish(c.now().UTC())
			return true
		case t.Looked && t.Step == stepLook:
			t.ask(stepErase)
		}
		return false
	})
	return err
}

// OptOut implements [sdk.OptOuter].
func (c opting) OptOut(ctx context.Context, p sdk.Person) error { return c.optOut(ctx, p) }

// OptedOut implements [sdk.OptOuter].
func (c opting) OptedOut(ctx context.Context, p sdk.Person) (bool, error) { return c.optedOut(ctx, p) }

// OptOut implements [sdk.OptOuter].
func (o optOuter) OptOut(ctx context.Context, p sdk.Person) error { return o.c.optOut(ctx, p) }

// OptedOut implements [sdk.OptOuter].
func (o optOuter) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	return o.c.optedOut(ctx, p)
}

func (c *Connector) optOut(ctx context.Context, p sdk.Person) error {
	_, err := c.ask(ctx, p, stepOptOut, c.settled)
	return err
}

func (c *Connector) optedOut(ctx context.Context, p sdk.Person) (bool, error) {
	t, err := c.ask(ctx, p, stepOptedOut, c.settled)
	if err != nil {
		return false, err
	}
	return t.InForce, nil
}

// settled ends a task of one step once it is answered.
func (c *Connector) settled(t *task) bool {
	if t.Answered {
		t.finish(c.now().UTC())
	}
	return !t.Done.IsZero()
}

// Proofs implements [sdk.Desked].
func (c *Connector) Proofs(ctx context.Context, jobID string) [][]byte {
	if c.folder == nil {
		return nil
	}
	var out [][]byte
	// Without the file there is nothing to tell of.
	_ = c.folder.exclusively(ctx, func() error {
		t, err := c.folder.task(jobID)
		if err != nil {
			return err
		}
		for _, p := range t.Proofs {
			out = append(out, p.message(nil).GetSha256())
		}
		return nil
	})
	return out
}
