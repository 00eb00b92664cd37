package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// Whoever asks gets something that began after the last change they can know of,
// and computations are few, however many ask.
func TestSharing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sharing[int64]{age: time.Second, rest: 250 * time.Millisecond}
		var world, computed atomic.Int64
		compute := func(context.Context) (int64, error) {
			computed.Add(1)
			v := world.Load()
			time.Sleep(50 * time.Millisecond) // in a bubble: the clock is not ours
			return v, nil
		}
		get := func() int64 {
			v, err := s.get(t.Context(), compute)
			if err != nil {
				t.Error(err)
			}
			return v
		}
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { get() })
		}
		all.Wait()
		if n := computed.Load(); n != 1 {
			t.Errorf("200 at once: computed %d times", n)
		}
		// Changes every 10 ms for two seconds, and 200 who ask after each that they
		// hear of: nobody gets what is older than that.
		for range 200 {
			all.Go(func() {
				for range 20 {
					known := world.Load()
					if v := get(); v < known {
						t.Errorf("got %d and knew of %d", v, known)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			world.Add(1)
			s.change()
		}
		begun := time.Now()
		all.Wait()
		if most := 2 + int64((2*time.Second+time.Since(begun))/s.rest); computed.Load() > 1+most {
			t.Errorf("computed %d times, want at most %d", computed.Load(), 1+most)
		}
		if v := get(); v != 200 {
			t.Errorf("at last %d", v)
		}
		// Without a change it is good for as long as it may be, and not longer.
		s.change()
		get()
		n := computed.Load()
		time.Sleep(900 * time.Millisecond)
		if get(); computed.Load() != n {
			t.Error("computed again too early")
		}
		time.Sleep(200 * time.Millisecond)
		if get(); computed.Load() != n+1 {
			t.Error("not computed again")
		}
	})
}

// What failed is not handed out again, and who stops waiting stops.
func TestSharingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sharing[int]{age: time.Hour}
		gone := errors.New("gone")
		if _, err := s.get(t.Context(), func(context.Context) (int, error) { return 0, gone }); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		slow := func(ctx context.Context) (int, error) {
			time.Sleep(time.Minute)
			return 7, ctx.Err()
		}
		if _, err := s.get(ctx, slow); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if v, err := s.get(t.Context(), slow); v != 7 || err != nil { // the same one, which somebody else began
			t.Errorf("%d, %v", v, err)
		}
	})
}

// counting counts how often a day is read.
type counting struct {
	*litestore.Store
	days atomic.Int64
}

func (c *counting) Standing(ctx context.Context, now, soon time.Time) (store.Standing, error) {
	c.days.Add(1)
	return c.Store.Standing(ctx, now, soon)
}

// shows reports whether what a page says has a text.
func shows(body, want string) bool {
	doc, err := html.Parse(strings.NewReader(body))
	return err == nil && strings.Contains(textOf(doc), want)
}

// Two hundred pages of today that are told of a change cost what one costs, and
// all show it.
func TestTodayIsReadOnceForAll(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	s := &counting{Store: d.store}
	d.room.config.Store = s
	d.room.todays.age, d.room.todays.rest = time.Hour, 0
	d.fetch(t, "/today").says(t, "Open 9")
	handler := d.room.Handler()
	all := func(want string) {
		t.Helper()
		where, err := url.Parse(d.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		cookies := d.client.Jar.Cookies(where)
		var pages sync.WaitGroup
		for range 200 {
			pages.Go(func() {
				req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/today/live", nil)
				for _, c := range cookies {
					req.AddCookie(c)
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, req)
				if w.Code != http.StatusOK || !shows(w.Body.String(), want) {
					t.Errorf("status %d, or it does not say %q", w.Code, want)
				}
			})
		}
		pages.Wait()
	}
	all("Open 9")
	if n := s.days.Load(); n != 1 {
		t.Errorf("200 pages read the day %d times", n)
	}
	lines := d.events(t, d.server.URL, "/events")
	awaitOpen(t, lines)
	d.add(t, made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -3)})
	d.hint(t, wire.HintSubject(Name))
	await(t, lines, "event: change")
	all("Open 10")
	if n := s.days.Load(); n != 2 {
		t.Errorf("200 pages that were told of a change read the day %d times, want once more", n)
	}
}
