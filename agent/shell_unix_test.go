//go:build unix

package agent

import (
	"bufio"
	"context"
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
	r, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(r)
	if !lines.Scan() || lines.Text() != "started" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	cancel()
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the child lives on: %q, %v", lines.Text(), lines.Err())
	}
	if err := <-done; err == nil {
		t.Error("no error of a command that was killed")
	}
}
