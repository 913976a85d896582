// Package childprocess starts programs that do not outlive the process that started them, for tests and for trying
// things by hand: a test binary that is killed has no chance to stop what it started.
//
// On Linux the kernel sees to it. Elsewhere nobody does.
package childprocess

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Child is a program that was started.
type Child struct {
	done chan struct{}
	err  error // how it ended; read it after done
}

// Start starts the command. However this process ends, the kernel sends the child sig then, SIGKILL if it shall have no
// say. Start takes the place of cmd.Start, and Done and Err that of cmd.Wait, which must not be called. What cmd's
// SysProcAttr says is kept. Pipes of cmd.StdoutPipe and cmd.StderrPipe are closed once the child ended, read or not.
func Start(cmd *exec.Cmd, sig syscall.Signal) (*Child, error) {
	endWithParent(cmd, sig)
	c := &Child{done: make(chan struct{})}
	started := make(chan error)
	// The kernel ends the child with the thread that started it. This goroutine keeps its thread to itself until the
	// child has ended, so that the thread ends neither before the child nor, as any other may, before this process.
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// Run starts the command, as Start does, and waits until it ended. Its errors are those of cmd.Run.
func Run(cmd *exec.Cmd, sig syscall.Signal) error {
	c, err := Start(cmd, sig)
	if err != nil {
		return err
	}
	<-c.done
	return c.err
}

// Done is closed once the child ended and was waited for; cmd.ProcessState is set then.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err waits until the child ended, and says how, as cmd.Wait does.
func (c *Child) Err() error {
	<-c.done
	return c.err
}
