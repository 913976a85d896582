package probe_test

import (
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/probe"
)

// In a container the agent may be process 1. It does not count then either, but the orphans that it inherits do.
func TestTheAgentAsProcessOne(t *testing.T) {
	root := proc(t.TempDir())
	root.add(t, 1, 0, "gensyn-agent", "gensyn-agent", "run", "--config", "/etc/rl-swarm.env")
	p := &probe.Process{Pattern: probe.RLSwarm, Root: string(root), Self: 1}
	if p.Check(t.Context()).Passed() {
		t.Error("the agent counts itself")
	}
	root.add(t, 7, 1, "bash", "bash", "run_rl_swarm.sh")
	if r := p.Check(t.Context()); !r.Passed() {
		t.Errorf("an orphaned node: %+v", r)
	}
}
