package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
)

// Process is one program and what it is started with. It can be started again after it ended. It does not outlive the
// process that started it.
type Process struct {
	Name  string
	Path  string   // of the binary
	Args  []string //
	Env   []string // NAME=value; the environment of this process is not passed on
	Ready string   // address that answers 200 once the process is ready, "" for none
	Log   string   // file that its output is appended to

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited <-chan struct{}
}

// Start starts the process and waits until it is ready.
func (p *Process) Start(ctx context.Context) error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = filepath.Dir(p.Log)
	// A group of its own: Ctrl-C at the terminal is for whoever started us, and they stop us in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child, err := childprocess.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.mu.Lock()
	p.cmd, p.exited = cmd, child.Done()
	p.mu.Unlock()
	return p.Await(ctx, p.Ready)
}

// Await waits until the address answers 200, "" for not at all.
func (p *Process) Await(ctx context.Context, url string) error {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for url != "" && !answers(ctx, url) {
		select {
		case <-exited:
			return fmt.Errorf("%s ended at once:\n%s", p.Name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%s):\n%s", p.Name, url, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// tail is the end of the process's log.
func (p *Process) tail() string {
	data, _ := os.ReadFile(p.Log)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// Signal sends a signal to the process, if it runs.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// PID is the process's number, 0 before it was started.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill ends the process as kill -9 does, and waits for it.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	p.wait()
}

// errSlow means a process had to be killed.
var errSlow = errors.New("did not end within 10 seconds of SIGTERM")

// Stop asks the process to end, and waits. Its error tells an exit status other than 0.
func (p *Process) Stop() error {
	p.Signal(syscall.SIGCONT) // it may be frozen
	p.Signal(syscall.SIGTERM)
	p.mu.Lock()
	exited, cmd := p.exited, p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		p.Kill()
		return fmt.Errorf("%s: %w", p.Name, errSlow)
	}
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		return fmt.Errorf("%s: exit status %d:\n%s", p.Name, code, p.tail())
	}
	return nil
}

func (p *Process) wait() {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	if exited != nil {
		<-exited
	}
}

// Build compiles programs of this repository, or of its tools, into dir and returns it.
func Build(ctx context.Context, dir string, packages ...string) error {
	// Without tables for debuggers linking takes half the time; stack traces do not need them.
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-ldflags=-w", "-o", dir + string(filepath.Separator)}, packages...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := childprocess.Run(cmd, syscall.SIGTERM); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(packages, " "), err, out.Bytes())
	}
	return nil
}

// Ended waits until the process has ended by itself, and reports whether SIGKILL ended it. Its error is ctx's.
func (p *Process) Ended(ctx context.Context) (killed bool, err error) {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	select {
	case <-exited:
	case <-ctx.Done():
		return false, fmt.Errorf("%s has not ended: %w", p.Name, ctx.Err())
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL, nil
}
