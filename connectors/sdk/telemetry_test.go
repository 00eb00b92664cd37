package sdk_test

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/habeas-data/habeas/proto/wire"
)

// TestTelemetry joins the coordinator's trace, counts, and names nobody.
func TestTelemetry(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	reader := metric.NewManualReader()
	traces, meters := otel.GetTracerProvider(), otel.GetMeterProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	t.Cleanup(func() {
		otel.SetTracerProvider(traces)
		otel.SetMeterProvider(meters)
	})
	r := newRig(t, newBook().put(ann, "contacts", 2))
	r.start()
	msg, err := wire.JobMessage(r.erase("job-1", ann))
	if err != nil {
		t.Fatal(err)
	}
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	msg.Header.Set("traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	r.outcome("job-1")
	r.drained()
	names := map[string]int{}
	for _, s := range spans.GetSpans() {
		names[s.Name]++
		if s.SpanContext.TraceID().String() != traceID {
			t.Errorf("span %s is in another trace", s.Name)
		}
		if strings.Contains(fmt.Sprint(s), ann) {
			t.Errorf("span %s names the person", s.Name)
		}
	}
	for name, n := range map[string]int{"job": 1, "locate": 2, "act": 1, "verify": 1} {
		if names[name] != n {
			t.Errorf("%d spans %s, want %d", names[name], name, n)
		}
	}
	// What comes back is in the trace, too.
	stream, err := r.js.Stream(t.Context(), wire.StreamEvidence)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(2) {
		msg, err := stream.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(msg.Header.Get("traceparent"), traceID) {
			t.Errorf("record %d is not in the trace", seq+1)
		}
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", all.ScopeMetrics)
	for _, want := range []string{"habeas.connector.jobs", "habeas.connector.job.duration", "habeas.connector.records.erased", "habeas.connector.jobs.in_hand"} {
		if !strings.Contains(text, want) {
			t.Errorf("no metric %s", want)
		}
	}
	if strings.Contains(text, ann) {
		t.Error("a metric names the person")
	}
	// Of a counter that appears at 1 nobody sees that it rose.
	for _, outcome := range []string{"failed", "over_limit"} {
		if n, ok := jobsCounted(all, "ACTION_ERASE", outcome); !ok || n != 0 {
			t.Errorf("%s begins with %d, %t", outcome, n, ok)
		}
	}
}

// jobsCounted is what habeas.connector.jobs stands at.
func jobsCounted(all metricdata.ResourceMetrics, action, outcome string) (n int64, ok bool) {
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, is := m.Data.(metricdata.Sum[int64])
			if m.Name != "habeas.connector.jobs" || !is {
				continue
			}
			for _, p := range sum.DataPoints {
				a, _ := p.Attributes.Value("action")
				o, _ := p.Attributes.Value("outcome")
				if a.AsString() == action && o.AsString() == outcome {
					return p.Value, true
				}
			}
		}
	}
	return 0, false
}
