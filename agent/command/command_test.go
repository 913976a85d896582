//go:build unix

package command_test

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/agent/command"
)

const long = 10 * time.Second

func TestRun(t *testing.T) {
	out, err := command.Run(t.Context(), long, "sh", "-c", "echo out; echo err >&2; exit 3")
	var exit *exec.ExitError
	if string(out) != "out\n" || !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%q, %v", out, err)
	}
	if out, err = command.Shell(t.Context(), long, "echo out; echo err >&2"); string(out) != "out\nerr\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if _, err = command.Run(t.Context(), long, "no-such-program-here"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a missing program: %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	out, err := command.Shell(t.Context(), long, "head -c 200000 /dev/zero")
	if len(out) != command.MaxOutput || err != nil {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// TestNothingOutlivesItsTime: neither the program nor what it started.
func TestNothingOutlivesItsTime(t *testing.T) {
	const soon = time.Second
	for name, try := range map[string]struct {
		timeout, end time.Duration
		want         error
	}{
		"time-out":          {soon, long, command.ErrTimeout},
		"end of the caller": {long, soon, context.DeadlineExceeded},
	} {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), try.end)
		defer cancel()
		out, err := command.Shell(ctx, try.timeout, "sleep 61 & echo $!; wait")
		if !errors.Is(err, try.want) || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begun))
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
		for i := 0; pid == 0 || syscall.Kill(pid, 0) == nil && !zombie(pid); i++ {
			if i == 100 {
				t.Fatalf("%s: %d (%q) still runs", name, pid, out)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// TestBackground: a program that leaves something behind has ended when itself has.
func TestBackground(t *testing.T) {
	begun := time.Now()
	out, err := command.Shell(t.Context(), long, "sleep 3 & echo done")
	if string(out) != "done\n" || err != nil || time.Since(begun) > 2*time.Second {
		t.Errorf("%q, %v after %v", out, err, time.Since(begun))
	}
}
