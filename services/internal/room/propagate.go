package room

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

// Inject writes the trace of ctx into the headers of a message, as
// "traceparent" (W3C Trace Context).
func Inject(ctx context.Context, h nats.Header) {
	otel.GetTextMapPropagator().Inject(ctx, carrier(h))
}

// Extract returns ctx with the trace that the headers of a message carry, or
// ctx itself when they carry none.
func Extract(ctx context.Context, h nats.Header) context.Context {
	return otel.GetTextMapPropagator().Extract(ctx, carrier(h))
}

// carrier makes message headers a carrier of traces. NATS headers keep the
// case they are written in, so the lower-case names of the standard stay.
type carrier nats.Header

var _ propagation.TextMapCarrier = carrier{}

func (c carrier) Get(key string) string { return nats.Header(c).Get(key) }

func (c carrier) Set(key, value string) { nats.Header(c).Set(key, value) }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
