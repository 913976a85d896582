//go:build unix

package tail_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/tail"
)

// TestAPipe is refused at once: to open it would wait for ever.
func TestAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := tail.Open(path, &tail.Position{}); err == nil {
		f.Close()
		t.Error("a pipe was opened")
	}
}
