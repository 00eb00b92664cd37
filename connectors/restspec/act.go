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

// actStep does one step for every target. What one record refuses for good
// does not spare the others; what may pass ends the attempt.
func (r *run) actStep(ctx context.Context, op string, s *step) error {
	var refused error
	wait := finished
	for _, v := range r.effects(op, s) {
		if err := ctx.Err(); err != nil {
			return err
		}
		after, err := r.actOne(ctx, s, v)
		switch {
		case err == nil && after > finished:
			if wait == finished || after < wait {
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
	if wait > finished {
		return sdk.NotYet(wait, errAccepted)
	}
	return nil
}

// effects are what a step is to do: once for each target or, when it corrects,
// once for each correction of each target.
func (r *run) effects(op string, s *step) []values {
	var all []values
	for _, t := range r.targets(s) {
		name := op + "\x00" + s.name + "\x00" + t.id()
		if len(s.corrects) == 0 {
			all = append(all, values{r: r, t: t, effect: r.effectKey(name)})
			continue
		}
		for i := range r.corrections {
			if c := &r.corrections[i]; slices.Contains(s.corrects, c.Field) {
				all = append(all, values{r: r, t: t, correction: c, effect: r.effectKey(name + "\x00" + c.Field)})
			}
		}
	}
	return all
}

const finished = time.Duration(-1)

// actOne does one step for one target. It returns finished, or after how long
// to look again.
func (r *run) actOne(ctx context.Context, s *step, v values) (time.Duration, error) {
	if s.async == nil {
		_, err := r.begin(ctx, s, v)
		return finished, err
	}
	return r.follow(ctx, s, v, r.info.JobID != "")
}

// begin sends a step's request. Of a step whose work takes its time it returns
// how to find the work again, or nil when there is nothing to wait for.
func (r *run) begin(ctx context.Context, s *step, v values) (*handle, error) {
	if s.async != nil {
		return r.start(ctx, s, v)
	}
	a, err := r.e.client.send(ctx, s.call, v, change{people: max(1, len(v.batch))}, v.effect)
	if err != nil {
		return nil, err
	}
	defer a.close()
	return nil, r.e.settleBody(s.call, a)
}

// effectKey is the job's key for an effect. Outside a job nothing is stable,
// and two calls are two effects.
func (r *run) effectKey(effect string) string {
	if r.info.JobID != "" {
		return sdk.EffectKey(sdk.WithJobInfo(context.Background(), r.info), effect)
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
	if known && h.Over {
		r.since(h.Started)
		return finished, nil
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
	after, over, err := r.conclude(ctx, s, v, h)
	if over {
		r.since(h.Started)
		if inJob {
			if err := e.handles.end(v.effect, h, s.blind && err == nil); err != nil {
				return finished, err
			}
		}
	}
	return after, err
}

// conclude looks at started work and says after how long to look again, or
// that it is over, one way or the other, and can be forgotten.
func (r *run) conclude(ctx context.Context, s *step, v values, h *handle) (after time.Duration, over bool, err error) {
	after, err = r.watch(ctx, s, v, h)
	switch {
	case errors.Is(err, errLost) && s.async.Lost == "done":
		return finished, true, nil
	case errors.Is(err, errLost):
		return finished, true, sdk.WithCode(sdk.Unavailable, errLost)
	case errors.Is(err, errWorkFailed): // forgotten, so that a retry by an operator starts again
		return finished, true, err
	case err != nil:
		return finished, false, err
	}
	return after, after == finished, nil
}

// start sends the request that begins the work. A nil handle says that there
// is nothing to wait for.
func (r *run) start(ctx context.Context, s *step, v values) (*handle, error) {
	a, err := r.e.client.send(ctx, s.call, v, change{people: max(1, len(v.batch))}, v.effect)
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
	h := r.newHandle()
	missing := false
	for name, path := range s.async.Handle {
		if name == "started" {
			continue
		}
		value := firstAt(body, path)
		if value == "" {
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

// newHandle names work that starts now. Besides the values of the answer it
// has "started", the day as yyyy-mm-dd.
func (r *run) newHandle() *handle {
	return &handle{Started: r.now, Next: r.now, Values: map[string]string{"started": r.now.UTC().Format(time.DateOnly)}}
}

// findWork asks the system for work that was started earlier and whose answer
// never arrived.
func (r *run) findWork(ctx context.Context, as *async, v values) (*handle, bool, error) {
	var found *handle
	err := r.e.list(ctx, as.find.call, as.find.list, v, func(_ json.RawMessage, rec any) error {
		h := r.newHandle()
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
