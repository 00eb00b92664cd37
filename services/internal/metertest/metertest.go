// Package metertest reads what a piece of the program measures, in its tests.
package metertest

import (
	"slices"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Reader reads metrics.
type Reader struct {
	t        testing.TB
	manual   *sdk.ManualReader
	provider *sdk.MeterProvider
}

// New makes a reader of what is measured with its [Reader.Meter].
func New(t testing.TB) *Reader {
	t.Helper()
	manual := sdk.NewManualReader()
	return &Reader{t: t, manual: manual, provider: sdk.NewMeterProvider(sdk.WithReader(manual))}
}

// Global makes a reader of what the whole program measures with instruments that are
// made from now until the test ends. Tests that use it do not run in parallel.
func Global(t testing.TB) *Reader {
	t.Helper()
	r := New(t)
	otel.SetMeterProvider(r.provider)
	t.Cleanup(func() { otel.SetMeterProvider(noop.NewMeterProvider()) })
	return r
}

// Meter makes instruments that the reader reads.
func (r *Reader) Meter() metric.Meter { return r.provider.Meter("test") }

// Value is what a gauge or a counter of whole numbers stands at, for the attributes
// given as name and value in turn and no others; ok is false where nothing was
// measured.
func (r *Reader) Value(name string, attributes ...string) (value int64, ok bool) {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.manual.Collect(r.t.Context(), &all); err != nil {
		r.t.Fatalf("reading metrics: %v", err)
	}
	var wanted []attribute.KeyValue
	for i := 0; i < len(attributes); i += 2 {
		wanted = append(wanted, attribute.String(attributes[i], attributes[i+1]))
	}
	set := attribute.NewSet(wanted...)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			case metricdata.Sum[int64]:
				points = data.DataPoints
			}
			if i := slices.IndexFunc(points, func(p metricdata.DataPoint[int64]) bool { return p.Attributes.Equals(&set) }); i >= 0 {
				return points[i].Value, true
			}
		}
	}
	return 0, false
}
