package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
)

// listenHTTP serves health and metrics until stop is called.
//
//	/healthz  the process runs
//	/readyz   it takes jobs: the bus is there, and so is the system
//	/metrics  Prometheus text
func listenHTTP(ctx context.Context, addr string, w *worker, metrics *metricsReader, logger *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for http: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case w.Conn.Status() != nats.CONNECTED || !w.bus.Load():
			http.Error(rw, "waiting for the bus", http.StatusServiceUnavailable)
		case !w.ready(r.Context()):
			http.Error(rw, "the system does not answer", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(rw, "ready")
		}
	})
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := metrics.writeText(r.Context(), rw); err != nil {
			logger.Warn("answering for metrics", "error", err)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
	logger.Info("listening", "http", listener.Addr().String())
	go func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			logger.Error("serving http", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			logger.Debug("closing the http listener", "error", err)
		}
	}, nil
}
