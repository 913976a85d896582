//go:build unix

package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is the agent as a program of its own.
type process struct {
	*exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), "AGENT_TEST_CHILD=1", "GORACE=atexit_sleep_ms=0")
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	return p
}

// stop sends a signal and waits for the end, which must be soon and clean.
func (p *process) stop(t *testing.T, s os.Signal) {
	t.Helper()
	begun := time.Now()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	err := p.Wait()
	// The promise is 1 s; the rest is for a busy machine.
	if took := time.Since(begun); err != nil || took > 3*time.Second {
		t.Errorf("ended after %v: %v\n%s", took, err, p.log.String())
	}
}

func TestRunUntilASignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(s.String(), func(t *testing.T) {
			m := newMonitor(t, accept)
			p := start(t, "run", "--config", settings(t, m.URL, "INTERVAL_SEC=1"))
			first, second := m.next(t), m.next(t)
			if first.IntervalSec != 1 || first.BootID != second.BootID || first.BootID != "" && second.Seq <= first.Seq {
				t.Errorf("%+v, then %+v", first, second)
			}
			p.stop(t, s)
			log := p.log.String()
			if !strings.Contains(log, "reports from-file to "+m.URL) || !strings.HasSuffix(log, " stopped\n") || strings.Contains(log, "hunter2") {
				t.Errorf("log %s", log)
			}
		})
	}
}

func TestASignalEndsARequestThatHangs(t *testing.T) {
	release := make(chan struct{})
	m := newMonitor(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	p := start(t, "run", "--config", settings(t, m.URL))
	m.next(t)
	p.stop(t, syscall.SIGTERM)
}

func TestASignalEndsACommandThatHangs(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "run", "--config", settings(t, "http://127.0.0.1:1", "IP_CMD=echo >"+mark+"; sleep 30"))
	// Open for both, so that the open does not wait for a command that never comes.
	pipe, err := os.OpenFile(mark, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the command did not start: %v", err)
	}
	p.stop(t, syscall.SIGTERM)
}
