package probe_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

func TestVerdict(t *testing.T) {
	ok := probe.Result{}
	screen := probe.Result{Reason: "no_screen", Evidence: "s"}
	process := probe.Result{Reason: "no_process", Evidence: "p"}
	port := probe.Result{Reason: "port_closed_3000", Evidence: "o"}
	tests := []struct {
		name string
		in   []probe.Result
		want probe.Result
	}{
		{"nothing looked at", nil, ok},
		{"all pass", []probe.Result{ok, ok, ok}, ok},
		{"screen", []probe.Result{screen, ok, ok}, screen},
		{"process", []probe.Result{ok, process, ok}, process},
		{"port", []probe.Result{ok, ok, port}, port},
		{"screen and process", []probe.Result{screen, process, ok}, probe.Result{Reason: "no_screen_no_proc", Evidence: "s; p"}},
		{"all", []probe.Result{screen, process, port}, probe.Result{Reason: "no_screen_no_proc", Evidence: "s; p; o"}},
		{"screen and port", []probe.Result{screen, ok, port}, probe.Result{Reason: "no_screen", Evidence: "s; o"}},
		{"process and port", []probe.Result{ok, process, port}, probe.Result{Reason: "no_process", Evidence: "p; o"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := probe.Verdict(tt.in)
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if got.Passed() != (tt.want == ok) {
				t.Errorf("passed: %v", got.Passed())
			}
		})
	}
}

// slow takes a while and then fails with its name.
type slow struct {
	takes time.Duration
	name  string
}

func (s slow) Check(context.Context) probe.Result {
	time.Sleep(s.takes)
	return probe.Result{Reason: s.name}
}

func TestProbesRunSideBySideAndAllOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		got := probe.CheckAll(t.Context(), []probe.Probe{slow{3 * time.Second, "a"}, slow{time.Second, "b"}, slow{0, "c"}})
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("took %v, want the 3 s of the slowest", took)
		}
		if len(got) != 3 || got[0].Reason != "a" || got[1].Reason != "b" || got[2].Reason != "c" {
			t.Errorf("results %+v", got)
		}
	})
}
