package room

import (
	"context"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
)

// RequestTrace returns a context whose spans belong to the trace of a request.
// The trace's id is the request's own 16 bytes, so every room and every
// restart joins the same trace without storing anything. An id that is no UUID
// leaves ctx as it is.
func RequestTrace(ctx context.Context, requestID string) context.Context {
	id, err := uuid.Parse(requestID)
	if err != nil {
		return ctx
	}
	var root trace.SpanID
	copy(root[:], id[8:])
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(id), SpanID: root, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}
