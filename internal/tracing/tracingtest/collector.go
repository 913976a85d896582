// Package tracingtest is an OpenTelemetry collector for tests.
package tracingtest

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it arrived.
type Span struct {
	Service, Part, Name, Kind string
	Trace, ID, Parent         string   // hexadecimal; Parent is "" for none
	Links                     []string // IDs of spans
	Attrs                     map[string]string
	Failure                   string // "" when it did not fail
	Begin, End                time.Time
}

// Collector takes traces over OTLP/HTTP.
type Collector struct {
	server *httptest.Server

	mu       sync.Mutex
	spans    []Span
	requests int
	headers  http.Header // of the last request
	status   int         // what it answers
	hang     chan struct{}
	news     chan struct{} // closed when something arrives
}

// New starts one that takes everything.
func New() *Collector {
	c := &Collector{status: http.StatusOK, news: make(chan struct{})}
	c.server = httptest.NewServer(c)
	return c
}

// URL is the OTEL_EXPORTER_OTLP_ENDPOINT.
func (c *Collector) URL() string { return c.server.URL }

// Close ends it, and everybody's waiting for it.
func (c *Collector) Close() {
	c.Answer(http.StatusOK)
	c.server.CloseClientConnections()
	c.server.Close()
}

// Answer makes it answer with the status from now on.
func (c *Collector) Answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
	if c.hang != nil {
		close(c.hang)
		c.hang = nil
	}
}

// Hang makes it take requests and answer none, until Answer.
func (c *Collector) Hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hang == nil {
		c.hang = make(chan struct{})
	}
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &data) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.requests++
	c.headers = r.Header
	hang := c.hang
	if hang == nil && c.status == http.StatusOK {
		c.spans = append(c.spans, read(&data)...)
	}
	status := c.status
	close(c.news)
	c.news = make(chan struct{})
	c.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return
	}
	w.WriteHeader(status)
}

// Requests is how many came, whatever was answered.
func (c *Collector) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Header is one of the last request.
func (c *Collector) Header(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers.Get(name)
}

// Spans are all that arrived and were taken.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// WaitFor waits until what arrived is as wanted, and returns it.
func (c *Collector) WaitFor(ctx context.Context, ok func([]Span) bool) ([]Span, error) {
	for {
		c.mu.Lock()
		spans, news := slices.Clone(c.spans), c.news
		c.mu.Unlock()
		if ok(spans) {
			return spans, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return spans, ctx.Err()
		}
	}
}

// WaitForRequest waits until a request came after the first n.
func (c *Collector) WaitForRequest(ctx context.Context, n int) error {
	_, err := c.WaitFor(ctx, func([]Span) bool { return c.Requests() > n })
	return err
}

func read(data *tracepb.TracesData) (out []Span) {
	for _, r := range data.ResourceSpans {
		about := make(map[string]string)
		for _, a := range r.Resource.GetAttributes() {
			about[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				out = append(out, span(about["service.name"], scope.Scope.GetName(), s))
			}
		}
	}
	return out
}

func span(service, part string, s *tracepb.Span) Span {
	out := Span{
		Service: service, Part: part, Name: s.Name, Kind: s.Kind.String()[len("SPAN_KIND_"):],
		Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Attrs: make(map[string]string),
		Begin: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)),
	}
	for _, a := range s.Attributes {
		out.Attrs[a.Key] = a.Value.GetStringValue()
		if out.Attrs[a.Key] == "" {
			out.Attrs[a.Key] = fmt.Sprint(a.Value.GetIntValue())
		}
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, hex.EncodeToString(l.SpanId))
	}
	if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		out.Failure = s.Status.Message
	}
	return out
}
