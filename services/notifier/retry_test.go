package notifier

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram"
)

func TestJudge(t *testing.T) {
	timing := Timing{}.withDefaults()
	for name, tt := range map[string]struct {
		err      error
		failures int
		random   float64
		want     verdict
	}{
		"429":             {&telegram.Error{Words: "w", RetryAfter: 90 * time.Second}, 5, 1, verdict{"w", 90 * time.Second, false, "throttled"}},
		"403":             {&telegram.Error{Words: "w", Permanent: true}, 5, 1, verdict{"w", 5 * time.Minute, true, "refused"}},
		"wrapped 403":     {fmt.Errorf("x: %w", &telegram.Error{Words: "w", Permanent: true}), 0, 0, verdict{"x: w", 5 * time.Minute, true, "refused"}},
		"5xx":             {&telegram.Error{Words: "w"}, 0, 0, verdict{"w", time.Second, false, "failed"}},
		"5xx with jitter": {&telegram.Error{Words: "w"}, 3, 1, verdict{"w", 10 * time.Second, false, "failed"}},
		"5xx for days":    {&telegram.Error{Words: "w"}, 100000, 1, verdict{"w", 5 * time.Minute, false, "failed"}},
		"any other":       {errors.New("w"), 1, 0, verdict{"w", 2 * time.Second, false, "failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(tt.err, tt.failures, timing, tt.random); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPaceSaysHowLongToWait(t *testing.T) {
	p := newPace(time.Second, 3)
	for i, step := range []struct{ at, want time.Duration }{
		{0, 0},
		{300 * time.Millisecond, 700 * time.Millisecond},
		{time.Second, 0},
		{2 * time.Second, 0},
		{10 * time.Second, 50 * time.Second},
		{60 * time.Second, 0},
		{60500 * time.Millisecond, 500 * time.Millisecond},
		{61 * time.Second, 0},
		{61 * time.Minute, 0},
	} {
		if got := p.take(noon.Add(step.at), true); got != step.want {
			t.Errorf("step %d: wait %v, want %v", i, got, step.want)
		}
	}
}

// Good news leaves some of a minute's messages to failures.
func TestPaceLeavesRoomForFailures(t *testing.T) {
	p := newPace(time.Second, 20)
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	for i := range 20 - spare {
		if wait := p.take(at(i), false); wait != 0 {
			t.Fatalf("message %d: wait %v", i, wait)
		}
	}
	for i := range spare {
		if wait, want := p.take(at(20+i), false), 40*time.Second; wait != want {
			t.Errorf("%d messages: good news waits %v, want %v", 20-spare+i, wait, want)
		}
		if wait := p.take(at(20+i), true); wait != 0 {
			t.Errorf("%d messages: a failure waits %v", 20-spare+i, wait)
		}
	}
	if wait := p.take(at(30), true); wait != 30*time.Second {
		t.Errorf("20 messages: a failure waits %v", wait)
	}
}

func TestTopicsOfAGroupShareItsPace(t *testing.T) {
	for name, want := range map[string]string{"-100:7": "-100", "-100": "-100", "@team:7": "@team", LogChat: LogChat} {
		if got := paceGroup(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
