package sdk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

const instrumentation = "github.com/habeas-data/habeas/connectors/sdk"

// telemetry is what the runtime counts and traces. Attributes name connectors,
// actions and outcomes, and nobody.
type telemetry struct {
	tracer    trace.Tracer
	context   propagation.TraceContext
	connector attribute.KeyValue

	jobs     metric.Int64Counter
	duration metric.Float64Histogram
	records  metric.Int64Counter

	// The sets of attributes that were used, by what is in them: making one
	// costs more than counting with it. There are few.
	outcomes sync.Map // outcomeKey to metric.MeasurementOption
	stores   sync.Map // store name to metric.MeasurementOption
}

type outcomeKey struct {
	action  habeasv1.Action
	outcome string
}

// known returns the option kept under key, made the first time.
func known(kept *sync.Map, key any, attributes func() []attribute.KeyValue) metric.MeasurementOption {
	if option, ok := kept.Load(key); ok {
		return option.(metric.MeasurementOption)
	}
	option, _ := kept.LoadOrStore(key, metric.WithAttributeSet(attribute.NewSet(attributes()...)))
	return option.(metric.MeasurementOption)
}

func newTelemetry(connector string, actions []habeasv1.Action, inHand func() int) (*telemetry, error) {
	meter := otel.Meter(instrumentation)
	t := &telemetry{tracer: otel.Tracer(instrumentation), connector: attribute.String("connector", connector)}
	var err error
	if t.jobs, err = meter.Int64Counter("habeas.connector.jobs", metric.WithDescription("Jobs by action and outcome.")); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	if t.duration, err = meter.Float64Histogram("habeas.connector.job.duration", metric.WithUnit("s"), metric.WithDescription("Time from delivery to the published outcome."),
		metric.WithExplicitBucketBoundaries(.001, .005, .01, .05, .1, .5, 1, 5, 10, 60, 300, 900)); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	if t.records, err = meter.Int64Counter("habeas.connector.records.erased", metric.WithDescription("Records located and then seen to be gone.")); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	_, err = meter.Int64ObservableGauge("habeas.connector.jobs.in_hand", metric.WithDescription("Jobs taken and not settled."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(inHand()), metric.WithAttributes(t.connector))
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	// A counter that appears at 1 has not risen, for who watches how it rises: what
	// somebody is called for stands at 0 from the beginning.
	for _, a := range actions {
		for _, outcome := range alarming {
			t.jobs.Add(context.Background(), 0, t.how(a, outcome))
		}
	}
	return t, nil
}

// job joins the trace of a delivery and starts its span. The function it
// returns ends that with how the job ended.
func (t *telemetry) job(ctx context.Context, h nats.Header, j *habeasv1.Job) (context.Context, func(outcome string)) {
	start := time.Now()
	ctx = t.context.Extract(ctx, headerCarrier(h))
	ctx, span := t.tracer.Start(ctx, "job", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		t.connector, attribute.String("action", j.GetAction().String()), attribute.String("job", j.GetJobId()), attribute.Int("attempt", int(j.GetAttempt()))))
	return ctx, func(outcome string) {
		how := t.how(j.GetAction(), outcome)
		t.jobs.Add(ctx, 1, how)
		t.duration.Record(ctx, time.Since(start).Seconds(), how)
		span.SetAttributes(attribute.String("outcome", outcome))
		span.End()
	}
}

// alarming are the outcomes that somebody is called for, as [outcomeName] has them.
var alarming = [...]string{"failed", "over_limit"}

func (t *telemetry) how(a habeasv1.Action, outcome string) metric.MeasurementOption {
	return known(&t.outcomes, outcomeKey{a, outcome}, func() []attribute.KeyValue {
		return []attribute.KeyValue{t.connector, attribute.String("action", a.String()), attribute.String("outcome", outcome)}
	})
}

// span starts a step of a job.
func (t *telemetry) span(ctx context.Context, name string) (context.Context, func()) {
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(t.connector))
	return ctx, func() { span.End() }
}

func (t *telemetry) erased(ctx context.Context, stores []*habeasv1.StoreCount) {
	for _, s := range stores {
		if gone := wire.Removed(s); gone > 0 {
			t.records.Add(ctx, gone, known(&t.stores, s.GetStore(), func() []attribute.KeyValue {
				return []attribute.KeyValue{t.connector, attribute.String("store", s.GetStore())}
			}))
		}
	}
}

// inject puts the trace into a message's headers.
func (t *telemetry) inject(ctx context.Context, h nats.Header) {
	t.context.Inject(ctx, headerCarrier(h))
}

// headerCarrier carries trace context in NATS headers, which unlike those of
// HTTP keep their case.
type headerCarrier nats.Header

// Get implements [propagation.TextMapCarrier].
func (c headerCarrier) Get(key string) string { return nats.Header(c).Get(key) }

// Set implements [propagation.TextMapCarrier].
func (c headerCarrier) Set(key, value string) { nats.Header(c).Set(key, value) }

// Keys implements [propagation.TextMapCarrier].
func (c headerCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
