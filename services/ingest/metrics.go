package ingest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are ingest's figures.
type metrics struct {
	requests          *prometheus.CounterVec
	stored            prometheus.Counter // of requests, those answered 200: looking it up costs as much as counting it ten times
	duration          prometheus.Histogram
	waiting           prometheus.Gauge
	batch             prometheus.Histogram
	publish           *prometheus.HistogramVec
	pulses            prometheus.Counter
	selfCheckFailures prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		requests: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_ingest_requests_total", Help: "Requests answered, by HTTP status.",
		}, []string{"status"})),
		duration: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gensyn_ingest_request_seconds", Help: "Duration of heartbeat requests, from the head read to the answer written.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		})),
		waiting: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gensyn_ingest_waiting_requests", Help: "Requests that wait until their heartbeat is stored.",
		})),
		batch: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gensyn_ingest_batch_heartbeats", Help: "Heartbeats in one message, pulses left out.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		})),
		publish: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gensyn_ingest_publish_seconds", Help: "Duration of publishing one message, by result.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}, []string{"result"})),
		pulses: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gensyn_ingest_pulses_total", Help: "Empty batches stored.",
		})),
		selfCheckFailures: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gensyn_ingest_self_check_failures_total", Help: "Times the own address did not answer.",
		})),
	}
	m.stored = m.requests.WithLabelValues("200")
	return m
}

// watch shows as a figure whether a part works. Not known yet counts as broken.
func (c *condition) watch(r prometheus.Registerer, part string) {
	register(r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gensyn_ingest_broken", Help: "1 while a part that ingest needs does not work.",
		ConstLabels: prometheus.Labels{"part": part},
	}, func() float64 {
		if c.get() != nil {
			return 1
		}
		return 0
	}))
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r != nil {
		r.MustRegister(c)
	}
	return c
}

func (m *metrics) answered(status int) {
	if status == http.StatusOK {
		m.stored.Inc()
		return
	}
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
}

// published notes one message and its fate.
func (m *metrics) published(took time.Duration, heartbeats int, err error) {
	result := "stored"
	if err != nil {
		result = "failed"
	}
	m.publish.WithLabelValues(result).Observe(took.Seconds())
	if heartbeats > 0 {
		m.batch.Observe(float64(heartbeats))
	}
}
