package agent

import (
	"bytes"
	"context"
	"errors"
	"log"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// rig is an agent in a bubble of fake time, with a node and a monitor that the test plays.
type rig struct {
	*Agent
	begun  time.Time
	sent   []contract.Heartbeat
	at     []time.Duration // when, since the begin
	answer func(n int) error
	node   probe.Result
	look   func(ctx context.Context) []probe.Report // rather than node
	random float64
	out    bytes.Buffer
}

// Probe makes the rig a profile.
func (r *rig) Probe(ctx context.Context) ([]probe.Report, []probe.Finding) {
	if r.look != nil {
		return r.look(ctx), nil
	}
	report := probe.Report{Status: probe.StatusUp, Reason: r.node.Reason, Evidence: r.node.Evidence}
	if !r.node.Passed() {
		report.Status = probe.StatusDown
	}
	return []probe.Report{report}, nil
}

// Forget makes the rig a profile.
func (r *rig) Forget(string) error { return errors.New("not known") }

func newRig(interval time.Duration) *rig {
	r := &rig{begun: time.Now(), answer: func(int) error { return nil }, random: 0.5}
	r.Agent = New(Options{
		Config:  Config{NodeID: "n", Meta: "m", Interval: interval},
		Version: "1.2.3",
		Profile: r,
		Send:    r.send,
		Address: func(context.Context) string { return "192.0.2.7" },
		Boot:    func() (string, int64) { return "boot", time.Since(r.begun).Milliseconds() + 1 },
		Log:     log.New(&r.out, "", 0),
		Random:  func() float64 { return r.random },
	})
	return r
}

func (r *rig) send(_ context.Context, h contract.Heartbeat) error {
	r.sent = append(r.sent, h)
	r.at = append(r.at, time.Since(r.begun))
	return r.answer(len(r.sent))
}

// runFor runs the loop for a span of fake time.
func (r *rig) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r.Run(ctx)
	if took := time.Since(r.begun); took != d {
		t.Errorf("it ended after %v, want %v", took, d)
	}
}

func (r *rig) wantTimes(t *testing.T, want ...time.Duration) {
	t.Helper()
	if len(r.at) != len(want) {
		t.Fatalf("heartbeats at %v, want %v", r.at, want)
	}
	for i := range want {
		if r.at[i].Round(time.Millisecond) != want[i] {
			t.Fatalf("heartbeats at %v, want %v", r.at, want)
		}
	}
}

func (r *rig) wantLog(t *testing.T, lines ...string) {
	t.Helper()
	if want := strings.Join(append(lines, ""), "\n"); r.out.String() != want {
		t.Errorf("log\n%swant\n%s", r.out.String(), want)
	}
}

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.Config.Secret = "hunter2"
		h := r.Collect(t.Context(), time.Minute)[0]
		if h.NodeID != "n" || h.Meta != "m" || h.IP != "192.0.2.7" || h.Status != "UP" || h.Reason != "" || h.Evidence != "" {
			t.Errorf("%+v", h)
		}
		if h.IntervalSec != 60 || h.BootID != "boot" || h.Seq != 1 || h.Agent.Version != "1.2.3" || h.Agent.OS == "" || h.Agent.Arch == "" {
			t.Errorf("%+v", h)
		}
		r.node = probe.Result{Reason: "no_screen", Evidence: "none"}
		if h := r.Collect(t.Context(), 0)[0]; h.Status != "DOWN" || h.Reason != "no_screen" || h.Evidence != "none" || h.IntervalSec != 0 {
			t.Errorf("%+v", h)
		}
	})
}

func TestRunReportsAtOnceAndEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.runFor(t, 150*time.Second)
		r.wantTimes(t, 0, 33*time.Second, 93*time.Second)
		for _, h := range r.sent {
			if h.IntervalSec != 60 {
				t.Errorf("%+v", h)
			}
		}
		r.wantLog(t, "heartbeat accepted: UP")
	})
}

// TestIntervalsStray: the first may be of any length, so that machines that started together drift apart; the others
// stray by five percent.
func TestIntervalsStray(t *testing.T) {
	for random, want := range map[float64][]time.Duration{
		0: {6 * time.Second, 63 * time.Second}, 0.5: {33 * time.Second, 93 * time.Second}, 1: {time.Minute, 123 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(time.Minute)
			r.random = random
			r.runFor(t, 125*time.Second)
			if len(r.at) > 3 {
				r.at = r.at[:3]
			}
			r.wantTimes(t, append([]time.Duration{0}, want...)...)
		})
	}
}

// TestAThousandAgentsDoNotReportTogether: machines that were switched on at one instant.
func TestAThousandAgentsDoNotReportTogether(t *testing.T) {
	const agents, interval = 1000, time.Minute
	perSecond := make(map[time.Duration]int)
	chance := rand.New(rand.NewPCG(1, 2))
	for range agents {
		a := New(Options{Config: Config{Interval: interval}, Random: chance.Float64})
		at := a.firstGap()
		for range 10 {
			perSecond[at.Truncate(time.Second)]++
			at += a.stray(interval, jitter)
		}
	}
	most := 0
	for _, n := range perSecond {
		most = max(most, n)
	}
	// Evenly spread they would be 17 a second.
	if most > 50 {
		t.Errorf("%d of %d heartbeats in one second", most, agents)
	}
}

func TestASlowReportDoesNotShiftTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(int) error {
			time.Sleep(8 * time.Second)
			return nil
		}
		r.runFor(t, 150*time.Second)
		r.wantTimes(t, 0, 33*time.Second, 93*time.Second)
	})
}

var busy = &SendError{Text: "busy", Retry: true}

func TestRetriesBackOffWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(int) error { return busy }
		r.random = 1
		r.runFor(t, 70*time.Second)
		s := time.Second
		r.wantTimes(t, 0, 1*s, 3*s, 7*s, 15*s, 30*s, 45*s, 60*s, 61*s, 63*s, 67*s)
		r.wantLog(t, "heartbeat not accepted: busy")
	})
}

func TestRetriesStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.random = 0.25 // full jitter: any part of the wait
		r.answer = func(n int) error {
			if n < 3 {
				return busy
			}
			return nil
		}
		r.runFor(t, 10*time.Second)
		r.wantTimes(t, 0, time.Second/4, 3*time.Second/4)
	})
}

func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.random = 0.25
		r.answer = func(n int) error {
			if n == 1 {
				return &SendError{Text: "busy", Retry: true, RetryAfter: 7 * time.Second}
			}
			return nil
		}
		r.runFor(t, 10*time.Second)
		r.wantTimes(t, 0, 7250*time.Millisecond)
		r.wantLog(t, "heartbeat not accepted: busy", "heartbeats are accepted again after 7s", "heartbeat accepted: UP")
	})
}

func TestALongRetryAfterWaitsForTheNextInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(int) error { return &SendError{Text: "busy", Retry: true, RetryAfter: time.Hour} }
		r.runFor(t, 80*time.Second)
		r.wantTimes(t, 0, 33*time.Second)
	})
}

func TestARetryTellsTheNodeAsItIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(n int) error {
			if n > 1 {
				return nil
			}
			r.node = probe.Result{Reason: "no_process", Evidence: "gone"}
			return busy
		}
		r.runFor(t, 10*time.Second)
		if len(r.sent) != 2 || r.sent[0].Status != "UP" || r.sent[1].Status != "DOWN" || r.sent[1].Seq <= r.sent[0].Seq {
			t.Errorf("%+v", r.sent)
		}
	})
}

func TestRefusalsWaitForTheNextInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(int) error { return &SendError{Text: "the server answered 401"} }
		r.runFor(t, 140*time.Second)
		r.wantTimes(t, 0, 33*time.Second, 93*time.Second)
		r.wantLog(t, "heartbeat not accepted: the server answered 401")
	})
}

func TestATroubleIsToldWhenItChangesThenAfterTenMinutesThenHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(n int) error {
			switch {
			case n <= 2:
				return &SendError{Text: "one"}
			case n <= 150:
				return &SendError{Text: "two"}
			}
			return nil
		}
		r.runFor(t, 160*time.Minute)
		r.wantLog(t,
			"heartbeat not accepted: one",
			"heartbeat still not accepted: two",
			"still failing for 11m33s: two",
			"still failing for 1h11m33s: two",
			"still failing for 2h11m33s: two",
			"heartbeats are accepted again after 2h29m33s",
			"heartbeat accepted: UP",
		)
	})
}

func TestAChangeOfTheNodeIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.answer = func(n int) error {
			r.node = probe.Result{}
			if n == 2 || n == 3 {
				r.node = probe.Result{Reason: "no_screen", Evidence: "no screen session .gensyn"}
			}
			return nil
		}
		r.runFor(t, 5*time.Minute)
		r.wantLog(t, "heartbeat accepted: UP",
			"heartbeat accepted: DOWN, no_screen: no screen session .gensyn", "heartbeat accepted: UP")
	})
}

func TestWhatIsSeenWhileStoppingIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.look = func(ctx context.Context) []probe.Report { // as a killed command would
			<-ctx.Done()
			return []probe.Report{{Status: probe.StatusDown, Reason: "no_screen"}}
		}
		r.runFor(t, time.Second)
		r.wantTimes(t)
		r.wantLog(t)
	})
}

func TestAStopWhileSendingIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		r.Send = func(ctx context.Context, _ contract.Heartbeat) error {
			<-ctx.Done()
			return ctx.Err()
		}
		r.runFor(t, time.Second)
		r.wantLog(t)
	})
}

func TestOnce(t *testing.T) {
	trouble := &SendError{Text: "no"}
	tests := []struct {
		name     string
		answer   func(n int) error
		want     error
		attempts int
		log      []string
	}{
		{"accepted", func(int) error { return nil }, nil, 1, []string{"heartbeat accepted: UP"}},
		{"refused", func(int) error { return trouble }, trouble, 1, []string{"heartbeat not accepted: no"}},
		{"busy for long", func(int) error { return busy }, busy, 7, []string{"heartbeat not accepted: busy"}},
		{"busy at first", func(n int) error {
			if n == 1 {
				return busy
			}
			return nil
		}, nil, 2, []string{"heartbeat not accepted: busy", "heartbeats are accepted again after 1s", "heartbeat accepted: UP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(time.Minute)
				r.random = 1
				r.answer = tt.answer
				if err := r.Once(t.Context()); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if len(r.sent) != tt.attempts || r.sent[0].IntervalSec != 0 {
					t.Errorf("%d heartbeats: %+v", len(r.sent), r.sent[0])
				}
				r.wantLog(t, tt.log...)
			})
		})
	}
}

func TestTheLastAttemptEndsBeforeTheNextReport(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		time.Second: time.Second / 2, 10 * time.Second: 5 * time.Second, time.Minute: 50 * time.Second,
	} {
		if got := lastAttempt(interval); got != want {
			t.Errorf("%v: %v, want %v", interval, got, want)
		}
	}
}
