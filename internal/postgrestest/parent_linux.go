package postgrestest

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel shut the server down at once when the thread that starts it ends, and keeps the
// terminal's Ctrl-C from it: whoever started it stops it.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	cmd.SysProcAttr.Setpgid = true
}
