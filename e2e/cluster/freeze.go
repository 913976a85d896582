package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Freeze stops the process in the middle of whatever it does, until Thaw. On Linux it returns when every thread has
// stopped: on a busy machine some run on for milliseconds after the signal.
func (p *Process) Freeze() {
	p.Signal(syscall.SIGSTOP)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	for deadline := time.Now().Add(5 * time.Second); running(p.cmd.Process.Pid) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() { p.Signal(syscall.SIGCONT) }

// running reports whether a thread of the process is neither stopped nor ended; never where there is no /proc.
func running(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The state follows the name, which is in brackets and may hold any character (proc(5)).
		if _, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" ")); ok && !bytes.ContainsRune([]byte("TtZX"), rune(rest[0])) {
			return true
		}
	}
	return false
}
