package sdk

import (
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// codeWithdrawn answers for a job whose request was stopped before it acted.
const codeWithdrawn = "withdrawn"

// mostWithdrawn bounds how many withdrawn jobs are remembered.
const mostWithdrawn = 10_000

// withdrawn remembers the jobs that were taken back, the last ones of many.
type withdrawn struct {
	mu   sync.Mutex
	ids  map[string]struct{}
	ring []string
	next int
}

func (w *withdrawn) add(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ids == nil {
		w.ids = make(map[string]struct{})
	}
	for _, id := range ids {
		if _, known := w.ids[id]; known {
			continue
		}
		if len(w.ring) < mostWithdrawn {
			w.ring = append(w.ring, id)
		} else {
			delete(w.ids, w.ring[w.next])
			w.ring[w.next] = id
			w.next = (w.next + 1) % mostWithdrawn
		}
		w.ids[id] = struct{}{}
	}
}

func (w *withdrawn) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.ids[id]
	return ok
}

// listenForWithdrawn hears of withdrawn jobs until the returned function is
// called. Not hearing of one costs nothing but work nobody wants any more.
func (w *worker) listenForWithdrawn() (stop func()) {
	sub, err := w.Conn.Subscribe(wire.WithdrawnSubject(w.Manifest.Name), func(m *nats.Msg) {
		w.withdrawn.add(strings.Fields(string(m.Data)))
	})
	if err != nil {
		w.Logger.Warn("not hearing of withdrawn jobs", "error", err)
		return func() {}
	}
	return func() { _ = sub.Unsubscribe() } // the connection may be closed already
}

// takenBack answers for a job that was withdrawn before it acted, or is nil.
func (w *worker) takenBack(t *task) *habeasv1.Outcome {
	if !w.withdrawn.has(t.job.GetJobId()) || t.prior != nil {
		return nil // once it may have acted, how it ended is to be said
	}
	return failedOutcome(codeWithdrawn, true, "the request was stopped before anything was done")
}
