package evaluator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// metrics are the evaluator's figures.
type metrics struct {
	owner, term, stamp, deaf                  prometheus.Gauge
	pending                                   prometheus.Gauge
	messages, heartbeats                      prometheus.Counter
	malformed, discarded, epochs, unannounced prometheus.Counter
	unknownVersions, left                     prometheus.Counter
	commitErrors, samples, samplesDropped     prometheus.Counter
	commit                                    prometheus.Histogram
	events, databaseErrors, blind             *prometheus.CounterVec
	nodes                                     *prometheus.GaugeVec
}

// states are those that a node can be in.
var states = []node.State{node.Up, node.Degraded, node.Down, node.Lost}

// spans are the events that end a span in which nobody could be heard, and what they are called as a figure.
var spans = map[node.Kind]string{node.Blind: "blind", node.Hearing: "deaf"}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "gensyn_evaluator_" + name, Help: help}))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "gensyn_evaluator_" + name, Help: help}))
	}
	m := metrics{
		owner: gauge("lease_held", "1 while this evaluator folds, 0 while it stands by."),
		term:  gauge("lease_term", "The how-manieth holder of the lease this evaluator is; 0 while it stands by."),
		deaf:  gauge("deaf", "1 while nothing reaches any ingest though ingest runs."),
		stamp: gauge("committed_stamp_seconds", "Stamp, as Unix time, of the newest message folded and committed: "+
			"no heartbeat that waits to be folded is older. 0 while standing by."),
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
		blind: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_evaluator_blind_seconds_total",
			Help: "Seconds in which nobody could be heard, by kind: blind (no ingest could hear) or deaf (nothing reached one).",
		}, []string{"kind"})),
		nodes: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gensyn_evaluator_nodes", Help: "Nodes by state, as committed; 0 while this evaluator stands by.",
		}, []string{"state"})),
	}
	m.prepare()
	return m
}

// prepare makes the series that are known beforehand: a counter that appears with its first event shows no increase.
func (m *metrics) prepare() {
	for _, kind := range nodestore.Troubles {
		m.databaseErrors.WithLabelValues(string(kind))
	}
	for _, to := range states {
		m.events.WithLabelValues(string(node.Changed), string(to))
		m.nodes.WithLabelValues(string(to))
	}
	for _, kind := range []node.Kind{node.Blind, node.Deaf, node.Hearing, node.Stalled} {
		m.events.WithLabelValues(string(kind), "")
	}
	for _, span := range spans {
		m.blind.WithLabelValues(span)
	}
}

// committed shows what the database has by now.
func (m *metrics) committed(f *node.Fold, c node.Changes) {
	m.position(f, c.Clock)
	for _, e := range c.Events {
		m.events.WithLabelValues(string(e.Kind), string(e.To)).Inc()
		if span := spans[e.Kind]; span != "" {
			m.blind.WithLabelValues(span).Add(e.Lasted.Seconds())
		}
	}
}

// position shows the fold as of a clock. It costs the same however many nodes there are.
func (m *metrics) position(f *node.Fold, c node.Clock) {
	m.stamp.Set(float64(c.Position.Stamp) / float64(time.Second))
	m.deaf.Set(0)
	if c.Deaf {
		m.deaf.Set(1)
	}
	for _, s := range states {
		m.nodes.WithLabelValues(string(s)).Set(float64(f.Count(s)))
	}
}

// owns shows that this evaluator folds.
func (m *metrics) owns(term int64, f *node.Fold) {
	m.owner.Set(1)
	m.term.Set(float64(term))
	m.position(f, f.Clock())
}

// standby takes back what only the owner knows: of several evaluators one has figures of the fold.
func (m *metrics) standby() {
	for _, g := range []prometheus.Gauge{m.owner, m.term, m.stamp, m.deaf, m.pending} {
		g.Set(0)
	}
	for _, s := range states {
		m.nodes.WithLabelValues(string(s)).Set(0)
	}
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
