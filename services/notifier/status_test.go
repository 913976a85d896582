package notifier

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

// problems is what readiness says.
func problems(t *testing.T, s *running) error {
	t.Helper()
	var errs []error
	for _, c := range s.Checks() {
		errs = append(errs, c.Run(t.Context()))
	}
	return errors.Join(errs...)
}

func TestReadinessSaysWhyAndSinceWhen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		var mended atomic.Bool
		sender := newScript(func(int, string, string) error {
			if mended.Load() {
				return nil
			}
			return &telegram.Error{Words: "chat 1: unblock the bot", Permanent: true}
		})
		s := start(t, "a", store, sender, "1")
		synctest.Wait()
		if err := problems(t, s); err != nil {
			t.Errorf("before any alert: %v", err)
		}
		store.commit(downs(1)...)
		time.Sleep(3*time.Minute + time.Second)
		want := "chat 1: unblock the bot; the oldest untold alert is 3 minutes 1 second old"
		if err := problems(t, s); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		mended.Store(true)
		<-sender.accepted
		synctest.Wait()
		if err := problems(t, s); err != nil {
			t.Errorf("after the bot was unblocked: %v", err)
		}
	})
}

func TestReadinessIsPatientWithWhatPasses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		s := start(t, "a", store, newScript(func(int, string, string) error { return errors.New("away") }), "1")
		store.commit(downs(1)...)
		time.Sleep(10 * time.Second)
		if err := problems(t, s); err != nil {
			t.Errorf("after 10 s: %v", err)
		}
		time.Sleep(time.Minute)
		if err := problems(t, s); err == nil || !strings.Contains(err.Error(), "away") {
			t.Errorf("after 70 s: %v", err)
		}
	})
}

// After a restart the age of a frozen notification is not known exactly.
func TestReadinessAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		refuse := newScript(func(int, string, string) error { return &telegram.Error{Words: "no", Permanent: true} })
		store.commit(downs(1)...)
		a := start(t, "a", store, refuse, "1")
		time.Sleep(time.Minute)
		a.stop()
		b := start(t, "a", store, refuse, "1")
		time.Sleep(2 * time.Minute)
		if err := problems(t, b); err == nil || !strings.Contains(err.Error(), "at least 2 minutes old") {
			t.Errorf("%v", err)
		}
	})
}

func TestAStandByIsReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		refuse := newScript(func(int, string, string) error { return &telegram.Error{Words: "no", Permanent: true} })
		start(t, "a", store, refuse, "1")
		synctest.Wait()
		b := start(t, "b", store, refuse, "1")
		store.commit(downs(1)...)
		time.Sleep(time.Minute)
		if err := problems(t, b); err != nil {
			t.Error(err)
		}
	})
}

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, reg := newMemory(), prometheus.NewRegistry()
		sender := newScript(func(call int, _, _ string) error {
			switch call {
			case 1:
				return &telegram.Error{Words: "wait", RetryAfter: 5 * time.Second}
			case 2:
				return errors.New("away")
			case 3:
				return &telegram.Error{Words: "no", Permanent: true}
			}
			return nil
		})
		s, err := New(Options{ID: "a", Store: store, Sender: sender, Chats: []string{"1"}, Log: zerolog.Nop(), Metrics: reg})
		if err != nil {
			t.Fatal(err)
		}
		for series, want := range map[string]float64{"messages_total": 0, "alerts_total": 0, "lease_held": 0, "broken": 0} {
			if got := metric(t, reg, "gensyn_notifier_"+series, ""); got != want { // there from the start
				t.Errorf("%s before all: %v, want %v", series, got, want)
			}
		}
		go func() { _ = s.Run(t.Context()) }()
		store.commit(downs(3)...)
		time.Sleep(20 * time.Second)
		if got := metric(t, reg, "gensyn_notifier_lease_held", ""); got != 1 {
			t.Errorf("the lease: %v, want 1", got)
		}
		if got := metric(t, reg, "gensyn_notifier_untold_seconds", ""); got != 20 {
			t.Errorf("untold for %v s, want 20", got)
		}
		<-sender.accepted
		synctest.Wait()
		for result, want := range map[string]float64{"accepted": 1, "throttled": 1, "failed": 1, "refused": 1} {
			if got := metric(t, reg, "gensyn_notifier_messages_total", result); got != want {
				t.Errorf("%s: %v, want %v", result, got, want)
			}
		}
		if got := metric(t, reg, "gensyn_notifier_alerts_total", ""); got != 3 {
			t.Errorf("%v alerts, want 3", got)
		}
		if got := metric(t, reg, "gensyn_notifier_untold_seconds", ""); got != 0 {
			t.Errorf("untold for %v s afterwards", got)
		}
	})
}

// metric reads one sample, of the given result label unless that is empty.
func metric(t *testing.T, r *prometheus.Registry, name, result string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if result == "" || l.GetName() == "result" && l.GetValue() == result {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	t.Fatalf("no sample of %s{result=%q}", name, result)
	return 0
}
