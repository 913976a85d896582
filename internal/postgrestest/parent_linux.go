package postgrestest

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel shut the server down at once when the thread that starts it ends.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT }
