package restspec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// errWorkFailed says that the system gave up on work it had accepted.
var errWorkFailed = errors.New("the system says the work failed")

// watch looks at started work, for as long as the specification lets an
// attempt stay.
func (r *run) watch(ctx context.Context, s *step, v values, h *handle) (time.Duration, error) {
	as := s.async
	if as.poll == nil && as.callback == nil {
		if left := h.Started.Add(time.Duration(as.Assume)).Sub(r.e.now()); left > 0 {
			return left, nil
		}
		return finished, nil
	}
	every := time.Duration(as.Every)
	if every == 0 {
		every = defaultEvery(as)
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

// defaultEvery is how long to wait between two looks when nobody says.
func defaultEvery(as *async) time.Duration {
	if as.poll == nil {
		return 10 * time.Minute // what was called back is in our own folder
	}
	return 5 * time.Second
}

// look sees how the work stands, by what the system called back or by asking.
func (r *run) look(ctx context.Context, s *step, v values) (done bool, after time.Duration, err error) {
	as := s.async
	if as.callback != nil {
		state, err := r.e.called.state(s, v.handle[as.callback.Handle])
		if err != nil {
			return false, 0, sdk.WithCode(sdk.Internal, err)
		}
		if state != "" {
			done, err := as.judge("the callback", state)
			if done || err != nil {
				return done, 0, err
			}
		}
	}
	if as.poll == nil {
		return false, 0, nil
	}
	state, after, err := r.ask(ctx, as, v)
	if err != nil {
		return false, 0, err
	}
	for _, n := range as.next {
		if slices.Contains(n.States, state) {
			a, err := r.e.client.send(ctx, n.call, v, change{}, v.effect+"-"+state)
			if err != nil {
				return false, 0, err
			}
			defer a.close()
			return false, after, r.e.settleBody(n.call, a)
		}
	}
	done, err = as.judge(as.poll.call.label, state)
	return done, after, err
}

// judge says what a state means.
func (as *async) judge(from, state string) (done bool, err error) {
	switch {
	case slices.Contains(as.Done, state):
		return true, nil
	case slices.Contains(as.Failed, state):
		return false, sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("%s: %w", from, errWorkFailed)))
	case state == "" || len(as.Pending) > 0 && !slices.Contains(as.Pending, state):
		return false, sdk.Permanent(sdk.WithCode(sdk.Configuration,
			fmt.Errorf("%s: the answer's %s is none that the specification knows", from, as.State)))
	}
	return false, nil
}

// ask asks once how work stands: by an answer of its own, or by its place in a
// list. Where the list shows several parts of it, one that is not done counts:
// the work is as far as its last part.
func (r *run) ask(ctx context.Context, as *async, v values) (state string, after time.Duration, err error) {
	poll, field := as.poll, as.State
	if poll.list.Items != "" {
		found := false
		err := r.e.list(ctx, poll.call, poll.list, v, func(_ json.RawMessage, rec any) error {
			if s, _ := scalarText(at(rec, field)); !found || !slices.Contains(as.Done, s) {
				state = s
			}
			found = true
			return nil
		})
		if err == nil && !found {
			err = errLost
		}
		return state, 0, err
	}
	a, err := r.e.client.send(ctx, poll.call, v, change{}, "")
	if err != nil {
		return "", 0, err
	}
	defer a.close()
	if a.means == "missing" {
		return "", 0, errLost
	}
	body, err := r.e.readWhole(a)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", poll.call.label, err)
	}
	if err := r.e.client.bodyRules(poll.call, a, body); err != nil {
		return "", 0, err
	}
	if after, err = retryAfter(a.header, time.Now()); err != nil {
		after = 0
	}
	state, _ = scalarText(at(body, field))
	return state, after, nil
}
