package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

const (
	defaultWitnessTimeout = 10 * time.Second
	// A witness that does not answer is asked again after a second, and then
	// less and less often.
	firstRetry, longRetry = time.Second, time.Minute
	// maxAsks bounds the questions about one head: the first, one after each
	// answer of where the witness is, which moves on when others ask it too.
	maxAsks = 4
	// Who takes evidence away waits so long for a quorum over the newest head.
	quorumWait = 3 * time.Second
	// lookBack is how many cosigned heads are looked at for one with a quorum.
	lookBack = 64
)

// errWitness says that a witness knows another history of this log.
var errWitness = errors.New("a witness knows another history of this log")

// witnesses has each head that is signed cosigned by those of a policy.
type witnesses struct {
	room   *Room
	policy *cosign.Policy
	client *http.Client

	mu      sync.Mutex // guards what follows
	newest  ledger.SignedHead
	changed chan struct{} // closed at every change, and replaced
	states  []witnessState
	quorum  ledger.SignedHead // the newest head with a quorum, with its cosignatures
	at      time.Time         // when the quorum was reached
	stopped *incident         // why the log does not go on
}

// witnessState is what is known of one witness.
type witnessState struct {
	asked   bool  // since the log was opened: it may have seen more than is known here
	size    int64 // of the newest head that it cosigned; -1 for none
	time    time.Time
	trouble string // why it does not cosign the newest, in words; "" when it may yet
}

func newWitnesses(r *Room) (*witnesses, error) {
	policy := r.config.Policy
	if policy == nil {
		return nil, nil
	}
	if !policy.Speaks(r.vkey) {
		return nil, fmt.Errorf("audit: the policy of witnesses names logs, and this one is not among them: %s", r.vkey)
	}
	if !policy.Required() {
		return nil, errors.New(`audit: the policy of witnesses says "quorum none"; leave the policy out instead`)
	}
	for _, w := range policy.Witnesses {
		if w.URL == "" {
			return nil, fmt.Errorf("audit: the policy of witnesses has no address for witness %s", w.Name)
		}
	}
	timeout := r.config.WitnessTimeout
	if timeout <= 0 {
		timeout = defaultWitnessTimeout
	}
	w := &witnesses{room: r, policy: policy, client: cosign.Client(timeout), changed: make(chan struct{}), states: make([]witnessState, len(policy.Witnesses))}
	for i := range w.states {
		w.states[i].size = -1
	}
	return w, nil
}

// begin takes up what is kept in the database, and refuses to go on with a
// history that a witness refused.
func (w *witnesses) begin(ctx context.Context, l *ledger.Log) error {
	if err := w.refused(ctx, l); err != nil {
		return err
	}
	w.mu.Lock()
	w.newest, w.quorum, w.at = ledger.SignedHead{}, ledger.SignedHead{}, time.Time{}
	w.mu.Unlock()
	signed := l.Signed()
	for i, one := range w.policy.Witnesses {
		last, err := l.LastCosigned(ctx, one.Key)
		if err != nil {
			return err
		}
		state := witnessState{size: -1}
		if last != nil && last.Size <= signed.Size {
			state.size, state.time = last.Size, last.Time
		}
		w.mu.Lock()
		w.states[i] = state
		w.mu.Unlock()
	}
	sizes, err := l.CosignedSizes(ctx, signed.Size, lookBack)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		if held, err := w.settle(ctx, l, size); held || err != nil {
			return err
		}
	}
	return nil
}

// settle puts the kept cosignatures on the head of a size and notes it when they
// are a quorum.
func (w *witnesses) settle(ctx context.Context, l *ledger.Log, size int64) (bool, error) {
	head, err := l.HeadOf(ctx, size)
	if err != nil {
		return false, err
	}
	kept, err := l.Cosignatures(ctx, size)
	if err != nil {
		return false, err
	}
	var lines strings.Builder
	var at time.Time
	for _, one := range w.policy.Witnesses {
		for _, c := range kept {
			if c.Witness == one.Key {
				lines.WriteString(c.Line)
				at = latest(at, c.Time)
			}
		}
	}
	head.Note = append(slices.Clone(head.Note), lines.String()...)
	if _, quorum, err := w.policy.Check(head.Note); err != nil || !quorum {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quorum.Note == nil || size >= w.quorum.Size {
		w.quorum, w.at = head, at
	}
	w.touch()
	return true, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// touch wakes all who wait for a change. w.mu is held.
func (w *witnesses) touch() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// publish has a head cosigned. It waits for nobody.
func (w *witnesses) publish(head ledger.SignedHead) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest.Note == nil || head.Size > w.newest.Size {
		w.newest = head
		w.touch()
	}
}

// run asks every witness, each at its own pace, until ctx ends or one of them
// knows another history.
func (w *witnesses) run(ctx context.Context, l *ledger.Log) error {
	w.publish(l.Signed())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range w.policy.Witnesses {
		all.Go(func() {
			if err := w.follow(ctx, l, i); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errWitness) {
		return cause
	}
	return nil
}

// follow has one witness cosign the newest head, again and again.
func (w *witnesses) follow(ctx context.Context, l *ledger.Log, i int) error {
	wait := firstRetry
	for {
		head, changed := w.target(i)
		var retry <-chan time.Time
		if head.Note != nil {
			err := w.cosign(ctx, l, i, head)
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, errWitness) {
				return err
			}
			w.note(ctx, i, err)
			if err == nil {
				wait = firstRetry
				continue
			}
			// What the other witnesses do is no reason to ask this one sooner.
			changed = nil
			retry, wait = time.After(wait), min(2*wait, longRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
	}
}

// target is the head that a witness has yet to cosign, or none, and a channel
// that is closed when that may have changed.
func (w *witnesses) target(i int) (ledger.SignedHead, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A log without leaves has nothing to be witnessed.
	if w.newest.Size == 0 || w.states[i].asked && w.states[i].size >= w.newest.Size {
		return ledger.SignedHead{}, w.changed
	}
	return w.newest, w.changed
}

// note keeps and tells what came of asking a witness.
func (w *witnesses) note(ctx context.Context, i int, err error) {
	name, trouble := w.policy.Witnesses[i].Name, ""
	if err != nil {
		trouble = err.Error()
	}
	w.mu.Lock()
	before := w.states[i].trouble
	w.states[i].trouble = trouble
	lag := w.newest.Size - max(w.states[i].size, 0)
	w.mu.Unlock()
	w.room.metrics.witnessed(ctx, name, lag, err == nil)
	switch {
	case err != nil && before == "":
		w.room.logger.Warn("a witness does not cosign; the log goes on without it", "witness", name, "error", err)
	case err == nil && before != "":
		w.room.logger.Info("a witness cosigns again", "witness", name)
	}
}

// cosign asks a witness until it has cosigned the head, or a newer one.
func (w *witnesses) cosign(ctx context.Context, l *ledger.Log, i int, head ledger.SignedHead) error {
	one := w.policy.Witnesses[i]
	w.mu.Lock()
	old := max(w.states[i].size, 0)
	w.mu.Unlock()
	var err error
	for range maxAsks {
		var proof tlog.TreeProof
		if proof, err = l.Prover(ctx, head).Consistency(ledger.SignedHead{Size: old}); err != nil {
			return err
		}
		var seal *cosign.Seal
		if seal, err = one.Ask(ctx, w.client, old, proof, head.Note); err == nil {
			return w.keep(ctx, l, i, head, seal)
		}
		if errors.Is(err, cosign.ErrFork) {
			return w.stop(one, head, old, "fork")
		}
		ahead, ok := errors.AsType[*cosign.AheadError](err)
		if !ok {
			return err
		}
		if old = ahead.Size; old <= head.Size {
			continue
		}
		// The witness saw more than this head: there is a newer one, or the
		// leaves are gone.
		if head, err = l.Checkpoint(ctx); err != nil {
			return err
		}
		if old > head.Size {
			return w.stop(one, head, old, "rolled_back")
		}
	}
	return err
}

// keep keeps a cosignature. A crash before it is harmless: the witness says where
// it is, and signs the same head again.
func (w *witnesses) keep(ctx context.Context, l *ledger.Log, i int, head ledger.SignedHead, seal *cosign.Seal) error {
	if err := l.Cosign(ctx, ledger.Cosignature{Size: head.Size, Witness: seal.Witness.Key, Line: seal.Line, Time: seal.Time}); err != nil {
		return err
	}
	w.mu.Lock()
	w.states[i].asked = true
	if head.Size > w.states[i].size {
		w.states[i].size, w.states[i].time = head.Size, seal.Time
	}
	w.mu.Unlock()
	_, err := w.settle(ctx, l, head.Size)
	return err
}

// cosigned is a head that a quorum cosigned: one with all the leaves, for which it
// waits a moment, or else one with those that are needed.
func (w *witnesses) cosigned(ctx context.Context, all, needed int64) (ledger.SignedHead, bool) {
	ctx, cancel := context.WithTimeout(ctx, quorumWait)
	defer cancel()
	for {
		w.mu.Lock()
		head, changed := w.quorum, w.changed
		w.mu.Unlock()
		if head.Note != nil && head.Size >= all {
			return head, true
		}
		select {
		case <-ctx.Done():
			return head, head.Note != nil && head.Size >= needed
		case <-changed:
		}
	}
}

// report says how the witnesses stand.
func (w *witnesses) report() *auditapi.Witnesses {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := &auditapi.Witnesses{Size: w.newest.Size, Policy: string(w.policy.ForLog(w.room.vkey)), QuorumSize: -1}
	if w.quorum.Note != nil {
		out.QuorumSize, out.QuorumTime, out.Checkpoint = w.quorum.Size, w.at, string(w.quorum.Note)
	}
	for i, one := range w.policy.Witnesses {
		s := w.states[i]
		out.Witnesses = append(out.Witnesses, auditapi.Witness{
			Name: one.Name, KeyName: one.KeyName(), KeyID: one.KeyID(), Size: s.size, Time: s.time, Trouble: s.trouble,
		})
	}
	if w.stopped != nil {
		out.Incident = w.stopped.words()
	}
	return out
}
