package probe

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
)

// RLSwarm matches the command lines of RL-Swarm.
var RLSwarm = regexp.MustCompile(`run_rl_swarm.sh|rl-swarm|python.*rl-swarm`)

// Process passes when the command line of a process matches Pattern. This process, those that it descends from and
// those that descend from it do not count. A Process is used by one goroutine at a time.
type Process struct {
	Pattern *regexp.Regexp
	Root    string // the proc file system, such as /proc
	Self    int    // the id of this process

	table *proc.Table
}

// Check implements Probe.
func (p *Process) Check(ctx context.Context) Result {
	if p.table == nil {
		p.table = proc.Open(p.Root, nil)
	}
	var pids []int
	err := p.table.Scan(ctx, func(pid int, line []byte) bool {
		if p.Pattern.Match(line) {
			pids = append(pids, pid)
		}
		return true
	})
	switch {
	case os.IsNotExist(err) && runtime.GOOS != "linux":
		return unsupported("processes")
	case err != nil:
		return Result{Reason: ReasonNoProcess, Evidence: fmt.Sprintf("the processes cannot be listed: %v", err), Blind: true}
	case slices.ContainsFunc(pids, p.counts):
		return Result{}
	}
	return Result{Reason: ReasonNoProcess, Evidence: fmt.Sprintf("no process like %s", p.Pattern)}
}

func unsupported(what string) Result {
	return Result{
		Reason:   ReasonUnsupported,
		Evidence: fmt.Sprintf("this agent cannot look for %s on %s", what, runtime.GOOS),
		Blind:    true,
	}
}

// counts reports that neither of this process and pid descends from the other: a shell that starts the agent in the
// directory rl-swarm matches the pattern, and is no node. Process 1 is nobody's ancestor here: in a container it may be
// the node itself.
func (p *Process) counts(pid int) bool {
	return pid != p.Self && !slices.Contains(p.table.Ancestors(p.Self), pid) && !slices.Contains(p.table.Ancestors(pid), p.Self)
}
