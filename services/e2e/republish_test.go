package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
)

// republisher listens to everything that is said on the bus and says it a
// second time, later messages first.
type republisher struct {
	conn *nats.Conn
	js   jetstream.JetStream

	mu      sync.Mutex
	heard   []*nats.Msg
	bySaid  map[string]int
	said    atomic.Int64
	stopped chan struct{}
}

// echoed marks the second time.
const echoed = "E2e-Echo"

var echoes = []string{"habeas.v1.job.*", "habeas.v1.evidence.*", "habeas.v1.discovered.*", wire.SubjectLogged}

func startRepublisher(t *testing.T, f *fleet) (stop func()) {
	t.Helper()
	conn, err := nats.Connect(f.natsURL, nats.UserInfo(roomsUser, f.passwords[roomsUser]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	r := &republisher{conn: conn, js: js, bySaid: map[string]int{}, stopped: make(chan struct{})}
	for _, subject := range echoes {
		if _, err := conn.Subscribe(subject, r.hear); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go r.run(ctx)
	t.Cleanup(cancel)
	return func() {
		r.settled(t)
		cancel()
		<-r.stopped
		for _, subject := range echoes {
			if r.bySaid[subject[:12]] == 0 {
				t.Errorf("no message under %s was said twice", subject)
			}
		}
		t.Logf("%d messages were said twice", r.said.Load())
	}
}

func (r *republisher) hear(m *nats.Msg) {
	if m.Header.Get(echoed) != "" {
		return
	}
	again := nats.NewMsg(m.Subject)
	again.Data = m.Data
	for key, values := range m.Header {
		// Not the message's id: the bus would know it by that.
		if key != nats.MsgIdHdr {
			again.Header[key] = values
		}
	}
	again.Header.Set(echoed, "1")
	r.mu.Lock()
	r.heard = append(r.heard, again)
	r.mu.Unlock()
}

// run says what was heard since the last time, from its end.
func (r *republisher) run(ctx context.Context) {
	defer close(r.stopped)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		batch := r.heard
		r.heard = nil
		r.mu.Unlock()
		for _, m := range slices.Backward(batch) {
			if _, err := r.js.PublishMsg(ctx, m); err != nil {
				return
			}
			r.said.Add(1)
			r.bySaid[m.Subject[:12]]++
		}
	}
}

// settled waits until nobody has anything left to read.
func (r *republisher) settled(t *testing.T) {
	t.Helper()
	eventually(t, patience, "reading everything", func() error {
		r.mu.Lock()
		left := len(r.heard)
		r.mu.Unlock()
		if left > 0 {
			return fmt.Errorf("%d messages are to be said again", left)
		}
		for _, stream := range []string{wire.StreamJobs, wire.StreamEvidence, wire.StreamDiscovered, wire.StreamEvents} {
			s, err := r.js.Stream(t.Context(), stream)
			if err != nil {
				return err
			}
			consumers := s.ListConsumers(t.Context())
			for info := range consumers.Info() {
				if info.NumPending > 0 || info.NumAckPending > 0 {
					err = errors.Join(err, fmt.Errorf("%s has %d to read and %d unanswered", info.Name, info.NumPending, info.NumAckPending))
				}
			}
			if err := errors.Join(err, consumers.Err()); err != nil {
				return err
			}
		}
		return nil
	})
}
