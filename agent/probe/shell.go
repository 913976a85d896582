package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/command"
	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
)

// Command passes when a shell command ends with 0 in time.
type Command struct {
	Line    string
	Timeout time.Duration
}

// Check implements Probe.
func (c *Command) Check(ctx context.Context) Result {
	out, err := command.Shell(ctx, c.Timeout, c.Line)
	said := ""
	if lines := tail.Lines(out); len(lines) > 0 {
		said = ": " + lines[len(lines)-1]
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return Result{Reason: ReasonCommandFailed, Evidence: fmt.Sprintf("the command ended with %v%s", exit, said)}
	}
	switch {
	case errors.Is(err, command.ErrTimeout):
		return Result{Reason: ReasonCommandTimeout, Evidence: fmt.Sprintf("the command did not end within %v%s", c.Timeout, said)}
	case err != nil:
		return Result{Reason: ReasonCommandFailed, Evidence: fmt.Sprintf("the command cannot be run: %v", err)}
	}
	return Result{Saw: "it ended with 0" + said}
}
