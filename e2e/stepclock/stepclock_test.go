package stepclock_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/stepclock"
	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
)

// A step moves what a program takes for the time, and not what it measures.
func TestTheWallClockStepsAndTheMonotonicDoesNot(t *testing.T) {
	dir := t.TempDir()
	clock := newClock(t, filepath.Join(dir, "clock"))
	if err := stepclock.Build(t.Context(), dir, "./testdata/teller"); err != nil {
		t.Fatal(err)
	}
	ask := startTeller(t, filepath.Join(dir, "teller"), clock)
	for _, offset := range []time.Duration{0, time.Hour, -time.Hour, 5 * time.Millisecond, -24 * time.Hour, 72*time.Hour + 999*time.Millisecond} {
		clock.Set(offset)
		before := time.Now()
		wall, ran := ask()
		if early, late := before.Add(offset), time.Now().Add(offset); wall.Before(early.Round(0)) || wall.After(late.Round(0)) {
			t.Errorf("wrong by %v it says %v, want from %v to %v", offset, wall, early, late)
		}
		if ran < 0 || ran > time.Minute {
			t.Errorf("after a step to %v it has run for %v", offset, ran)
		}
	}
}

func newClock(t *testing.T, path string) *stepclock.Clock {
	t.Helper()
	c, err := stepclock.New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func startTeller(t *testing.T, bin string, clock *stepclock.Clock) (ask func() (wall time.Time, ran time.Duration)) {
	t.Helper()
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), clock.Env())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child, err := childprocess.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); <-child.Done() })
	answers := bufio.NewReader(out)
	return func() (time.Time, time.Duration) {
		t.Helper()
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		var wall, ran int64
		if _, err := fmt.Fscanln(answers, &wall, &ran); err != nil {
			t.Fatal(err)
		}
		return time.Unix(0, wall), time.Duration(ran)
	}
}
