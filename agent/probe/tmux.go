package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/agent/command"
	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
)

// Tmux passes when there is a tmux session called Name, of this user or, for root, of any.
type Tmux struct {
	Name    string
	Sockets string // the sockets of servers, a pattern such as /tmp/tmux-*/*
	Root    string // the proc file system
}

// Check implements Probe.
func (t *Tmux) Check(ctx context.Context) Result {
	sockets, err := filepath.Glob(t.Sockets)
	if err != nil || len(sockets) == 0 {
		return t.missing("no tmux server runs")
	}
	denied := 0
	for _, socket := range sockets {
		out, err := command.Run(ctx, listTimeout, "tmux", "-S", socket, "list-sessions", "-F", "#{session_name}")
		if errors.Is(err, exec.ErrNotFound) {
			return t.missing("tmux is not installed")
		}
		if slices.Contains(strings.Split(string(out), "\n"), t.Name) {
			return Result{}
		}
		// Sockets outlive their server; a server of another user does not answer.
		if err != nil && !canOpen(socket) {
			denied++
		}
	}
	if denied > 0 && proc.Open(t.Root, nil).Session(ctx, "tmux", "-s", t.Name) {
		return Result{Saw: "a tmux server of another user was started with it"}
	}
	if denied > 0 {
		r := t.missing(fmt.Sprintf("%d servers of other users may not be asked", denied))
		r.Reason, r.Blind = ReasonUnseen, true
		return r
	}
	return t.missing("")
}

func (t *Tmux) missing(why string) Result {
	evidence := "no tmux session " + t.Name
	if why != "" {
		evidence += " (" + why + ")"
	}
	return Result{Reason: ReasonNoTmux, Evidence: evidence}
}
