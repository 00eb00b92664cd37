package restspec

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// errAccepted says that the system has the work and is not finished.
var errAccepted = errors.New("accepted and not finished")

// act runs the steps of an operation that changes something. A step begins
// when the one before it is finished for every record, because the later ones
// often take away what the earlier ones are found by.
func (r *run) act(ctx context.Context, op string, steps []*step) error {
	r.acting = true
	for _, s := range steps {
		if s.list != nil {
			if err := r.readStep(ctx, s); err != nil {
				return err
			}
			continue
		}
		if err := r.actStep(ctx, op, s); err != nil {
			return fmt.Errorf("step %s: %w", s.name, err)
		}
	}
	return nil
}

// actStep does one step for every target. What one record refuses for good
// does not spare the others; what may pass ends the attempt.
func (r *run) actStep(ctx context.Context, op string, s *step) error {
	var refused error
	wait := time.Duration(-1)
	for _, t := range r.targets(s) {
		if err := ctx.Err(); err != nil {
			return err
		}
		after, err := r.actOne(ctx, op, s, t)
		switch {
		case err == nil && after >= 0:
			if wait < 0 || after < wait {
				wait = after
			}
		case err == nil:
		case sdk.IsPermanent(err):
			if refused == nil {
				refused = err
			}
		default:
			return err
		}
	}
	if refused != nil {
		return refused
	}
	if wait >= 0 {
		return sdk.NotYet(wait, errAccepted)
	}
	return nil
}

const finished = time.Duration(-1)

// actOne does one step for one target. It returns finished, or after how long
// to look again.
func (r *run) actOne(ctx context.Context, op string, s *step, t target) (time.Duration, error) {
	effect := effectKey(ctx, op+"\x00"+s.name+"\x00"+t.id())
	v := values{r: r, t: t, effect: effect}
	if s.async == nil {
		a, err := r.e.client.send(ctx, s.call, v, change{}, effect)
		if err != nil {
			return finished, err
		}
		defer a.close()
		return finished, r.e.settleBody(s.call, a)
	}
	return r.follow(ctx, s, v, sdk.JobInfoFrom(ctx).JobID != "")
}

// effectKey is the job's key for an effect. Outside a job nothing is stable,
// and two calls are two effects.
func effectKey(ctx context.Context, effect string) string {
	if sdk.JobInfoFrom(ctx).JobID != "" {
		return sdk.EffectKey(ctx, effect)
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return hex.EncodeToString(b[:])
}

// settleBody reads the rest of an answer that was good, and judges it when
// rules look into it.
func (e *engine) settleBody(c *call, a *answer) error {
	if a.body == nil {
		return nil
	}
	v, err := e.readWhole(a)
	if err != nil {
		return nil //nolint:nilerr // the status said done; nobody needs the words
	}
	return e.client.bodyRules(c, a, v)
}

// readWhole reads a small answer; one without a body is nil.
func (e *engine) readWhole(a *answer) (any, error) {
	if a.body == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(a.body, e.maxRecord+1))
	switch {
	case err != nil:
		return nil, sdk.WithCode(sdk.Unavailable, errCut)
	case int64(len(raw)) > e.maxRecord:
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, errBigItem))
	case len(raw) == 0:
		return nil, nil
	}
	v, err := decodeValue(raw)
	if err != nil {
		return nil, sdk.WithCode(sdk.Unavailable, errNotJSON)
	}
	return v, nil
}

// follow starts an asynchronous act, or finds the one that an earlier attempt
// started, and looks how it stands.
func (r *run) follow(ctx context.Context, s *step, v values, inJob bool) (time.Duration, error) {
	e, as := r.e, s.async
	h, known, err := e.handles.get(v.effect)
	if err != nil {
		return finished, err
	}
	if !known && as.find != nil {
		if h, known, err = r.findWork(ctx, as, v); err != nil {
			return finished, err
		}
	}
	if !known {
		h, err = r.start(ctx, s, v)
		if err != nil || h == nil {
			return finished, err
		}
	}
	if inJob {
		// A crash before this line starts the work anew under the same key.
		if err := e.handles.put(v.effect, h); err != nil {
			return finished, err
		}
	}
	v.handle = h.Values
	after, err := r.watch(ctx, s, v, h)
	if err == nil && after == finished && inJob {
		err = e.handles.drop(v.effect)
	}
	if errors.Is(err, errLost) {
		if err := e.handles.drop(v.effect); err != nil {
			return finished, err
		}
		if as.Lost == "done" {
			return finished, nil
		}
		return finished, sdk.WithCode(sdk.Unavailable, errLost)
	}
	return after, err
}

// start sends the request that begins the work. A nil handle says that there
// is nothing to wait for.
func (r *run) start(ctx context.Context, s *step, v values) (*handle, error) {
	a, err := r.e.client.send(ctx, s.call, v, change{}, v.effect)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if a.means == "missing" {
		return nil, nil
	}
	body, err := r.e.readWhole(a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.call.label, err)
	}
	if err := r.e.client.bodyRules(s.call, a, body); err != nil {
		return nil, err
	}
	h := &handle{Started: r.now, Values: map[string]string{}}
	missing := false
	for name, path := range s.async.Handle {
		value, ok := scalarText(at(body, path))
		if !ok || value == "" {
			missing = true
			continue
		}
		h.Values[name] = value
	}
	switch {
	case missing && a.means == "done" && a.status != 202:
		return nil, nil // finished on the spot
	case missing:
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration,
			fmt.Errorf("%s: the answer has not what handle names", s.call.label)))
	}
	h.Next = h.Started.Add(time.Duration(s.async.Wait))
	return h, nil
}

// findWork asks the system for work that was started earlier and whose answer
// never arrived.
func (r *run) findWork(ctx context.Context, as *async, v values) (*handle, bool, error) {
	var found *handle
	err := r.e.list(ctx, as.find.call, as.find.list, v, func(_ json.RawMessage, rec any) error {
		h := &handle{Started: r.now, Next: r.now, Values: map[string]string{}}
		for name, path := range as.Handle {
			// The list shows the record itself, the start's answer may wrap it.
			value, _ := scalarText(at(rec, path))
			if value == "" {
				value, _ = scalarText(at(rec, lastWord(path)))
			}
			if value == "" {
				return nil
			}
			h.Values[name] = value
		}
		found = h
		return nil
	})
	return found, found != nil, err
}

// errLost says that the system no longer knows the work.
var errLost = errors.New("the system no longer knows the work it accepted; it is started again")

// watch looks at started work, for as long as the specification lets an
// attempt stay.
func (r *run) watch(ctx context.Context, s *step, v values, h *handle) (time.Duration, error) {
	as := s.async
	if as.poll == nil {
		if left := h.Started.Add(time.Duration(as.Assume)).Sub(r.e.now()); left > 0 {
			return left, nil
		}
		return finished, nil
	}
	every := time.Duration(as.Every)
	if every == 0 {
		every = 5 * time.Second
	}
	leave := r.e.now().Add(time.Duration(as.Hold))
	if left := h.Next.Sub(r.e.now()); left > 0 {
		if h.Next.After(leave) {
			return left, nil
		}
		if err := sleep(ctx, left); err != nil {
			return finished, err
		}
	}
	for {
		done, after, err := r.look(ctx, s, v)
		if err != nil || done {
			return finished, err
		}
		pause := max(after, every)
		if r.e.now().Add(pause).After(leave) {
			return pause, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return finished, err
		}
	}
}

// look asks once.
func (r *run) look(ctx context.Context, s *step, v values) (done bool, after time.Duration, err error) {
	as := s.async
	a, err := r.e.client.send(ctx, as.poll, v, change{}, "")
	if err != nil {
		return false, 0, err
	}
	defer a.close()
	if a.means == "missing" {
		return false, 0, errLost
	}
	body, err := r.e.readWhole(a)
	if err != nil {
		return false, 0, fmt.Errorf("%s: %w", as.poll.label, err)
	}
	if err := r.e.client.bodyRules(as.poll, a, body); err != nil {
		return false, 0, err
	}
	state, _ := scalarText(at(body, as.State))
	after, err = retryAfter(a.header, time.Now())
	if err != nil {
		after = 0
	}
	switch {
	case slices.Contains(as.Done, state):
		return true, 0, nil
	case slices.Contains(as.Failed, state):
		// Forgotten, so that a retry by an operator starts again.
		if err := r.e.handles.drop(v.effect); err != nil {
			return false, 0, err
		}
		return false, 0, sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("%s: the system says the work failed", as.poll.label)))
	case state == "" || len(as.Pending) > 0 && !slices.Contains(as.Pending, state):
		return false, 0, sdk.Permanent(sdk.WithCode(sdk.Configuration,
			fmt.Errorf("%s: the answer's %s is none that the specification knows", as.poll.label, as.State)))
	}
	return false, after, nil
}
