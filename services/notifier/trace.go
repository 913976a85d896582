package notifier

import (
	"context"
	"net/http"
	"path"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound"
)

const (
	// maxTraces is how many traces one message is noted in. A digest may tell thousands of alerts.
	maxTraces = 32
	// traceLimit bounds asking for them: the message waits.
	traceLimit = 500 * time.Millisecond
)

// tracedAttempt is one attempt at a message, as the traces of what it tells see it: a span in each. The request is a part
// of the first.
type tracedAttempt struct {
	spans []*tracing.Span
	now   func() time.Time
}

// traced begins the spans of an attempt, and carries the first to where the request is made. A message that tells nothing
// that is traced, such as a reminder, begins a trace of its own.
func (t *teller) traced(ctx context.Context, n nodestore.Notification) (context.Context, tracedAttempt) {
	a := tracedAttempt{now: t.o.Now}
	if t.o.Tracer == nil {
		return ctx, a
	}
	parents := t.parents(ctx, n)
	begin := func(parent tracing.Context, links ...tracing.Context) *tracing.Span {
		return t.o.Tracer.Begin(tracing.Beginning{
			Name: "tell", Kind: tracing.Consumer, Parent: parent, Links: links, At: t.o.Now(),
			Attrs: []tracing.Attr{
				tracing.Text("gensyn.chat", n.Chat), tracing.Number("gensyn.notification", n.ID),
				tracing.Number("gensyn.alerts", n.Alerts), tracing.Number("gensyn.attempt", n.Attempts+1),
			},
		})
	}
	first := begin(parents[0], parents[1:]...)
	a.spans = append(a.spans, first)
	for _, other := range parents[1:] {
		a.spans = append(a.spans, begin(other, first.Context()))
	}
	return tracing.With(ctx, first), a
}

// parents are the traces of what a notification tells, or one that is none.
func (t *teller) parents(ctx context.Context, n nodestore.Notification) (parents []tracing.Context) {
	ctx, cancel := context.WithTimeout(ctx, traceLimit)
	defer cancel()
	stored, err := t.o.Store.Traces(ctx, n.ID, maxTraces)
	if err != nil {
		t.log.Debug().Err(err).Msg("the traces of what is told are not known")
	}
	for _, s := range stored {
		if parent := tracing.Parse(s); parent != "" {
			parents = append(parents, parent)
		}
	}
	if len(parents) == 0 {
		return []tracing.Context{""}
	}
	return parents
}

// end ends the spans with what became of the message.
func (a tracedAttempt) end(message int64, err error) {
	for _, s := range a.spans {
		if err != nil {
			s.End(a.now(), err.Error()) // it is logged as well, and holds no secret
			continue
		}
		s.Set(tracing.Number("messaging.message.id", message))
		s.End(a.now(), "")
	}
}

// tracedTransport makes a span of each request that is made within one.
type tracedTransport struct {
	next http.RoundTripper
	name func(*http.Request) string
}

// tracedClient is a client whose requests are spans, nil without a tracer. What is called outside is not told of the
// trace. name must return no part of an address that may be secret.
func tracedClient(t *tracing.Tracer, name func(*http.Request) string) *http.Client {
	if t == nil {
		return nil
	}
	c := outbound.NewClient()
	c.Transport = tracedTransport{next: c.Transport, name: name}
	return c
}

// methodName is the method of Telegram that is called. Before it the path holds the token.
func methodName(r *http.Request) string { return path.Base(r.URL.Path) }

// postName says nothing of the address: people put secrets into those of webhooks.
func postName(*http.Request) string { return "webhook" }

// RoundTrip implements http.RoundTripper.
func (t tracedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	within := tracing.From(r.Context())
	if within == nil {
		return t.next.RoundTrip(r)
	}
	span := within.Child(tracing.Beginning{
		Name: t.name(r), Kind: tracing.Client, At: time.Now(),
		Attrs: []tracing.Attr{tracing.Text("http.request.method", r.Method), tracing.Text("server.address", r.URL.Hostname())},
	})
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		span.End(time.Now(), string(outbound.Why(err).Cause))
		return nil, err
	}
	span.Set(tracing.Number("http.response.status_code", resp.StatusCode))
	failure := ""
	if resp.StatusCode >= http.StatusBadRequest {
		failure = http.StatusText(resp.StatusCode)
	}
	span.End(time.Now(), failure)
	return resp, nil
}

// CloseIdleConnections is what http.Client's is done with.
func (t tracedTransport) CloseIdleConnections() {
	(&http.Client{Transport: t.next}).CloseIdleConnections()
}
