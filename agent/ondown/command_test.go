//go:build unix

package ondown

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func command(t *testing.T, text string) Command {
	t.Helper()
	return Command{
		Text: text, Timeout: time.Minute, Output: filepath.Join(t.TempDir(), "out"), Environ: os.Environ(),
		Mask: func(lines []string) []string {
			for i, line := range lines {
				lines[i] = strings.ReplaceAll(line, "hunter2", "***")
			}
			return lines
		},
	}
}

func TestEnds(t *testing.T) {
	n := Node{ID: "n-1", Name: "one", Reason: "no_process", Evidence: "no launcher", Dir: "/opt/x", Supervisor: "screen:g"}
	for _, tt := range []struct {
		text, reason, exit, last, output string
	}{
		{"true", ReasonEnded, "exit status 0", "", ""},
		{"echo one; echo token hunter2; echo >&2 three; echo", ReasonEnded, "exit status 0", "three", "one\ntoken ***\nthree\n"},
		{"echo hunter2; exit 3", ReasonFailed, "exit status 3", "***", "***\n"},
		{`printf 'hun\033[31mter2\033[0m\r\n   \n'`, ReasonEnded, "exit status 0", "***", "***\n"},
		{"kill -9 $$", ReasonFailed, "signal: killed", "", ""},
		{"/nonexistent/x", ReasonFailed, "exit status 127", "", ""},
		{"echo $GENSYN_NODE_ID,$GENSYN_NODE_NAME,$GENSYN_REASON,$GENSYN_EVIDENCE,$GENSYN_DIR,$GENSYN_SUPERVISOR", ReasonEnded,
			"exit status 0", "n-1,one,no_process,no launcher,/opt/x,screen:g", ""},
	} {
		c := command(t, tt.text)
		got := c.Run(t.Context(), n)
		if got.Reason != tt.reason || got.Exit != tt.exit || tt.last != "" && got.Last != tt.last || got.Took <= 0 {
			t.Errorf("%s: %+v", tt.text, got)
		}
		out, err := os.ReadFile(c.Output)
		if err != nil || tt.output != "" && string(out) != tt.output || strings.Contains(string(out), "hunter2") {
			t.Errorf("%s: output %q, %v", tt.text, out, err)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	c := command(t, `i=0; while [ $i -lt 3000 ]; do echo "line $i with some more text to make it long enough"; i=$((i+1)); done`)
	got := c.Run(t.Context(), Node{})
	out, err := os.ReadFile(c.Output)
	if err != nil || len(out) > maxOutput/4 || len(out) < maxOutput/8 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if !strings.HasPrefix(string(out), "line ") || !strings.HasPrefix(got.Last, "line 2999 ") {
		t.Errorf("begins with %.20q, last %q", out, got.Last)
	}
}

// TestWhatItLeavesBehindLivesOn, can print, and fills no disk.
func TestWhatItLeavesBehindLivesOn(t *testing.T) {
	dir := t.TempDir()
	until := func(file string) string { return "while [ ! -e " + dir + "/" + file + " ]; do sleep 0.02; done; " }
	c := command(t, "("+until("go")+"head -c 200000 /dev/zero | tr '\\0' x; echo; echo end; echo > "+dir+"/done; "+
		until("more")+"echo again; echo > "+dir+"/over; sleep 30) & echo $!")
	begun := time.Now()
	got := c.Run(t.Context(), Node{})
	if took := time.Since(begun); got.Reason != ReasonEnded || took > 10*time.Second {
		t.Fatalf("%+v after %v", got, took)
	}
	pid, err := strconv.Atoi(got.Last)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-pgid(pid), syscall.SIGKILL) })
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { _, err := os.Stat(filepath.Join(dir, "done")); return err == nil })
	c.Trim()
	out, err := os.ReadFile(c.Output)
	if err != nil || string(out) != "end\n" {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { _, err := os.Stat(filepath.Join(dir, "over")); return err == nil })
	if out, err := os.ReadFile(c.Output); err != nil || string(out) != "end\nagain\n" {
		t.Errorf("after it was cut: %d bytes %.40q, %v", len(out), out, err)
	}
}

// TestAllAreAskedToEndFirst: not only the shell.
func TestAllAreAskedToEndFirst(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	c := command(t, `(trap "sleep 0.2; echo bye >`+mark+`; exit" TERM; while :; do sleep 0.05; done) & wait`)
	c.Timeout = time.Second
	if got := c.Run(t.Context(), Node{}); got.Reason != ReasonTimeout {
		t.Errorf("%+v", got)
	}
	if out, err := os.ReadFile(mark); string(out) != "bye\n" {
		t.Errorf("%q, %v: it was killed at once", out, err)
	}
}

func pgid(pid int) int {
	if g, err := syscall.Getpgid(pid); err == nil {
		return g
	}
	return pid
}

func await(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 s")
		}
	}
}

// TestATimeoutKillsAllThatItStarted, also what does not listen to SIGTERM.
func TestATimeoutKillsAllThatItStarted(t *testing.T) {
	for name, stop := range map[string]func(c *Command, cancel func()){
		ReasonTimeout: func(c *Command, _ func()) { c.Timeout = 2 * time.Second },
		ReasonStopped: func(_ *Command, cancel func()) { time.AfterFunc(2*time.Second, cancel) },
	} {
		t.Run(name, func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			c := command(t, `(trap "" TERM; echo $$ >`+pipe+`; while :; do sleep 0.1; done) & (trap "" TERM; while :; do sleep 0.1; done) & wait`)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop(&c, cancel)
			done := make(chan Result, 1)
			go func() { done <- c.Run(ctx, Node{}) }()
			// For both, so that it waits for no writer that was killed before it came.
			f, err := os.OpenFile(pipe, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(f).ReadString('\n')
			f.Close()
			leader, bad := strconv.Atoi(strings.TrimSpace(line))
			if err != nil || bad != nil {
				t.Fatal(line, err, bad)
			}
			got := <-done
			if got.Reason != name || got.Took < 1900*time.Millisecond || got.Took > 20*time.Second {
				t.Errorf("%+v", got)
			}
			// Killed is not yet gone: init, or whoever adopted them, reaps them.
			await(t, func() bool { return !living(leader) })
		})
	}
}

// living reports whether a process of the group is there and no zombie.
func living(group int) bool {
	if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		data, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		var state string
		var parent, g int
		if _, err := fmt.Sscan(rest, &state, &parent, &g); err == nil && g == group && state != "Z" {
			return true
		}
	}
	return false
}
