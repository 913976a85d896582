package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
)

// RLSwarm matches the command lines of RL-Swarm.
var RLSwarm = regexp.MustCompile(`run_rl_swarm.sh|rl-swarm|python.*rl-swarm`)

// maxCommandLine bounds how much of one command line is looked at, in bytes.
const maxCommandLine = 32 << 10

// Process passes when the command line of a process matches Pattern. This process, those that it descends from and
// those that descend from it do not count. A Process is used by one goroutine at a time.
type Process struct {
	Pattern *regexp.Regexp
	Root    string // the proc file system, such as /proc
	Self    int    // the id of this process

	buf []byte // reused for every command line
}

// Check implements Probe.
func (p *Process) Check(ctx context.Context) Result {
	pids, err := processes(p.Root)
	if err != nil {
		if runtime.GOOS != "linux" && os.IsNotExist(err) {
			return unsupported("processes")
		}
		return Result{Reason: ReasonNoProcess, Evidence: fmt.Sprintf("the processes cannot be listed: %v", err)}
	}
	for _, pid := range pids {
		if ctx.Err() != nil {
			break
		}
		if p.Pattern.Match(p.commandLine(pid)) && !p.related(pid) {
			return Result{}
		}
	}
	return Result{Reason: ReasonNoProcess, Evidence: fmt.Sprintf("no process like %s", p.Pattern)}
}

func unsupported(what string) Result {
	return Result{
		Reason:   ReasonUnsupported,
		Evidence: fmt.Sprintf("this agent cannot look for %s on %s yet", what, runtime.GOOS),
	}
}

// processes lists the ids of all processes.
func processes(root string) ([]int, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// commandLine returns the arguments of a process with spaces between them, valid until the next call, and nothing for
// a process that is gone.
func (p *Process) commandLine(pid int) []byte {
	f, err := os.Open(filepath.Join(p.Root, strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return nil
	}
	defer f.Close()
	if p.buf == nil {
		p.buf = make([]byte, maxCommandLine)
	}
	n, err := io.ReadFull(f, p.buf)
	if err != nil && n == 0 {
		return nil
	}
	line := p.buf[:n]
	for i, c := range line {
		if c == 0 {
			line[i] = ' '
		}
	}
	return line
}

// related reports whether one of this process and pid descends from the other: a shell that starts the agent in the
// directory rl-swarm matches the pattern, and is no node.
func (p *Process) related(pid int) bool {
	return pid == p.Self || p.descends(p.Self, pid) || p.descends(pid, p.Self)
}

// descends reports whether pid is ancestor or descends from it. Process 1 is nobody's ancestor here: in a container
// it may be the node itself.
func (p *Process) descends(pid, ancestor int) bool {
	// The bound ends a loop that ids reused while we look could make.
	for range 64 {
		if pid <= 1 {
			return false
		}
		if pid == ancestor {
			return true
		}
		pid = p.parent(pid)
	}
	return false
}

// parent returns the id of the parent of a process, 0 when unknown.
func (p *Process) parent(pid int) int {
	stat, err := os.ReadFile(filepath.Join(p.Root, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses, which may hold both: fields count from the last one.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(string(fields[1]))
	return ppid
}
