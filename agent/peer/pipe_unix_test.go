//go:build unix

package peer_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer"
)

// TestAPipe is refused at once: to open it would wait for ever.
func TestAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.ReadID(path); err == nil {
		t.Error("a key was read from a pipe")
	}
	if _, err := new(peer.Lists).Read(path); err == nil {
		t.Error("words were read from a pipe")
	}
}
