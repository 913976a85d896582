package notifier

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	messages *prometheus.CounterVec
	alerts   *prometheus.CounterVec
}

// results are what can become of an attempt to send a message.
var results = []string{resultAccepted, resultThrottled, resultRefused, resultFailed}

const (
	resultAccepted  = "accepted"
	resultThrottled = "throttled"
	resultRefused   = "refused"
	resultFailed    = "failed"
)

func newMetrics() *metrics {
	return &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_notifier_messages_total",
			Help: "Attempts to send a message, by chat and result: accepted, throttled, refused or failed.",
		}, []string{"chat", "result"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gensyn_notifier_alerts_total",
			Help: "Alerts put into messages, by chat.",
		}, []string{"chat"}),
	}
}

// register adds the metrics, and for each chat the age of the oldest alert not told yet.
func (m *metrics) register(r prometheus.Registerer, chats []*chat) error {
	errs := []error{r.Register(m.messages), r.Register(m.alerts)}
	for _, c := range chats {
		for _, result := range results { // a counter that appears with its first failure shows no increase
			m.messages.WithLabelValues(c.name, result)
		}
		m.alerts.WithLabelValues(c.name)
		gauge := func(name, help string, value func() float64) {
			errs = append(errs, r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "gensyn_notifier_" + name, Help: help, ConstLabels: prometheus.Labels{"chat": c.name},
			}, value)))
		}
		gauge("untold_seconds", "Age of the oldest alert that waits to be accepted; 0 when there is none.",
			func() float64 { return c.status.untold(c.o.Now()).Seconds() })
		gauge("lease_held", "1 while this notifier tells the chat, 0 while it stands by.",
			func() float64 { return number(c.status.leads()) })
		gauge("broken", "1 while nothing can be told at all, as when the database is off.",
			func() float64 { return number(c.status.cannot()) })
	}
	return errors.Join(errs...)
}

func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
