//go:build unix

package agent

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// runShell returns what a command prints. When ctx ends, the command and all that it started are killed.
func runShell(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second / 4
	out, err := cmd.Output()
	return string(out), err
}
