// Package tracing sends spans to an OpenTelemetry collector.
//
// A nil Tracer and a nil Span do nothing, and cost nothing: that is tracing without OTEL_EXPORTER_OTLP_ENDPOINT. A
// collector that is slow or away slows nobody: spans wait in a queue of fixed length, and what finds it full is dropped
// and counted.
package tracing

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options are what a tracer is made of, beside its configuration.
type Options struct {
	Service  string // "gensyn-" and this is the service's name, unless OTEL_SERVICE_NAME says another
	Instance string // tells replicas apart
	Version  string
	Log      zerolog.Logger
	Metrics  prometheus.Registerer // may be nil
}

// Tracer makes spans.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
	queue    *queue
	chosen   bool
}

// New makes a tracer, nil without an endpoint. The collector is not asked for: it may come later, or never. cfg must
// have passed CheckExporting.
func New(cfg Exporting, o Options) (*Tracer, error) {
	if cfg.TracesEndpoint == "" {
		return nil, nil
	}
	sampler, err := cfg.sampler()
	if err != nil {
		return nil, err
	}
	about, err := cfg.resource(o)
	if err != nil {
		return nil, err
	}
	headers, err := cfg.headers()
	if err != nil {
		return nil, err
	}
	q := newQueue(otlptrace.NewUnstarted(newCollector(cfg, headers)), cfg.timeout(), o)
	p := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(q), sdktrace.WithResource(resource.NewSchemaless(about...)))
	return &Tracer{tracer: p.Tracer(o.Service), provider: p, queue: q, chosen: cfg.TracesSampler != ""}, nil
}

// For is the tracer of one part of the process; spans carry its name.
func (t *Tracer) For(part string) *Tracer {
	if t == nil {
		return nil
	}
	own := *t
	own.tracer = t.provider.Tracer(part)
	return &own
}

// SamplesAll reports whether OTEL_TRACES_SAMPLER is set: then it decides about everything, and whoever would else begin
// traces for some things alone begins one for each.
func (t *Tracer) SamplesAll() bool { return t != nil && t.chosen }

// Close sends what is queued, for closeLimit at most.
func (t *Tracer) Close() {
	if t != nil {
		t.queue.close()
	}
}

// Kind says which side of a call a span is.
type Kind = trace.SpanKind

// The kinds.
const (
	Inside   = trace.SpanKindInternal
	Server   = trace.SpanKindServer
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Attr is one thing that is said of a span.
type Attr = attribute.KeyValue

// Text makes an attribute.
func Text(name, value string) Attr { return attribute.String(name, value) }

// Number makes an attribute.
func Number[N int | int64 | uint64](name string, value N) Attr {
	return attribute.Int64(name, int64(value))
}

// Beginning is how a span begins.
type Beginning struct {
	Name   string // one of few
	Kind   Kind
	Parent Context   // "" for a new trace
	Links  []Context // others that it is about, too
	At     time.Time
	Attrs  []Attr
}

// Begin begins a span. It is nil when the sampler wants none of this trace.
func (t *Tracer) Begin(b Beginning) *Span {
	if t == nil {
		return nil
	}
	ctx := context.Background()
	if parent := b.Parent.span(); parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	o := []trace.SpanStartOption{trace.WithSpanKind(b.Kind), trace.WithTimestamp(b.At), trace.WithAttributes(b.Attrs...)}
	for _, l := range b.Links {
		o = append(o, trace.WithLinks(trace.Link{SpanContext: l.span()}))
	}
	_, s := t.tracer.Start(ctx, b.Name, o...)
	if !s.IsRecording() {
		return nil
	}
	return &Span{tracer: t, span: s}
}

// Span is a piece of work. It is safe for concurrent use.
type Span struct {
	tracer *Tracer
	span   trace.Span
}

// Child begins a span of the same part inside of this one. Its Parent is set here.
func (s *Span) Child(b Beginning) *Span {
	if s == nil {
		return nil
	}
	b.Parent = s.Context()
	return s.tracer.Begin(b)
}

// Context names the span for others. It is "" for a nil one.
func (s *Span) Context() Context {
	if s == nil {
		return ""
	}
	c := s.span.SpanContext()
	return Context("00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String())
}

// Set adds attributes.
func (s *Span) Set(attrs ...Attr) {
	if s != nil {
		s.span.SetAttributes(attrs...)
	}
}

// End ends the span. A failure other than "" says why the work failed; it must hold no secret.
func (s *Span) End(at time.Time, failure string) {
	if s == nil {
		return
	}
	if failure != "" {
		s.span.SetStatus(codes.Error, failure)
	}
	s.span.End(trace.WithTimestamp(at))
}

// Context names a span of this process or another one as a W3C traceparent, "" for none. What else the standard lets
// travel with it (tracestate) is left behind.
type Context string

// Parse reads a traceparent from elsewhere. What is none is "".
func Parse(traceparent string) Context {
	c := Context(traceparent)
	if !c.span().IsValid() {
		return ""
	}
	return c[:contextLength] // what later versions add is unknown here
}

// contextLength is that of version 00.
const contextLength = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

func (c Context) span() (none trace.SpanContext) {
	if len(c) < contextLength || c[2] != '-' || c[35] != '-' || c[52] != '-' || c[:2] == "ff" {
		return none
	}
	if rest := c[contextLength:]; rest != "" && (c[:2] == "00" || rest[0] != '-') {
		return none
	}
	id, err := trace.TraceIDFromHex(string(c[3:35]))
	if err != nil {
		return none
	}
	span, err := trace.SpanIDFromHex(string(c[36:52]))
	if err != nil {
		return none
	}
	version, flags := [1]byte{}, [1]byte{}
	if _, err := hex.Decode(version[:], []byte(c[:2])); err != nil {
		return none
	}
	if _, err := hex.Decode(flags[:], []byte(c[53:55])); err != nil {
		return none
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(flags[0]) & trace.FlagsSampled, Remote: true,
	})
}

type contextKey struct{}

// With carries a span to where a request is made; ctx itself for a nil one.
func With(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, s)
}

// From is the span that With put there, nil for none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(contextKey{}).(*Span)
	return s
}
