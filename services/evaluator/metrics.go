package evaluator

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// metrics are the evaluator's figures.
type metrics struct {
	owner                                     prometheus.Gauge
	pending                                   prometheus.Gauge
	messages, heartbeats                      prometheus.Counter
	malformed, discarded, epochs, unannounced prometheus.Counter
	unknownVersions, left                     prometheus.Counter
	commitErrors, samples, samplesDropped     prometheus.Counter
	commit                                    prometheus.Histogram
	events, databaseErrors                    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "gensyn_evaluator_" + name, Help: help}))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "gensyn_evaluator_" + name, Help: help}))
	}
	m := metrics{
		owner:      gauge("lease_held", "1 while this evaluator folds, 0 while it stands by."),
		pending:    gauge("pending_messages", "Messages of the stream that are not folded yet."),
		messages:   counter("messages_total", "Messages folded."),
		heartbeats: counter("heartbeats_total", "Heartbeats folded."),
		malformed:  counter("malformed_messages_total", "Messages skipped because they could not be read."),
		discarded:  counter("discarded_messages_total", "Messages that the stream discarded before they were folded."),
		unknownVersions: counter("unknown_version_messages_total",
			"Times folding ended at a message of a newer program: this evaluator must be updated."),
		epochs:      counter("epochs_total", "Times the stream turned out to be another one."),
		unannounced: counter("unannounced_events_total", "Committed events that could not be announced."),
		left: counter("lease_left_total",
			"Times this evaluator left the lease to others because its own connection to NATS was down."),
		commitErrors: counter("commit_errors_total", "Commits that failed or whose answer was lost."),
		samples:      counter("samples_total", "Samples of what agents measure that were handed to the database."),
		samplesDropped: counter("dropped_samples_total",
			"Samples that were not stored, since the database did not take them in time."),
		commit: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gensyn_evaluator_commit_seconds", Help: "Duration of commits.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 12),
		})),
		events: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_evaluator_events_total", Help: "Committed events by kind and new state.",
		}, []string{"kind", "to"})),
		databaseErrors: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_evaluator_database_errors_total", Help: "Calls of the database that failed, by kind of trouble.",
		}, []string{"kind"})),
	}
	for _, kind := range nodestore.Troubles { // a counter that appears with its first error shows no increase
		m.databaseErrors.WithLabelValues(string(kind))
	}
	return m
}

// watch shows each part's state as a figure.
func (h *health) watch(r prometheus.Registerer) {
	for _, part := range parts {
		register(r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gensyn_evaluator_broken", Help: "1 while a part that the evaluator needs does not work.",
			ConstLabels: prometheus.Labels{"part": part},
		}, func() float64 {
			if h.get(part) != nil {
				return 1
			}
			return 0
		}))
	}
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r != nil {
		r.MustRegister(c)
	}
	return c
}

func (m *metrics) folded(f node.Message, pending uint64) {
	m.messages.Inc()
	m.heartbeats.Add(float64(len(f.Heartbeats)))
	m.pending.Set(float64(pending))
}
