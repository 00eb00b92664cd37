package coordinator

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
)

// arrival is one message of the evidence stream and the record it brought; nil
// for one that concerns others or was refused.
type arrival struct {
	msg jetstream.Msg
	rec *wire.Record
}

// heldBack are located records that wait, unacknowledged, for the outcome of
// their job. A located record matters only when the outcome does not come; most
// come at once, and writing both together halves the work. What is held when
// the process dies is delivered again.
type heldBack struct {
	mu    sync.Mutex
	byJob map[string][]arrival
	count int
	since map[string]time.Time
}

const (
	holdFor  = time.Second
	holdMost = 8192
)

// sort holds the located records of a batch back whose outcome is not in it,
// and returns the rest, with what was held for it.
func (h *heldBack) sort(batch []jetstream.Msg, records []*wire.Record, now time.Time) []arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byJob == nil {
		h.byJob, h.since = make(map[string][]arrival), make(map[string]time.Time)
	}
	out := make([]arrival, 0, len(batch))
	for i, rec := range records {
		if rec == nil || rec.Type != wire.RecordLocated {
			out = append(out, arrival{batch[i], rec})
			continue
		}
		job := rec.JobID()
		if len(h.byJob[job]) == 0 {
			h.since[job] = now
		}
		h.byJob[job] = append(h.byJob[job], arrival{batch[i], rec})
		h.count++
	}
	for _, a := range slices.Clip(out) {
		if a.rec != nil {
			out = append(out, h.release(a.rec.JobID())...)
		}
	}
	if h.count > holdMost {
		out = append(out, h.expired(now.Add(holdFor))...)
	}
	return out
}

// release lets go of a job's records.
func (h *heldBack) release(job string) []arrival {
	held := h.byJob[job]
	h.count -= len(held)
	delete(h.byJob, job)
	delete(h.since, job)
	return held
}

// expired lets go of what was held for long enough at the given time.
func (h *heldBack) expired(now time.Time) []arrival {
	var out []arrival
	for job, since := range h.since {
		if now.Sub(since) >= holdFor {
			out = append(out, h.release(job)...)
		}
	}
	return out
}

// takeExpired is expired with the lock.
func (h *heldBack) takeExpired(now time.Time) []arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.expired(now)
}

// releaseLoop applies located records whose outcome is long in coming, so that
// what was found is known although nothing was answered.
func (r *Room) releaseLoop(ctx context.Context) error {
	for room.Sleep(ctx, holdFor/2) {
		arrived := r.held.takeExpired(time.Now())
		for len(arrived) > 0 {
			n := min(batchSize, len(arrived))
			if err := r.take(ctx, arrived[:n]); err != nil && ctx.Err() == nil {
				r.Logger.WarnContext(ctx, "taking located records; they will come again", slog.Any("error", err))
			}
			arrived = arrived[n:]
		}
	}
	return nil
}

// handBack asks for messages again that could not be taken.
func handBack(arrived []arrival) {
	for _, a := range arrived {
		_ = a.msg.NakWithDelay(time.Second) // without an answer they come again too
	}
}
