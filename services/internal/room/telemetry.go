package room

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Telemetry sets the process's global tracer and meter providers and the W3C
// propagator. Traces and metrics are sent by OTLP over HTTP when the standard
// variables OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT say where to; the metrics are always also
// in the Prometheus form that the returned handler serves.
//
// shutdown sends what is still buffered; give it a context with a deadline.
func Telemetry(ctx context.Context, name, version string) (shutdown func(context.Context) error, metrics http.Handler, err error) {
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", name), attribute.String("service.version", version)),
		resource.WithFromEnv(), // last, so that OTEL_SERVICE_NAME wins
	)
	if err != nil {
		return nil, nil, fmt.Errorf("describing the process for telemetry: %w", err)
	}
	traceOpts := []trace.TracerProviderOption{trace.WithResource(res)}
	if otlpWanted("TRACES") {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the OTLP trace exporter: %w", err)
		}
		traceOpts = append(traceOpts, trace.WithBatcher(exporter))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prom, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		return nil, nil, fmt.Errorf("opening the Prometheus exporter: %w", err)
	}
	meterOpts := []metric.Option{metric.WithResource(res), metric.WithReader(prom)}
	if otlpWanted("METRICS") {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the OTLP metric exporter: %w", err)
		}
		meterOpts = append(meterOpts, metric.WithReader(metric.NewPeriodicReader(exporter)))
	}
	traces, meters := trace.NewTracerProvider(traceOpts...), metric.NewMeterProvider(meterOpts...)
	otel.SetTracerProvider(traces)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.TraceContext{}) // no baggage: a client could put anything into it

	shutdown = func(ctx context.Context) error {
		if err := errors.Join(traces.Shutdown(ctx), meters.Shutdown(ctx)); err != nil {
			return fmt.Errorf("sending the last telemetry: %w", err)
		}
		return nil
	}
	return shutdown, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}

func otlpWanted(signal string) bool {
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
