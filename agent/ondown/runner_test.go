package ondown

import (
	"bytes"
	"context"
	"log"
	"testing"
	"time"
)

// rig plays node, clock and command.
type rig struct {
	*Runner
	t      *testing.T
	now    time.Time
	saved  map[string]Memory
	ran    []time.Duration // when runs began, since the begin
	begun  time.Time
	file   bool
	log    bytes.Buffer
	finish chan Result // what each run waits for
}

func newRig(t *testing.T, c Config) *rig {
	r := &rig{t: t, now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), saved: map[string]Memory{}}
	r.begun = r.now
	r.restart(c)
	return r
}

// restart is what a new process of the agent does.
func (r *rig) restart(c Config) {
	finish := make(chan Result, 1)
	r.finish = finish
	r.Runner = New(Options{
		Config: c, Now: func() time.Time { return r.now }, Log: log.New(&r.log, "", 0),
		Run:    func(context.Context, Node) Result { return <-finish },
		Exists: func(string) bool { return r.file },
		Load:   func(id string) Memory { return r.saved[id] },
		Save:   func(id string, m Memory) { r.saved[id] = m },
	})
}

// beats lets minutes pass with the node as it is; each run ends within its minute.
func (r *rig) beats(n int, down bool) {
	r.t.Helper()
	for range n {
		r.now = r.now.Add(time.Minute)
		r.Observe(r.t.Context(), []Node{{ID: "n", Down: down}})
		if r.Running() != "" {
			r.ran = append(r.ran, r.now.Sub(r.begun))
			r.finish <- Result{Reason: ReasonFailed, Exit: "exit status 1"}
			if got := r.Wait(); got == nil || got.NodeID != "n" || got.Reason != ReasonFailed || !got.Begun.Equal(r.now) {
				r.t.Fatalf("%+v", got)
			}
		}
	}
}

func (r *rig) wantRuns(minutes ...int) {
	r.t.Helper()
	if len(r.ran) != len(minutes) {
		r.t.Fatalf("ran after %v, want minutes %v", r.ran, minutes)
	}
	for i, m := range minutes {
		if r.ran[i] != time.Duration(m)*time.Minute {
			r.t.Fatalf("ran after %v, want minutes %v", r.ran, minutes)
		}
	}
}

func TestItIsOffByDefault(t *testing.T) {
	r := newRig(t, Config{After: 1, PerHour: 60})
	r.beats(100, true)
	r.wantRuns()
}

func TestItRunsAfterSomeBeatsInARow(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 3, PerHour: 60, Grace: 0})
	r.beats(2, true)
	r.beats(1, false)
	r.beats(2, true)
	r.wantRuns()
	r.beats(1, true)
	r.wantRuns(6)
}

// TestGraceAndBackOff: nothing in the first ten minutes; then each wait doubles while the node stays down.
func TestGraceAndBackOff(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 3, PerHour: 60, Grace: 10 * time.Minute})
	r.beats(24*60, true)
	// 10, +10, +20, +40, +80, +160, +320, then every 6 hours.
	r.wantRuns(10, 20, 40, 80, 160, 320, 640, 1000, 1360)
}

func TestTheBackOffEndsWhenTheNodeIsWellForLongEnough(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 1, PerHour: 60, Grace: 10 * time.Minute})
	r.beats(41, true)
	r.wantRuns(10, 20, 40)
	r.beats(5, false) // well, but for less than Grace since the last run: the next wait is 40 minutes still
	r.beats(34, true)
	r.wantRuns(10, 20, 40, 80)
	r.beats(20, false)
	r.beats(2, true) // begins anew, at once: the last run was long ago
	r.wantRuns(10, 20, 40, 80, 101)
	if r.saved["n"].Tries != 1 {
		t.Errorf("%+v", r.saved["n"])
	}
}

func TestALimitPerHour(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 1, PerHour: 3, Grace: 0})
	r.beats(65, true)
	r.wantRuns(1, 2, 3, 61, 62, 63)
}

// TestLimitsSurviveARestart of an agent that crashes after every run, or is restarted by somebody.
func TestLimitsSurviveARestart(t *testing.T) {
	c := Config{Command: "x", After: 1, PerHour: 3, Grace: time.Minute}
	r := newRig(t, c)
	for range 50 {
		r.restart(c)
		r.beats(1, true)
	}
	r.wantRuns(1, 2, 4)
}

func TestARunThatNeverEndedCounts(t *testing.T) {
	c := Config{Command: "x", After: 1, PerHour: 3, Grace: 10 * time.Minute}
	r := newRig(t, c)
	r.saved["n"] = Memory{Tries: 1, Ended: r.now.Add(-time.Hour)}
	r.now = r.now.Add(10 * time.Minute)
	r.Observe(t.Context(), []Node{{ID: "n", Down: true}})
	if r.Running() != "n" || len(r.saved["n"].Begun) != 1 || r.saved["n"].Tries != 2 {
		t.Fatalf("a run under way is not kept: %+v", r.saved["n"])
	}
	r.restart(c) // the machine crashed
	r.begun = r.now
	r.beats(39, true)
	r.wantRuns(20) // twice the grace from its begin
}

func TestAClockThatWasSetBackHoldsNothingUp(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 1, PerHour: 1, Grace: time.Minute})
	future := r.now.Add(1000 * time.Hour)
	r.saved["n"] = Memory{Tries: 1, Begun: []time.Time{future}, Ended: future}
	r.beats(70, true)
	if len(r.ran) == 0 || r.ran[0] > 62*time.Minute {
		t.Errorf("ran after %v", r.ran)
	}
}

func TestAStopFile(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 1, PerHour: 60, Grace: 0, StopFile: "/stop"})
	r.file = true
	r.beats(5, true)
	r.wantRuns()
	if got := r.log.String(); got != "ON_DOWN_CMD does not run: /stop is there\n" {
		t.Errorf("log %q", got)
	}
	r.file = false
	r.beats(1, true)
	r.wantRuns(6)
}

// TestOneAtATime, and the others' turn comes.
func TestOneAtATime(t *testing.T) {
	r := newRig(t, Config{Command: "x", After: 1, PerHour: 60, Grace: time.Minute})
	both := []Node{{ID: "a", Down: true}, {ID: "b", Down: true}}
	observe := func() *Result {
		r.now = r.now.Add(time.Minute)
		return r.Observe(t.Context(), both)
	}
	if got := observe(); got != nil || r.Running() != "a" {
		t.Fatalf("%+v, %q", got, r.Running())
	}
	if got := observe(); got != nil || r.Running() != "a" {
		t.Fatalf("%+v, %q: it still runs", got, r.Running())
	}
	r.finish <- Result{Reason: ReasonEnded}
	result := <-r.done
	r.done <- result // it is there now
	if got := observe(); got == nil || got.NodeID != "a" || r.Running() != "b" {
		t.Fatalf("%+v, %q", got, r.Running())
	}
}
