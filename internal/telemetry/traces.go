package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"rollcall.dev/rollcall/internal/fault"
)

// Traces sends spans to a collector.
type Traces struct {
	provider *sdktrace.TracerProvider // nil where nobody asked for traces
}

// Propagation is how a trace goes on over HTTP: W3C Trace Context.
var Propagation propagation.TextMapPropagator = propagation.TraceContext{}

// NewTraces sends spans to the OTLP/HTTP collector at endpoint
// ("http://collector:4318"), a share of them; with an endpoint of "" to nobody.
func NewTraces(ctx context.Context, endpoint, version, node string, share float64) (*Traces, error) {
	if endpoint == "" {
		return &Traces{}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"))
	if err != nil {
		return nil, fault.New(fault.Invalid, "tracing: %w", err).WithHint("tracing.endpoint is an address such as http://collector:4318")
	}
	// Without a schema of its own: that of the SDK's attributes is the one they share.
	about, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		semconv.ServiceName("rollcall"), semconv.ServiceVersion(version), semconv.ServiceInstanceID(node)))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return &Traces{provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))))}, nil
}

// Tracer makes spans.
func (t *Traces) Tracer() trace.Tracer {
	if t.provider == nil {
		return noop.NewTracerProvider().Tracer("rollcall")
	}
	return t.provider.Tracer("rollcall.dev/rollcall")
}

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}
