//go:build unix

package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParsePS(t *testing.T) {
	tests := []struct {
		line      string
		ok        bool
		pid, ppid int
		rss       int64
		age       time.Duration
		command   string
	}{
		{"    1     0     1   9000 2-03:04:05 /sbin/launchd\n", true, 1, 0, 9000 << 10, 51*time.Hour + 4*time.Minute + 5*time.Second, "/sbin/launchd"},
		{"77001 400 77001 12 00:09 python -m a  b\n", true, 77001, 400, 12 << 10, 9 * time.Second, "python -m a  b"},
		{"5 1 5 0 01:00:00 x", true, 5, 1, 0, time.Hour, "x"},
		{"5 1 5 0 01:00:00", false, 0, 0, 0, 0, ""},
		{"", false, 0, 0, 0, 0, ""},
		{"PID PPID PGID RSS ELAPSED COMMAND", false, 0, 0, 0, 0, ""},
	}
	for _, tt := range tests {
		l, ok := parsePS(tt.line)
		if ok != tt.ok || ok && (l.PID != tt.pid || l.Parent != tt.ppid || l.RSS != tt.rss || l.Age != tt.age || l.line != tt.command) {
			t.Errorf("%q: %+v, %v", tt.line, l, ok)
		}
	}
}

// TestListOfARealPS is what a system without a proc file system does.
func TestListOfARealPS(t *testing.T) {
	if _, err := exec.LookPath("ps"); err != nil {
		t.Fatal("ps is missing: install procps")
	}
	all, err := listPS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.PID == os.Getpid() {
			if l.Parent != os.Getppid() || l.RSS <= 0 || l.line == "" {
				t.Errorf("%+v", l)
			}
			return
		}
	}
	t.Errorf("this process is not among %d", len(all))
}
