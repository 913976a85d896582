//go:build !unix

package agent

import (
	"context"
	"os/exec"
	"time"
)

// runShell returns what a command prints. When ctx ends, the command is killed.
func runShell(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "cmd", "/C", command)
	cmd.WaitDelay = time.Second / 4
	out, err := cmd.Output()
	return string(out), err
}
