package agent

import (
	"context"
	"os"

	"github.com/gensyn-monitor/gensyn-monitor/agent/ondown"
	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// watchDown begins to run ON_DOWN_CMD where it is due.
func (a *Agent) watchDown() {
	if a.OnDown == nil || a.Config.OnDown.Command == "" {
		return
	}
	a.runner = ondown.New(ondown.Options{
		Config: a.Config.OnDown, Now: a.Now, Log: a.Log,
		Run:    a.OnDown.Run,
		Exists: func(file string) bool { _, err := os.Stat(file); return err == nil },
		Load:   a.State.runs,
		Save: func(nodeID string, m ondown.Memory) {
			a.State.keepRuns(nodeID, m)
			a.keep()
		},
	})
}

// observeDown tells the runner what a beat found.
func (a *Agent) observeDown(ctx context.Context, reports []report) {
	if a.runner == nil {
		return
	}
	a.OnDown.Trim()
	nodes := make([]ondown.Node, len(reports))
	for i, r := range reports {
		nodes[i] = ondown.Node{
			ID: r.id, Name: r.Name, Down: r.Status == probe.StatusDown, Reason: r.Reason, Evidence: r.Evidence,
			Dir: r.Workload.Dir, Supervisor: r.Workload.Supervisor,
		}
	}
	a.tellRun(a.runner.Observe(ctx, nodes))
	if id := a.runner.Running(); id != "" {
		a.runs[id] = &contract.CommandRun{Running: true}
	}
}

// stopDown ends a run under way: the agent is being stopped, and its command with it.
func (a *Agent) stopDown() {
	if a.runner != nil {
		a.tellRun(a.runner.Wait())
		a.keep()
	}
}

// tellRun has the end of a run told: now as part of the workload, and for the record as an annotation.
func (a *Agent) tellRun(run *ondown.Result) {
	if run == nil {
		return
	}
	text := cutBytes(run.String(), contract.MaxEvidenceBytes)
	ended := run.Begun.Add(run.Took)
	a.runs[run.NodeID] = &contract.CommandRun{
		AtUnixMs: ended.UnixMilli(), TookSec: run.Took.Seconds(), Reason: run.Reason, Result: text,
	}
	a.State.add(pending{NodeID: run.NodeID, Annotation: contract.Annotation{
		At: ended.UnixMilli(), Status: contract.StatusCommand, Reason: run.Reason, Evidence: text,
	}})
}
