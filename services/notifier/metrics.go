package notifier

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	messages *prometheus.CounterVec
	alerts   *prometheus.CounterVec
}

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
		errs = append(errs, r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "gensyn_notifier_untold_seconds",
			Help:        "Age of the oldest alert that waits to be accepted; 0 when there is none.",
			ConstLabels: prometheus.Labels{"chat": c.name},
		}, func() float64 { return c.status.untold(c.o.Now()).Seconds() })))
	}
	return errors.Join(errs...)
}
