package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the page's figures.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	query    prometheus.Histogram
	database prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	return metrics{
		requests: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_web_requests_total", Help: "Answered requests by route and status.",
		}, []string{"route", "status"})),
		duration: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gensyn_web_request_seconds", Help: "Duration of requests by route.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 9),
		}, []string{"route"})),
		query: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gensyn_web_query_seconds", Help: "Duration of reading status and nodes, shared by all viewers.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 9),
		})),
		database: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gensyn_web_database_up", Help: "1 while the database can be read.",
		})),
	}
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r != nil {
		r.MustRegister(c)
	}
	return c
}

// measure counts the answers of one route. The route is a name of ours, never a path that a client made up.
func (m metrics) measure(route string, now func() time.Time, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next(ww, r)
		status := ww.Status()
		if status == 0 {
			status = http.StatusOK
		}
		m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
		m.duration.WithLabelValues(route).Observe(now().Sub(start).Seconds())
	}
}
