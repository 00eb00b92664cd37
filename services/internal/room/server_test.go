package room_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
)

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts s and returns its address and a way to stop it.
func serve(t *testing.T, s *room.Server) (url string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(cancel)
	return "http://" + ln.Addr().String(), func() error { cancel(); return <-done }
}

func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	status, header, body, err := fetch(url)
	if err != nil {
		t.Fatal(err)
	}
	return status, header, body
}

// fetch is get for a goroutine of a test.
func fetch(url string) (status int, header http.Header, body string, err error) {
	res, err := http.Get(url)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(content), err
}

func TestServer(t *testing.T) {
	shutdown, metrics, err := room.Telemetry(t.Context(), "test", "v0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shutdown(t.Context()) }()
	var log buffer
	var notReady error
	var mu sync.Mutex
	s := &room.Server{
		Metrics: metrics, MaxBody: 8, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		Checks: map[string]func() error{
			"store": func() error { return nil },
			"bus":   func() error { mu.Lock(); defer mu.Unlock(); return notReady },
		},
		Mount: map[string]http.Handler{
			"GET /people/{id}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, room.RequestID(r.Context()))
			}),
			"POST /body": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); errors.As(err, new(*http.MaxBytesError)) {
					w.WriteHeader(http.StatusRequestEntityTooLarge)
				}
			}),
			"GET /panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("jane@example.com") }),
			"GET /half": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				w.(http.Flusher).Flush()
				panic(errors.New("jane@example.com"))
			}),
		},
	}
	url, stop := serve(t, s)

	if code, _, body := get(t, url+"/healthz"); code != 200 || !strings.Contains(body, "ok") {
		t.Errorf("healthz: %d %s", code, body)
	}
	if code, _, _ := get(t, url+"/readyz"); code != 200 {
		t.Errorf("readyz: %d", code)
	}
	mu.Lock()
	notReady = errors.New("no server answers at nats://bus:4222")
	mu.Unlock()
	code, _, body := get(t, url+"/readyz")
	var answer struct {
		Status   string
		NotReady map[string]string `json:"not_ready"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 503 || len(answer.NotReady) != 1 || answer.NotReady["bus"] != notReady.Error() {
		t.Errorf("readyz: %d %s %v", code, body, err)
	}

	if code, h, body := get(t, url+"/people/jane@example.com?email=jane@example.com"); code != 200 || body == "" || h.Get("X-Request-Id") != body {
		t.Errorf("person: %d %v %s", code, h, body)
	}
	if code, _, _ := get(t, url+"/nobody/jane@example.com"); code != 404 {
		t.Errorf("unmatched: %d", code)
	}
	for body, want := range map[string]int{"12345678": 200, "123456789": 413} {
		res, err := http.Post(url+"/body", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != want {
			t.Errorf("body of %d bytes: %d, %v", len(body), res.StatusCode, err)
		}
	}
	if code, h, _ := get(t, url+"/panic"); code != 500 || h.Get("Content-Type") != "application/problem+json" {
		t.Errorf("panic: %d %v", code, h)
	}
	if res, err := http.Get(url + "/half"); err == nil {
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("half an answer looks whole")
		}
		_ = res.Body.Close()
	}
	if _, _, body := get(t, url+"/metrics"); !strings.Contains(body, `http_route="GET /people/{id}"`) || strings.Contains(body, "jane") {
		t.Errorf("metrics: %s", body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "jane") || !strings.Contains(log.String(), `"route":"GET /people/{id}"`) || !strings.Contains(log.String(), "unmatched") {
		t.Errorf("log: %s", log.String())
	}
}

func TestServerStopLetsRequestsFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := &room.Server{BodyTimeout: time.Minute, Mount: map[string]http.Handler{
		"GET /slow": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			_, _ = io.WriteString(w, "whole")
		}),
		"GET /events": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "data: 1\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-room.Stopping(r.Context()):
				_, _ = io.WriteString(w, "data: bye\n")
			case <-r.Context().Done():
			}
		}),
	}}
	url, stop := serve(t, s)
	events, err := http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	if !lines.Scan() || lines.Text() != "data: 1" {
		t.Fatalf("first event %q", lines.Text())
	}
	slow := make(chan string, 1)
	go func() {
		_, _, body, err := fetch(url + "/slow")
		if err != nil {
			body = err.Error()
		}
		slow <- body
	}()
	select {
	case <-entered:
	case body := <-slow:
		t.Fatalf("the slow request ended at once: %s", body)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if !lines.Scan() || lines.Text() != "data: bye" {
		t.Errorf("the stream was not told of the stop: %q", lines.Text())
	}
	close(release)
	if body := <-slow; body != "whole" {
		t.Errorf("slow answer %q", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
