package tracing

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// queueLength is how many spans wait at most.
	queueLength = 4096
	// atOnce is how many spans one request holds at most.
	atOnce = 512
	// gather is how long spans wait for others to go with.
	gather = time.Second
	// closeLimit bounds sending the last spans: whoever stops waits for them.
	closeLimit = time.Second
)

// What became of a span.
const (
	sent    = "sent"
	failed  = "failed"  // the collector did not take it
	dropped = "dropped" // the queue was full, or its end came first
)

// queue hands spans to an exporter, in a goroutine of its own. It stands in for the SDK's batch processor, which does
// not say how many spans it drops and takes as long to stop as the collector does to answer.
type queue struct {
	exporter sdktrace.SpanExporter
	timeout  time.Duration
	log      zerolog.Logger
	spans    chan sdktrace.ReadOnlySpan
	ctx      context.Context // of all requests
	cancel   context.CancelFunc
	stopping chan struct{}
	stop     sync.Once
	done     chan struct{}
	broken   atomic.Bool
	counted  *prometheus.CounterVec
}

func newQueue(exporter sdktrace.SpanExporter, timeout time.Duration, o Options) *queue {
	q := &queue{
		exporter: exporter, timeout: timeout, log: o.Log,
		spans: make(chan sdktrace.ReadOnlySpan, queueLength), stopping: make(chan struct{}), done: make(chan struct{}),
		counted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_trace_spans_total", Help: "Spans ended, by what became of them: sent, failed or dropped.",
		}, []string{"result"}),
	}
	for _, result := range []string{sent, failed, dropped} {
		q.counted.WithLabelValues(result)
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(q.counted)
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart implements sdktrace.SpanProcessor.
func (q *queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	select {
	case <-q.stopping:
		q.count(dropped, 1)
		return
	default:
	}
	select {
	case q.spans <- s:
	default:
		q.count(dropped, 1)
	}
}

// ForceFlush implements sdktrace.SpanProcessor.
func (q *queue) ForceFlush(context.Context) error { return nil }

// Shutdown implements sdktrace.SpanProcessor.
func (q *queue) Shutdown(context.Context) error {
	q.close()
	return nil
}

func (q *queue) close() {
	q.stop.Do(func() {
		close(q.stopping)
		defer time.AfterFunc(closeLimit, q.cancel).Stop()
		<-q.done
		q.cancel()
		q.count(dropped, len(q.spans)) // ended while it was closed
	})
}

// run sends until the queue is closed, and then what is in it.
func (q *queue) run() {
	defer close(q.done)
	for {
		batch, last := q.next()
		if len(batch) > 0 {
			q.send(batch)
		}
		if last && len(q.spans) == 0 {
			return
		}
	}
}

// next waits for a span, and then a while for others. last says that there is nothing more to wait for.
func (q *queue) next() (batch []sdktrace.ReadOnlySpan, last bool) {
	timer := time.NewTimer(gather)
	timer.Stop()
	defer timer.Stop()
	for len(batch) < atOnce {
		select {
		case s := <-q.spans:
			if batch = append(batch, s); len(batch) == 1 {
				timer.Reset(gather)
			}
		case <-timer.C:
			return batch, false
		case <-q.stopping:
			return append(batch, q.atHand(atOnce-len(batch))...), true
		}
	}
	return batch, false
}

// atHand takes at most n spans that wait already.
func (q *queue) atHand(n int) (some []sdktrace.ReadOnlySpan) {
	for range n {
		select {
		case s := <-q.spans:
			some = append(some, s)
		default:
			return some
		}
	}
	return some
}

// send sends once. A trace that is lost costs nothing; one that came twice, or much later, would mislead.
func (q *queue) send(batch []sdktrace.ReadOnlySpan) {
	if q.ctx.Err() != nil {
		q.count(dropped, len(batch))
		return
	}
	ctx, cancel := context.WithTimeout(q.ctx, q.timeout)
	defer cancel()
	err := q.exporter.ExportSpans(ctx, batch)
	if err == nil {
		q.count(sent, len(batch))
		if q.broken.Swap(false) {
			q.log.Info().Msg("the collector takes traces again")
		}
		return
	}
	q.count(failed, len(batch))
	if !q.broken.Swap(true) {
		q.log.Warn().Err(err).Msg("the collector does not take traces: they are lost until it does, and nothing else is")
	}
}

func (q *queue) count(result string, spans int) {
	q.counted.WithLabelValues(result).Add(float64(spans))
}
