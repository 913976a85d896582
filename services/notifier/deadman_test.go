package notifier

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const untoldLimit = 10 * time.Minute

// callers counts the calls of several notifiers.
type callers struct {
	mu   sync.Mutex
	at   []time.Time
	fail atomic.Pointer[error]
}

func (c *callers) Call(context.Context) error {
	if err := c.fail.Load(); err != nil {
		return *err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
	return nil
}

// since is how many calls came after a moment.
func (c *callers) since(t time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.at {
		if at.After(t) {
			n++
		}
	}
	return n
}

// heartbeats commits one every so often, from now on, until stop is called.
func heartbeats(t *testing.T, m *memory, every time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			m.change(func() { m.flow.Epoch, m.flow.Accepted = 1, m.flow.Accepted+1 })
			sleep(ctx, every)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func (m *memory) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// watched runs a notifier that calls c.
func watched(t *testing.T, id string, store nodestore.Deliveries, c Caller) *running {
	t.Helper()
	return startWith(t, Options{ID: id, Store: store, Sender: newScript(nil), Chats: []string{"1"}, Deadman: c})
}

// between fails unless there were from least to most calls since a moment.
func between(t *testing.T, what string, c *callers, since time.Time, least, most int) {
	t.Helper()
	if n := c.since(since); n < least || n > most {
		t.Errorf("%s: %d calls in %v, want %d to %d", what, n, time.Since(since), least, most)
	}
}

func TestTheDeadmanAddressIsCalledWhileHeartbeatsFlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, c := newMemory(), &callers{}
		s := watched(t, "a", store, c)
		at := time.Now()
		time.Sleep(time.Hour)
		between(t, "no node at all", c, at, 0, 0)
		if n := s.log.count(becauseNobody); n != 1 {
			t.Errorf("said %d times that nobody reports", n)
		}

		for _, every := range []time.Duration{time.Second, 20 * time.Second, time.Minute} {
			stop := heartbeats(t, store, every)
			time.Sleep(time.Minute)
			at = time.Now()
			time.Sleep(time.Hour)
			between(t, "a heartbeat every "+every.String(), c, at, 55, 60)
			stop()
			at = time.Now()
			time.Sleep(time.Hour)
			between(t, "heartbeats ended", c, at, 0, 1)
		}
		if n := s.log.count(becauseSilent); n != 3 {
			t.Errorf("said %d times that nothing comes, want once an outage", n)
		}
	})
}

// Pulses move the position, and the fold goes on: that is no heartbeat.
func TestAPulseIsNoHeartbeat(t *testing.T) {
	w := watch{every: time.Minute, limit: untoldLimit}
	now := time.Now()
	for i, tt := range []struct {
		flow nodestore.Flow
		err  error
		want string
	}{
		{flow: nodestore.Flow{Epoch: 1}, want: becauseNobody},
		{flow: nodestore.Flow{Epoch: 1, Accepted: 5}},                      // the first heartbeat ever
		{flow: nodestore.Flow{Epoch: 1, Accepted: 5}, want: becauseSilent}, // called since
		{flow: nodestore.Flow{Epoch: 1, Accepted: 4}},                      // a clock went back
		{flow: nodestore.Flow{Epoch: 2, Accepted: 4}},                      // another stream
		{flow: nodestore.Flow{Epoch: 2, Accepted: 9}, err: errors.New("no"), want: becauseDatabase},
		{flow: nodestore.Flow{Epoch: 2, Accepted: 9}},
		{flow: nodestore.Flow{Epoch: 2, Accepted: 10, Untold: "x", UntoldAge: untoldLimit}},
		{flow: nodestore.Flow{Epoch: 2, Accepted: 11, Untold: "x", UntoldAge: untoldLimit + 1}, want: becauseUntold + "10m0s"},
		{flow: nodestore.Flow{Epoch: 2, Accepted: 12}},
	} {
		now = now.Add(10 * time.Second)
		w.look(tt.flow, tt.err, now)
		if got := w.withheld(now); got != tt.want {
			t.Errorf("look %d: %q, want %q", i, got, tt.want)
		} else if got == "" {
			w.called()
		}
	}
}

// What was heard an hour ago, while the watchdog could not be reached, is no reason to call once it can.
func TestAnOldHeartbeatIsNoReasonToCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, c := newMemory(), &callers{}
		failure := errors.New("it refuses connections")
		c.fail.Store(&failure)
		stop := heartbeats(t, store, 5*time.Second)
		watched(t, "a", store, c)
		time.Sleep(10 * time.Minute)
		stop()
		time.Sleep(2 * time.Minute)
		c.fail.Store(nil)
		at := time.Now()
		time.Sleep(time.Hour)
		between(t, "the watchdog is back, heartbeats are not", c, at, 0, 0)
	})
}

// A database clock that was set back makes alerts look young: this process's own clock counts, too.
func TestUntoldAlertsAgeByTheOwnClock(t *testing.T) {
	w := watch{every: time.Minute, limit: untoldLimit}
	now := time.Now()
	for i := range 70 {
		now = now.Add(10 * time.Second)
		w.look(nodestore.Flow{Epoch: 1, Accepted: stamp(now), Untold: "x", UntoldAge: -time.Hour}, nil, now)
		if got, want := w.withheld(now) == becauseUntold+"10m0s", i > 60; got != want {
			t.Fatalf("after %d looks: withheld %v, want %v", i, got, want)
		}
	}
}

func TestAMonitorThatCanTellNobodyIsNotCalledAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, c := newMemory(), &callers{}
		heartbeats(t, store, 5*time.Second)
		s := watched(t, "a", store, c)
		time.Sleep(time.Minute)
		found := time.Now()
		age := func() {
			for range 60 {
				time.Sleep(time.Minute)
				store.change(func() { store.flow.Untold, store.flow.UntoldAge = "1:0:1:0", time.Since(found) })
			}
		}
		age()
		between(t, "an alert waits", c, found, 9, 11)
		if n := s.log.count(becauseUntold); n != 1 {
			t.Errorf("said %d times why", n)
		}
		store.change(func() { store.flow.Untold, store.flow.UntoldAge = "", 0 })
		told := time.Now()
		time.Sleep(10 * time.Minute)
		between(t, "it was told", c, told, 9, 11)
	})
}

func TestADatabaseThatIsAwayIsNotCalledAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, c := newMemory(), &callers{}
		heartbeats(t, store, 5*time.Second)
		watched(t, "a", store, c)
		time.Sleep(time.Minute)
		store.change(func() { store.fail = func(string, bool) error { return nodestore.ErrUnavailable } })
		at := time.Now()
		time.Sleep(time.Hour)
		between(t, "away", c, at, 0, 0)
		store.change(func() { store.fail = nil })
		at = time.Now()
		time.Sleep(10 * time.Minute)
		between(t, "back", c, at, 8, 11)
	})
}

// Of two notifiers one calls. When it dies, or is frozen, the other does, without a gap that a watchdog would notice.
func TestOneOfTwoNotifiersCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, c := newMemory(), &callers{}
		heartbeats(t, store, 5*time.Second)
		cut := newProcess(store)
		first := watched(t, "a", cut, cut.caller(c))
		watched(t, "b", store, c)
		time.Sleep(10 * time.Minute)
		between(t, "two", c, time.Now().Add(-9*time.Minute), 8, 10)
		cut.kill()
		first.stop()
		at := time.Now()
		time.Sleep(10 * time.Minute)
		between(t, "one died", c, at, 9, 11)
		for i := range c.at {
			if i > 0 && c.at[i].Sub(c.at[i-1]) > 80*time.Second {
				t.Errorf("a gap of %v", c.at[i].Sub(c.at[i-1]))
			}
		}
	})
}

func TestAWatchdogThatFailsHarmsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, c, reg := newMemory(), &callers{}, prometheus.NewRegistry()
		heartbeats(t, store, 5*time.Second)
		hang := make(chan struct{})
		sender := newScript(nil)
		s := startWith(t, Options{
			ID: "a", Store: store, Sender: sender, Chats: []string{"1"}, Metrics: reg,
			Deadman: callerFunc(func(ctx context.Context) error {
				select {
				case <-hang:
					return c.Call(ctx)
				case <-ctx.Done():
					return ctx.Err()
				}
			}),
		})
		time.Sleep(time.Hour)
		store.commit(downs(1)...)
		s.Wake()
		at := time.Now()
		if m := <-sender.accepted; m.at.Sub(at) > time.Second {
			t.Errorf("told after %v", m.at.Sub(at))
		}
		failure := errors.New("it answers 500 Internal Server Error")
		c.fail.Store(&failure)
		close(hang)
		time.Sleep(time.Hour)
		if n := s.log.count("called in vain"); n != 1 {
			t.Errorf("%d log lines for one row of failures", n)
		}
		c.fail.Store(nil)
		time.Sleep(10 * time.Minute)
		if n := s.log.count("is called every"); n != 1 {
			t.Errorf("said %d times that it works again", n)
		}
		if got := metric(t, reg, "gensyn_notifier_deadman_calls_total", "failed"); got < 60 {
			t.Errorf("%v failed calls counted", got)
		}
		if got := metric(t, reg, "gensyn_notifier_deadman_calls_total", "accepted"); got < 9 || got > 11 {
			t.Errorf("%v calls counted", got)
		}
	})
}

type callerFunc func(ctx context.Context) error

func (f callerFunc) Call(ctx context.Context) error { return f(ctx) }

// startWith runs a notifier until the test ends or stop is called.
func startWith(t *testing.T, o Options) *running {
	t.Helper()
	r := &running{log: &logBuffer{}}
	o.Log, o.Random = zerolog.New(r.log), func() float64 { return 0.5 }
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	r.Service = s
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}
