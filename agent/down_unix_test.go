//go:build unix

package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// downRig is an agent in real time whose node is down.
func downRig(t *testing.T, command string, heartbeats chan contract.Heartbeat) *Agent {
	t.Helper()
	dir := t.TempDir()
	state, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{look: func(context.Context) []probe.Report {
		return []probe.Report{{Status: probe.StatusDown, Reason: "no_process", Workload: contract.Workload{Dir: "/opt/x"}}}
	}}
	c := Config{NodeID: "n", Interval: 20 * time.Millisecond}
	c.OnDown = ondown.Config{Command: command, After: 2, PerHour: 1, Timeout: time.Minute}
	mask := func(lines []string) []string {
		for i, line := range lines {
			lines[i] = strings.ReplaceAll(line, "hunter2", "***")
		}
		return lines
	}
	return New(Options{
		Config: c, Profile: r, State: state,
		OnDown: &ondown.Command{Text: command, Timeout: time.Minute, Output: filepath.Join(dir, OutputFile), Mask: mask, Environ: os.Environ()},
		Send: func(_ context.Context, h contract.Heartbeat) error {
			heartbeats <- h
			return nil
		},
	})
}

// TestTheEndOfACommandIsReported: once as an annotation, and as long as the agent lives with the workload.
func TestTheEndOfACommandIsReported(t *testing.T) {
	heartbeats := make(chan contract.Heartbeat)
	a := downRig(t, "echo $GENSYN_NODE_ID $GENSYN_REASON $GENSYN_DIR hunter2; exit 4", heartbeats)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	var told []contract.Annotation
	var w contract.Workload
	for n := 0; n < 200 && (len(told) == 0 || w.OnDown == nil || w.OnDown.Running); n++ {
		h := <-heartbeats
		told = append(told, h.Annotations...)
		w = contract.Workload{}
		if err := json.Unmarshal(h.Workload, &w); err != nil {
			t.Fatal(err)
		}
		if n == 0 && w.OnDown != nil {
			t.Error("it ran after one heartbeat")
		}
	}
	for range 20 { // it is told once, and runs once an hour
		told = append(told, (<-heartbeats).Annotations...)
	}
	go func() {
		for range heartbeats { // the last may be on its way
		}
	}()
	cancel()
	<-done
	close(heartbeats)
	if len(told) != 1 || told[0].Status != contract.StatusCommand || told[0].Reason != ondown.ReasonFailed ||
		!strings.HasPrefix(told[0].Evidence, "exit status 4 after ") || !strings.HasSuffix(told[0].Evidence, ": n no_process /opt/x ***") {
		t.Errorf("told %+v", told)
	}
	if run := w.OnDown; run == nil || run.Running || run.Result != told[0].Evidence || run.AtUnixMs != told[0].At || run.Reason != told[0].Reason {
		t.Errorf("workload %+v", w.OnDown)
	}
}

// TestAStopEndsTheCommand, and a later agent tells of it.
func TestAStopEndsTheCommand(t *testing.T) {
	heartbeats := make(chan contract.Heartbeat, 1000)
	mark := filepath.Join(t.TempDir(), "mark")
	a := downRig(t, "echo > "+mark+"; sleep 60", heartbeats)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it did not run")
		}
	}
	cancel()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the agent did not stop")
	}
	again, err := OpenState(filepath.Dir(a.State.file))
	if err != nil {
		t.Fatal(err)
	}
	due := again.due(contract.Heartbeat{NodeID: "n", Status: "DOWN"}, 1)
	if len(due) != 1 || due[0].Reason != ondown.ReasonStopped || len(again.runs("n").Begun) != 1 {
		t.Errorf("%+v, %+v", due, again.runs("n"))
	}
}
