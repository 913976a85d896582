// Package command runs programs that may not outlive their time.
package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// MaxOutput bounds what is kept of a program's output, in bytes. More is thrown away.
const MaxOutput = 64 << 10

// Run runs a program without a shell and returns what it printed to standard output, also when it failed. It returns
// soon after timeout with ErrTimeout or with the error of ctx; what the program started is ended with it where the
// system can.
func Run(ctx context.Context, timeout time.Duration, name string, args ...string) ([]byte, error) {
	return run(ctx, timeout, exec.Command(name, args...), false)
}

// Shell runs a command line in the system's shell, and keeps what it prints to standard error, too.
func Shell(ctx context.Context, timeout time.Duration, line string) ([]byte, error) {
	return run(ctx, timeout, shell(line), true)
}

// ErrTimeout is returned when a program took too long.
var ErrTimeout = errors.New("it took too long")

func run(ctx context.Context, timeout time.Duration, cmd *exec.Cmd, both bool) ([]byte, error) {
	var out bounded
	cmd.Stdout = &out
	if both {
		cmd.Stderr = &out
	}
	cmd.WaitDelay = time.Second / 4
	group(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var why error
	select {
	case err := <-ended:
		// Children may go on in the background and keep the output open: that is no failure of the program.
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		return out.data, err
	case <-timer.C:
		why = fmt.Errorf("%w: %v", ErrTimeout, timeout)
	case <-ctx.Done():
		why = ctx.Err()
	}
	kill(cmd)
	if err := <-ended; err == nil {
		why = nil // it ended by itself just then
	}
	return out.data, why
}

// bounded keeps the begin of what is written to it.
type bounded struct{ data []byte }

func (b *bounded) Write(p []byte) (int, error) {
	b.data = append(b.data, p[:min(len(p), MaxOutput-len(b.data))]...)
	return len(p), nil
}
