package ingest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/limiter"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// Of traces that ingest begins itself: so many at once, then one in so long. A fleet that goes down together is not
// easier understood by thousands of traces.
const (
	tracesAtOnce = 50
	tracesEach   = 100 * time.Millisecond
)

// maxTroubled bounds the nodes whose trouble is remembered. Beyond it nothing is traced.
const maxTroubled = 10_000

// traces chooses which heartbeats are traced. Those are few: ones that the sender traces, and ones that say something
// new. Ingest knows no states, but of each node it can tell whether its words changed: when it says for the first time
// that something is wrong, when it says something else, and when it says that all is well again. With
// OTEL_TRACES_SAMPLER set that decides alone.
type traces struct {
	tracer *tracing.Tracer // nil for none
	limit  *limiter.Limiter[struct{}]

	mu       sync.Mutex
	troubled map[string]string // what nodes said last that are not well
}

func newTraces(t *tracing.Tracer, now func() time.Time) *traces {
	if t == nil {
		return &traces{}
	}
	return &traces{
		tracer: t.For("ingest"), limit: limiter.New[struct{}](tracesAtOnce, tracesEach, 0, now),
		troubled: make(map[string]string),
	}
}

// begin begins the span of one heartbeat, nil for most.
func (t *traces) begin(at *arrival, h *contract.Heartbeat) *tracing.Span {
	if t.tracer == nil {
		return nil
	}
	parent := tracing.Parse(at.trace)
	news := t.news(h)
	if parent == "" && !t.tracer.SamplesAll() && (!news || t.limit.Take(struct{}{}) > 0) {
		return nil
	}
	return t.tracer.Begin(tracing.Beginning{
		Name: "POST " + Path, Kind: tracing.Server, Parent: parent, At: at.begun,
		Attrs: []tracing.Attr{
			tracing.Text("http.request.method", http.MethodPost), tracing.Text("http.route", Path),
			tracing.Text("gensyn.node_id", h.NodeID), tracing.Text("gensyn.status", h.Status),
		},
	})
}

// news reports whether a heartbeat says something else than the one before it did here.
func (t *traces) news(h *contract.Heartbeat) bool {
	words := strings.ToUpper(h.Status)
	well := words == "" || words == "UP"
	words += " " + h.Reason
	t.mu.Lock()
	defer t.mu.Unlock()
	before, troubled := t.troubled[h.NodeID]
	switch {
	case well:
		delete(t.troubled, h.NodeID)
		return troubled
	case !troubled && len(t.troubled) >= maxTroubled:
		return false
	}
	t.troubled[h.NodeID] = words
	return before != words
}

// end ends the span of a heartbeat with what its agent is told.
func (s *Service) endTrace(span *tracing.Span, no *refusal) {
	if span == nil {
		return
	}
	status, why := http.StatusOK, ""
	if no != nil {
		status, why = no.status, no.detail
	}
	span.Set(tracing.Number("http.response.status_code", status))
	span.End(s.Now(), why)
}

// publishing is the spans of one message on its way, one for each heartbeat in it that is traced.
type publishing struct {
	spans []*tracing.Span
	now   func() time.Time
}

// publishing begins them, and makes the message carry them.
func (c *committer) publishing(ctx context.Context, batch []*submission) (context.Context, publishing) {
	p := publishing{now: c.now}
	if !c.traced {
		return ctx, p
	}
	var carried []contract.Trace
	for i, s := range batch {
		if s.span == nil || len(carried) == contract.MaxTraces {
			continue
		}
		span := s.span.Child(tracing.Beginning{
			Name: "publish", Kind: tracing.Producer, At: c.now(),
			Attrs: []tracing.Attr{
				tracing.Text("messaging.system", "nats"), tracing.Number("messaging.batch.message_count", len(batch)),
			},
		})
		carried = append(carried, contract.Trace{Heartbeat: i, Parent: string(span.Context())})
		p.spans = append(p.spans, span)
	}
	return bus.WithHeader(ctx, contract.TracesHeader, contract.EncodeTraces(carried)), p
}

// end ends them with how it went.
func (p publishing) end(err error) {
	for _, s := range p.spans {
		why := ""
		if err != nil {
			why = err.Error()
		}
		s.End(p.now(), why)
	}
}
