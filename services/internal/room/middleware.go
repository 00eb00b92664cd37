package room

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/habeas-data/habeas/services/internal/room"

type requestIDKey struct{}

// RequestID is the id of the HTTP request that ctx belongs to, the one in its
// X-Request-Id answer header and in the access log, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// middleware wraps what the room mounts: an id, a span joined to the caller's
// trace, the access log, the limits on bodies, and recovery. An id a client
// sends is not taken over: it could hold anything.
func (s *Server) middleware(next http.Handler) http.Handler {
	logger := s.logger()
	tracer := otel.Tracer(scope)
	duration, err := otel.Meter(scope).Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Time to answer HTTP requests."),
		metric.WithExplicitBucketBoundaries(.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	if err != nil {
		panic(err) // the name and unit are constants
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := rand.Text()
		ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx = context.WithValue(ctx, requestIDKey{}, id)
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		w.Header().Set("X-Request-Id", id)
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(ctx)
		s.limitBody(rec, r)
		cut := serveRecovered(next, rec, r, logger)

		// The route is known only now; it is the pattern and not the path, which
		// may name what a client wrote into it.
		route, status := orDefault(r.Pattern, "unmatched"), orDefault(rec.status, http.StatusOK)
		attrs := []attribute.KeyValue{
			attribute.String("http.request.method", knownMethod(r.Method)),
			attribute.String("http.route", route),
			attribute.Int("http.response.status_code", status),
		}
		span.SetName(knownMethod(r.Method) + " " + route)
		span.SetAttributes(attrs...)
		if status >= 500 {
			span.SetStatus(codes.Error, "")
		}
		took := time.Since(start)
		duration.Record(ctx, took.Seconds(), metric.WithAttributes(attrs...))
		logger.InfoContext(ctx, "request", "request_id", id, "method", knownMethod(r.Method), "route", route,
			"status", status, "bytes", rec.bytes, "duration", took)
		if cut {
			panic(http.ErrAbortHandler)
		}
	})
}

// serveRecovered calls next and turns a panic into a 500. It reports whether
// the connection has to be cut because half an answer is out already.
func serveRecovered(next http.Handler, w *recorder, r *http.Request, logger *slog.Logger) (cut bool) {
	defer func() {
		v := recover()
		switch v {
		case nil:
			return
		case http.ErrAbortHandler: // net/http compares it so
			cut = true
			return
		}
		logger.ErrorContext(r.Context(), "handler panicked", "request_id", RequestID(r.Context()),
			"panic", panicText(v), "stack", string(debug.Stack()))
		if w.status != 0 {
			cut = true
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"title":"Internal Server Error","status":500}`) // the client may have gone
	}()
	next.ServeHTTP(w, r)
	return false
}

// panicText describes a panic without its value, which may be personal, unless
// the runtime made it.
func panicText(v any) string {
	if err, ok := v.(error); ok {
		if re, ok := errors.AsType[runtime.Error](err); ok {
			return re.Error()
		}
	}
	return fmt.Sprintf("%T", v)
}

// limitBody bounds the size of the body and the time it takes to come. The
// deadline is lifted when the body is read, since it would otherwise end
// answers that take longer.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	body := http.MaxBytesReader(w, r.Body, orDefault(s.MaxBody, 1<<20))
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Now().Add(orDefault(s.BodyTimeout, 30*time.Second))); err != nil {
		r.Body = body // a test's recorder has no connection
		return
	}
	r.Body = &timedBody{ReadCloser: body, lift: func() { _ = rc.SetReadDeadline(time.Time{}) }} // fails only on a closed connection
}

type timedBody struct {
	io.ReadCloser
	lift func()
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.lift()
	}
	return n, err
}

func (b *timedBody) Close() error {
	err := b.ReadCloser.Close()
	b.lift()
	return err
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(code int) {
	if w.status == 0 && code >= 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush implements [http.Flusher] for handlers that stream.
func (w *recorder) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// knownMethod keeps what a client invents out of labels.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "_OTHER"
	}
}
