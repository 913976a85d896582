//go:build unix

package agent

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestACommandThatHangsIsKilledWithAllItStarted holds a pipe that the command's child writes to: it ends with the child.
func TestACommandThatHangsIsKilledWithAllItStarted(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := runShell(ctx, "(echo started; sleep 30; echo survived) >"+pipe+" & wait")
		done <- err
	}()
	// Open for both first: that waits for no writer, but a writer of our own would keep the pipe from ending.
	both := openPipe(t, pipe, os.O_RDWR)
	if line, err := bufio.NewReader(both).ReadString('\n'); line != "started\n" {
		t.Fatalf("%q, %v", line, err)
	}
	r := openPipe(t, pipe, os.O_RDONLY|syscall.O_NONBLOCK)
	both.Close()
	cancel()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("the child lives on: %q, %v", rest, err)
	}
	if err := <-done; err == nil {
		t.Error("no error of a command that was killed")
	}
}

func openPipe(t *testing.T, name string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return f
}
