package console

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
)

// Streams of events.
const (
	maxStreams = 1000
	// pause is the least time between two events of one stream: what changes
	// meanwhile is told once.
	pause = 250 * time.Millisecond
	// heartbeat keeps proxies from closing a quiet stream.
	heartbeat = 15 * time.Second
	// patience is how long a client may take to read an event.
	patience = 10 * time.Second
)

// A page whose stream broke comes back after a while that is its own, so that
// after a restart not all of them come in the same moment.
const (
	backLeast = time.Second
	backMost  = 4 * time.Second
)

func comeBack() time.Duration { return backLeast + rand.N(backMost-backLeast) } //nolint:gosec // it is no secret

// hub wakes the streams that a change concerns. It never waits for one: a
// stream that was woken and has not looked yet is woken already.
type hub struct {
	mu      sync.Mutex
	streams map[*stream]bool
	closed  chan struct{}
	once    sync.Once
}

// stream is one client's interest: in one request, or in all when id is empty.
type stream struct {
	id   request.ID
	wake chan struct{} // holds one
}

func newHub() *hub {
	return &hub{streams: make(map[*stream]bool), closed: make(chan struct{})}
}

// join returns nil when there are too many streams.
func (h *hub) join(id request.ID) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) >= maxStreams {
		return nil
	}
	s := &stream{id: id, wake: make(chan struct{}, 1)}
	h.streams[s] = true
	return s
}

func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
}

// tell wakes the streams of the given requests, and those of all.
func (h *hub) tell(ids []request.ID) {
	changed := make(map[request.ID]bool, len(ids))
	for _, id := range ids {
		changed[id] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if s.id != "" && !changed[s.id] {
			continue
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// tellAll wakes every stream: nobody knows what changed.
func (h *hub) tellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (h *hub) close() { h.once.Do(func() { close(h.closed) }) }

// listen hears of changes: from the coordinator, which names the requests it
// moved, and from intake, whose hints to the coordinator say that something
// came in.
func (r *Room) listen() error {
	for _, subject := range []string{wire.HintSubject(Name), wire.HintSubject("coordinator")} {
		sub, err := r.config.Conn.Subscribe(subject, r.hear)
		if err != nil {
			return fmt.Errorf("listening for changes: %w", err)
		}
		r.subs = append(r.subs, sub)
	}
	// What was told while the bus was away was not heard: then every page looks
	// again, so that none has to ask on its own.
	back := r.config.Conn.StatusChanged(nats.CONNECTED)
	go func() {
		defer r.config.Conn.RemoveStatusListener(back)
		for {
			select {
			case <-r.hub.closed:
				return
			case _, open := <-back:
				if !open {
					return
				}
				r.todays.change()
				r.hub.tellAll()
			}
		}
	}()
	return nil
}

func (r *Room) hear(m *nats.Msg) {
	var ids []request.ID
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &ids); err != nil {
			r.config.Logger.Warn("a hint is no list of requests", slog.String("subject", m.Subject))
			return
		}
	}
	r.todays.change() // before anybody comes to look
	r.hub.tell(ids)
}

func (r *Room) allEvents(w http.ResponseWriter, req *http.Request) { r.events(w, req, "") }

func (r *Room) requestEvents(w http.ResponseWriter, req *http.Request) {
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil {
		http.Error(w, "no such request", http.StatusNotFound)
		return
	}
	r.events(w, req, id)
}

// events streams server-sent events (HTML Living Standard, 9.2): "change" each
// time something did. They say no more than that; the client fetches the part
// of its page again. A client that does not read is dropped.
func (r *Room) events(w http.ResponseWriter, req *http.Request, id request.ID) {
	s := r.hub.join(id)
	if s == nil {
		http.Error(w, "too many open pages; reload to see changes", http.StatusServiceUnavailable)
		return
	}
	defer r.hub.leave(s)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	send := func(text string) bool {
		// A recorder in a test has no deadlines; the write says what matters.
		_ = rc.SetWriteDeadline(time.Now().Add(patience))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }() // the connection may serve something else next
	if !send("retry: " + strconv.FormatInt(comeBack().Milliseconds(), 10) + "\n\n") {
		return
	}
	end := access.End(req.Context())
	over := time.NewTimer(end.Sub(r.config.Now()))
	defer over.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	wake := (chan struct{})(nil) // while resting, nobody is listened to
	for {
		text := ""
		select {
		case <-req.Context().Done():
			return
		case <-room.Stopping(req.Context()):
			return
		case <-r.hub.closed:
			return
		case <-over.C:
			return
		case <-rest.C:
			wake = s.wake
		case <-beat.C:
			text = ":\n\n"
		case <-wake:
			text, wake = "event: change\ndata: change\n\n", nil
			rest.Reset(pause)
		}
		if text != "" && !send(text) {
			return
		}
	}
}
