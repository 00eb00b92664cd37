package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// providers are OpenTelemetry's, as this process is configured.
type providers struct {
	meters *metric.MeterProvider
	traces *trace.TracerProvider // nil without a collector
	reader *metricsReader
}

func newProviders(ctx context.Context, env Env) (providers, error) {
	about := resource.NewSchemaless(
		attribute.String("service.name", "habeas-connector-"+env.Name),
		attribute.String("service.version", env.Version),
	)
	reader := &metricsReader{metric.NewManualReader()}
	opts := []metric.Option{metric.WithResource(about), metric.WithReader(reader.ManualReader)}
	p := providers{reader: reader}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		push, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return providers{}, err
		}
		spans, err := otlptracehttp.New(ctx)
		if err != nil {
			return providers{}, err
		}
		opts = append(opts, metric.WithReader(metric.NewPeriodicReader(push)))
		p.traces = trace.NewTracerProvider(trace.WithResource(about), trace.WithBatcher(spans))
	}
	p.meters = metric.NewMeterProvider(opts...)
	return p, nil
}

// stop sends what is left, for a moment.
func (p providers) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := p.meters.Shutdown(ctx)
	if p.traces != nil {
		err = errors.Join(err, p.traces.Shutdown(ctx))
	}
	if err != nil {
		return fmt.Errorf("stopping telemetry: %w", err)
	}
	return nil
}

// metricsReader writes the metrics of the moment in the text format of
// Prometheus (exposition format 0.0.4).
type metricsReader struct{ *metric.ManualReader }

func (r *metricsReader) writeText(ctx context.Context, w io.Writer) error {
	var all metricdata.ResourceMetrics
	if err := r.Collect(ctx, &all); err != nil {
		return fmt.Errorf("collecting metrics: %w", err)
	}
	var out strings.Builder
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			writeMetric(&out, m)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func writeMetric(out *strings.Builder, m metricdata.Metrics) {
	name := strings.ReplaceAll(m.Name, ".", "_")
	if m.Unit == "s" {
		name += "_seconds"
	}
	head := func(kind string) {
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, m.Description, name, kind)
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		name += "_total"
		head("counter")
		for _, p := range data.DataPoints {
			fmt.Fprintf(out, "%s%s %d\n", name, labels(p.Attributes), p.Value)
		}
	case metricdata.Gauge[int64]:
		head("gauge")
		for _, p := range data.DataPoints {
			fmt.Fprintf(out, "%s%s %d\n", name, labels(p.Attributes), p.Value)
		}
	case metricdata.Histogram[float64]:
		head("histogram")
		for _, p := range data.DataPoints {
			var sum uint64
			for i, bound := range p.Bounds {
				sum += p.BucketCounts[i]
				fmt.Fprintf(out, "%s_bucket%s %d\n", name, labels(p.Attributes, "le", fmt.Sprint(bound)), sum)
			}
			fmt.Fprintf(out, "%s_bucket%s %d\n", name, labels(p.Attributes, "le", "+Inf"), p.Count)
			fmt.Fprintf(out, "%s_sum%s %g\n%s_count%s %d\n", name, labels(p.Attributes), p.Sum, name, labels(p.Attributes), p.Count)
		}
	}
}

var labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labels writes a set and further pairs of name and value.
func labels(set attribute.Set, more ...string) string {
	var pairs []string
	for _, kv := range set.ToSlice() {
		pairs = append(pairs, strings.ReplaceAll(string(kv.Key), ".", "_")+`="`+labelValue.Replace(kv.Value.String())+`"`)
	}
	for pair := range slices.Chunk(more, 2) {
		pairs = append(pairs, pair[0]+`="`+labelValue.Replace(pair[1])+`"`)
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
