package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// events opens a stream and returns its lines, until it ends.
func (d *desk) events(t *testing.T, base, path string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v", res.StatusCode, res.Header)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(res.Body); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	return lines
}

// awaitOpen waits until a stream is open.
func awaitOpen(t *testing.T, lines <-chan string) {
	t.Helper()
	awaitLine(t, lines, "retry", func(line string) bool { return strings.HasPrefix(line, "retry: ") })
}

// await reads lines until one is want.
func await(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	awaitLine(t, lines, want, func(line string) bool { return line == want })
}

func awaitLine(t *testing.T, lines <-chan string, want string, is func(string) bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case line, open := <-lines:
			if is(line) {
				return
			}
			if !open {
				t.Fatalf("the stream ended before %q", want)
			}
		case <-late:
			t.Fatalf("no %q", want)
		}
	}
}

func (d *desk) hint(t *testing.T, subject string, ids ...request.ID) {
	t.Helper()
	body, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.bus.Conn.Publish(subject, body); err != nil {
		t.Fatal(err)
	}
}

func TestLiveUpdate(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, made{right: request.Delete, state: request.Accepted, received: now})
	path := "/requests/" + string(id)
	d.fetch(t, path).says(t, "Accepted")
	one, all := d.events(t, d.server.URL, path+"/events"), d.events(t, d.server.URL, "/events")
	awaitOpen(t, one)
	awaitOpen(t, all)
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, false, func(snaps []*store.Snapshot) error {
		snaps[0].Changed = true
		return snaps[0].Request.Move(request.Running)
	})
	if err != nil {
		t.Fatal(err)
	}
	d.hint(t, wire.HintSubject(Name), request.NewID(), id)
	await(t, one, "event: change")
	await(t, all, "event: change")
	live := d.fetch(t, path+"/live")
	live.says(t, "Running")
	if strings.Contains(live.text(), "Accepted") {
		t.Error("the fragment shows how it was")
	}
	// What came in at intake is told to the coordinator, without a name.
	if err := d.bus.Conn.Publish(wire.HintSubject("coordinator"), nil); err != nil {
		t.Fatal(err)
	}
	await(t, all, "event: change")
	// A hint that is none does no harm.
	if err := d.bus.Conn.Publish(wire.HintSubject(Name), []byte("{")); err != nil {
		t.Fatal(err)
	}
	d.hint(t, wire.HintSubject(Name), id)
	await(t, one, "event: change")
}

func TestHubTellsWhomItConcerns(t *testing.T) {
	h := newHub()
	a, b := request.NewID(), request.NewID()
	ofA, ofB, ofAll := h.join(a), h.join(b), h.join("")
	for range 3 {
		h.tell([]request.ID{a})
	}
	if len(ofA.wake) != 1 || len(ofB.wake) != 0 || len(ofAll.wake) != 1 {
		t.Errorf("woken: %d, %d, %d", len(ofA.wake), len(ofB.wake), len(ofAll.wake))
	}
	h.leave(ofA)
	<-ofAll.wake
	h.tell(nil)
	if len(ofB.wake) != 0 || len(ofAll.wake) != 1 {
		t.Errorf("woken by no name: %d, %d", len(ofB.wake), len(ofAll.wake))
	}
	for len(h.streams) < maxStreams {
		h.join(a)
	}
	if h.join(a) != nil {
		t.Error("there is no end of streams")
	}
}

// client is a reader at the end of a connection, which may stop reading.
type client struct {
	mu       sync.Mutex
	header   http.Header
	got      []string
	stuck    bool
	deadline time.Time
}

func (c *client) Header() http.Header { return c.header }
func (c *client) WriteHeader(int)     {}
func (c *client) Flush()              {}
func (c *client) SetWriteDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	stuck := c.stuck
	c.mu.Unlock()
	if stuck {
		time.Sleep(time.Until(c.deadline)) // in a bubble: the clock is not ours
		return 0, os.ErrDeadlineExceeded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, string(p))
	return len(p), nil
}

func (c *client) changes() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.got {
		n += strings.Count(text, "event: change\n")
	}
	return n
}

func (c *client) beats() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.got {
		n += strings.Count(text, ":\n\n")
	}
	return n
}

// openStream runs a stream of the room in a bubble, until done is closed.
func openStream(t *testing.T, r *Room, life time.Duration) (c *client, done chan struct{}) {
	t.Helper()
	c = &client{header: http.Header{}}
	ctx := access.WithEnd(t.Context(), time.Now().Add(life))
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil)
	done = make(chan struct{})
	go func() {
		defer close(done)
		r.allEvents(c, req)
	}()
	synctest.Wait()
	return c, done
}

func ended(done chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func bare() *Room { return &Room{hub: newHub(), config: Config{Now: time.Now}} }

func TestEventsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bare()
		c, done := openStream(t, r, time.Hour)
		for range 100 {
			r.hub.tell(nil)
		}
		synctest.Wait()
		if n := c.changes(); n != 1 {
			t.Errorf("told of %d changes at once, want 1", n)
		}
		for range 100 { // what comes during the pause is told after it, once
			r.hub.tell(nil)
		}
		time.Sleep(pause + time.Millisecond)
		synctest.Wait()
		if n := c.changes(); n != 2 {
			t.Errorf("told of %d changes, want 2", n)
		}
		r.hub.close()
		if !ended(done) || len(r.hub.streams) != 0 {
			t.Error("the stream outlives the console")
		}
	})
}

func TestHeartbeatAndEndOfSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bare()
		c, done := openStream(t, r, 10*heartbeat+time.Second)
		time.Sleep(10 * heartbeat)
		if synctest.Wait(); c.beats() != 10 || ended(done) {
			t.Errorf("%d heartbeats, want 10", c.beats())
		}
		time.Sleep(time.Second)
		if !ended(done) {
			t.Error("the stream outlives its session")
		}
	})
}

func TestSlowClientIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bare()
		slow, gone := openStream(t, r, time.Hour)
		quick, done := openStream(t, r, time.Hour)
		slow.mu.Lock()
		slow.stuck = true
		slow.mu.Unlock()
		for range 20 {
			r.hub.tell(nil)
			time.Sleep(time.Second)
		}
		if !ended(gone) || len(r.hub.streams) != 1 {
			t.Error("a client that does not read is kept")
		}
		if n := quick.changes(); n != 20 || ended(done) {
			t.Errorf("the other client was told of %d changes, want 20", n)
		}
		r.hub.close()
		ended(done)
	})
}

func TestStreamEndsWhenTheServerStops(t *testing.T) {
	d := newDesk(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &room.Server{Mount: map[string]http.Handler{"/": d.room.Handler()}}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	base := "http://" + listener.Addr().String() // the same host: cookies know no ports
	lines := d.events(t, base, "/events")
	awaitOpen(t, lines)
	d.hint(t, wire.HintSubject(Name), request.NewID())
	await(t, lines, "event: change")
	stop()
	late := time.After(5 * time.Second)
	for open := true; open; {
		select {
		case _, open = <-lines:
		case <-late:
			t.Fatal("the stream goes on")
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// After a restart pages do not come back all in one moment.
func TestPagesComeBackApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bare()
		waits := make(map[string]int)
		for range 200 {
			c, _ := openStream(t, r, time.Hour)
			c.mu.Lock()
			waits[c.got[0]]++
			c.mu.Unlock()
		}
		r.hub.close()
		synctest.Wait()
		if len(waits) < 100 {
			t.Errorf("200 pages come back at %d different times", len(waits))
		}
		for text := range waits {
			var ms int
			if _, err := fmt.Sscanf(text, "retry: %d\n\n", &ms); err != nil || ms < 1000 || ms >= 4000 {
				t.Errorf("a page is told %q", text)
			}
		}
	})
}
