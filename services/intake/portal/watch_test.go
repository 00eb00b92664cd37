package portal_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/request/store"
)

// IN-7: every door is tried, in every language, without a request being made;
// one that breaks is noticed.
func TestWatch_IN7(t *testing.T) {
	r := newRig(t)
	site := r.site()
	w := portal.Watch{URL: site.URL + "/", Base: "/privacy"}
	doors := w.Doors()
	if len(doors) != 3+2*len(paths) {
		t.Errorf("%d doors are tried", len(doors))
	}
	for _, d := range doors {
		if err := w.Try(t.Context(), d); err != nil {
			t.Errorf("%s: %v", d.Path, err)
		}
	}
	if list, err := r.store.List(t.Context(), store.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("trying made %d requests, %v", len(list), err)
	}
	for name, broken := range map[string]http.HandlerFunc{
		"an error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"an empty one": func(http.ResponseWriter, *http.Request) {},
		"a signal that is not honoured": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"opted_out":false}`)) // the client may be gone
		},
	} {
		s := httptest.NewServer(broken)
		defer s.Close()
		w.URL = s.URL
		for _, d := range doors {
			if err := w.Try(t.Context(), d); err == nil {
				t.Errorf("%s: %s works", name, d.Path)
			}
		}
	}
}

func TestWatchRuns(t *testing.T) {
	var tried atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tried.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer site.Close()
	ctx, cancel := context.WithCancel(t.Context())
	logs, ended := &logBuffer{}, make(chan error, 1)
	w := portal.Watch{URL: site.URL, Every: time.Millisecond, Logger: slog.New(slog.NewTextHandler(logs, nil))}
	go func() { ended <- w.Run(ctx) }()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for tried.Load() < 2*int64(len(w.Doors())) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("tried %d times", tried.Load())
		}
	}
	cancel()
	if err := <-ended; err != nil || !strings.Contains(logs.String(), "a door does not work") {
		t.Errorf("%v; the log says %.200s", err, logs.String())
	}
}
