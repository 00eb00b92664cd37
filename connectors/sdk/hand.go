package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// hand is the jobs taken off the bus and not settled. It keeps them from being
// delivered elsewhere and says how many more may be taken.
type hand struct {
	max int

	mu      sync.Mutex
	held    map[delivery]*heldJob
	jobs    map[string]bool
	ackWait time.Duration
	all     sync.WaitGroup
	freed   chan struct{} // holds a token after something was released
}

// heldJob is one delivery in hand.
type heldJob struct {
	msg   jetstream.Msg
	jobID string
	// deliveries is how often it was delivered, this time included.
	deliveries uint64
	again      bool // it was delivered before
}

// delivery tells messages apart. A bus that lost its disk counts from 1 again,
// so the number alone does not.
type delivery struct {
	sequence uint64
	stored   int64
}

func deliveryOf(meta *jetstream.MsgMetadata) delivery {
	return delivery{sequence: meta.Sequence.Stream, stored: meta.Timestamp.UnixNano()}
}

func newHand(most int) *hand {
	return &hand{max: most, held: map[delivery]*heldJob{}, jobs: map[string]bool{}, ackWait: 30 * time.Second, freed: make(chan struct{}, 1)}
}

func (h *hand) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held)
}

func (h *hand) setAckWait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d > 0 {
		h.ackWait = d
	}
}

// hold takes a delivery, or returns nil when the same message is in hand.
func (h *hand) hold(meta *jetstream.MsgMetadata, msg jetstream.Msg) *heldJob {
	id := deliveryOf(meta)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[id] != nil {
		return nil
	}
	job := &heldJob{msg: msg, deliveries: meta.NumDelivered, again: meta.NumDelivered > 1}
	h.held[id] = job
	h.all.Add(1)
	return job
}

// claim reserves a job id for a delivery; false means that another attempt of
// the same job is being worked on.
func (h *hand) claim(job *heldJob, jobID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs[jobID] {
		return false
	}
	h.jobs[jobID] = true
	job.jobID = jobID
	return true
}

func (h *hand) release(id delivery) {
	h.mu.Lock()
	if job := h.held[id]; job != nil {
		delete(h.jobs, job.jobID)
		delete(h.held, id)
		h.all.Done()
	}
	h.mu.Unlock()
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// room waits until at least half the hand is free and returns how much is:
// asking the bus for jobs one by one would cost a round trip for each.
func (h *hand) room(ctx context.Context) (int, error) {
	for {
		if free := h.max - h.len(); free >= (h.max+1)/2 {
			return free, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-h.freed:
		}
	}
}

// wait returns when the hand is empty. Nothing may be taken meanwhile.
func (h *hand) wait() { h.all.Wait() }

// keepAlive tells the bus, well inside the time it would wait, that everything
// in hand is being worked on.
func (h *hand) keepAlive(ctx context.Context) {
	for {
		h.mu.Lock()
		pause := h.ackWait / 3
		h.mu.Unlock()
		if !sleep(ctx, pause) {
			return
		}
		h.mu.Lock()
		msgs := make([]jetstream.Msg, 0, len(h.held))
		for _, job := range h.held {
			msgs = append(msgs, job.msg)
		}
		h.mu.Unlock()
		for _, msg := range msgs {
			// It may have been settled meanwhile, and a lost sign of life is
			// made good by the next one.
			_ = msg.InProgress()
		}
	}
}

// sleep waits and reports whether it was for all of d.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
