package room

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Server is a room's HTTP face: what the room mounts, and /healthz, /readyz
// and /metrics.
type Server struct {
	// Addr is where to listen, host:port.
	Addr string
	// Mount is what the room serves, by [http.ServeMux] pattern.
	Mount map[string]http.Handler
	// Checks say, by name, whether the room can do its work; nil is yes. They
	// are called by every GET of /readyz, at once, and must be quick.
	Checks map[string]func() error
	// Metrics serves /metrics; nil leaves it out.
	Metrics http.Handler
	// Logger takes the access log and panics; nil is silence.
	Logger *slog.Logger
	// MaxBody is the most bytes a request's body may have; 0 means 1 MiB. A
	// handler reads an [http.MaxBytesError] past it.
	MaxBody int64
	// BodyTimeout is how long a client may take to send its body; 0 means 30
	// seconds. There is no limit on how long an answer takes, for the sake of
	// event streams and large packages.
	BodyTimeout time.Duration
	// StopTimeout is how long requests may go on after the stop; 0 means 10
	// seconds.
	StopTimeout time.Duration

	stopping atomic.Bool
}

// Run listens and serves until ctx is cancelled, then lets the requests under
// way finish. A stop that was asked for returns nil.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return s.Serve(ctx, ln)
}

// Serve is Run on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	logger := s.logger()
	stop := make(chan struct{})
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, (<-chan struct{})(stop))
		},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	close(stop)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), orDefault(s.StopTimeout, 10*time.Second))
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		logger.WarnContext(ctx, "requests were cut off by the stop", "after", orDefault(s.StopTimeout, 10*time.Second))
		if err := srv.Close(); err != nil {
			return fmt.Errorf("closing HTTP connections: %w", err)
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

// Handler is everything the server serves; tests may call it without a port.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.Mount {
		mux.Handle(pattern, h)
	}
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	outer.HandleFunc("GET /readyz", s.readyz)
	if s.Metrics != nil {
		outer.Handle("GET /metrics", s.Metrics)
	}
	outer.Handle("/", s.middleware(mux))
	return outer
}

// readiness is the body of /readyz.
type readiness struct {
	Status   string            `json:"status"`              // "ready", "not_ready" or "stopping"
	NotReady map[string]string `json:"not_ready,omitempty"` // by check, why
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	answer := readiness{Status: "ready", NotReady: map[string]string{}}
	for name, check := range s.Checks {
		if err := check(); err != nil {
			answer.Status, answer.NotReady[name] = "not_ready", err.Error()
		}
	}
	if s.stopping.Load() {
		answer.Status = "stopping"
	}
	code := http.StatusOK
	if answer.Status != "ready" {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, answer)
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

type stoppingKey struct{}

// Stopping is closed when the server that serves the request of ctx begins to
// stop. A handler with no end of its own, such as an event stream, returns
// then. Outside a request it is nil, which blocks for ever.
func Stopping(ctx context.Context) <-chan struct{} {
	stop, _ := ctx.Value(stoppingKey{}).(<-chan struct{})
	return stop
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone; there is nobody to tell
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
