package console

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// front is what browsers reach the console through: it can be gone, as when the
// console starts anew, and it can answer for it, as a proxy does meanwhile.
type front struct {
	handler http.Handler
	addr    string
	refuses atomic.Bool
	// streams were opened, refused were not.
	streams, refused atomic.Int64
	server           *http.Server
}

func (f *front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	stream := strings.HasSuffix(req.URL.Path, "/events")
	if f.refuses.Load() {
		if stream {
			f.refused.Add(1)
		}
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	if stream {
		f.streams.Add(1)
	}
	f.handler.ServeHTTP(w, req)
}

func (f *front) start(t *testing.T) {
	t.Helper()
	var l net.Listener
	var err error
	for deadline := time.Now().Add(time.Minute); ; { // the address may not be free at once
		if l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", f.addr); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	f.server = server
	go func() { _ = server.Serve(l) }() // it says that it was closed
}

func (f *front) stop(t *testing.T) {
	t.Helper()
	if err := f.server.Close(); err != nil { // and what is connected breaks
		t.Error(err)
	}
}

// A page whose connection broke, or which was refused for a while, comes back by
// itself and shows what happened meanwhile; and then it is live again.
func TestPagesCatchUp(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, made{right: request.KnowSpecific, state: request.Accepted, received: now})
	f := &front{handler: d.room.Handler(), addr: "127.0.0.1:0"}
	f.start(t)
	t.Cleanup(func() { _ = f.server.Close() })
	b := browsertest.New(t)
	base := "http://" + f.addr
	b.Run(chromedp.Navigate(base+"/login"), chromedp.SendKeys("#token", token+"\r"))
	b.Wait(`location.pathname === "/" && document.querySelector("nav.places") !== null`)
	b.Run(chromedp.Navigate(base + "/requests/" + string(id)))
	shows := func(state string) {
		t.Helper()
		b.Wait(`document.querySelector("#live-status")?.textContent === "Live" && document.querySelector("#status .badge")?.textContent === "` + state + `"`)
	}
	lost := func() {
		t.Helper()
		b.Wait(`document.querySelector("#live-status")?.textContent === "Not up to date; trying again"`)
	}
	move := func(to request.State) {
		t.Helper()
		_, err := d.store.Advance(context.WithoutCancel(t.Context()), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
			snaps[0].Changed = true
			return snaps[0].Request.Move(to)
		})
		if err != nil {
			t.Fatal(err)
		}
		d.hint(t, wire.HintSubject(Name), id) // nobody of the pages that are away hears it
	}
	shows("Accepted")
	b.Text(`window.kept = true`)

	f.stop(t)
	lost()
	move(request.Resolving)
	f.start(t)
	shows("Resolving")

	f.refuses.Store(true)
	f.stop(t)
	f.start(t)
	lost()
	for deadline := time.After(time.Minute); f.refused.Load() < 2; { // an error, and the one that it tries by itself after it
		select {
		case <-deadline:
			t.Fatalf("the page tried %d times to come back", f.refused.Load())
		case <-time.After(10 * time.Millisecond):
		}
	}
	move(request.Running)
	before := f.streams.Load()
	f.refuses.Store(false)
	shows("Running")
	if n := f.streams.Load() - before; n != 1 {
		t.Errorf("one page opened %d streams when it came back", n)
	}

	move(request.Packaging) // and what is told now is heard
	shows("Packaging")
	if b.Text(`window.kept`) != "true" {
		t.Error("the page was loaded anew")
	}
}
