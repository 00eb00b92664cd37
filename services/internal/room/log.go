package room

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/trace"
)

// Logger makes the process's logger, which writes to standard error. level is
// "debug", "info", "warn" or "error", format is "json" or "text"; empty means
// info and json. Lines logged with a context carry its trace_id.
func Logger(level, format string) (*slog.Logger, error) { return newLogger(os.Stderr, level, format) }

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %.20q: want debug, info, warn or error", level)
		}
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "", "json":
		return slog.New(traceHandler{slog.NewJSONHandler(w, opts)}), nil
	case "text":
		return slog.New(traceHandler{slog.NewTextHandler(w, opts)}), nil
	default:
		return nil, fmt.Errorf("log format %.20q: want json or text", format)
	}
}

// traceHandler adds the trace id of the context, so that a log line and a
// trace can be found from each other.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

// LoggerTo is [Logger] to another place than standard error.
func LoggerTo(w io.Writer, level, format string) (*slog.Logger, error) {
	return newLogger(w, level, format)
}
