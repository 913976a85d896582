package proc

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestListWindows finds this process and a child, with their command lines.
func TestListWindows(t *testing.T) {
	if len(os.Args) > 1 && os.Args[len(os.Args)-1] == "child-of-the-test" {
		time.Sleep(time.Minute)
		return
	}
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(me, "-test.run=TestListWindows", "child-of-the-test")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	table := Open("/proc-that-is-not-there", nil)
	found := 0
	if err := table.Scan(t.Context(), func(pid int, line []byte) bool {
		if strings.Contains(string(line), "child-of-the-test") {
			found = pid
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	p, ok := table.Process(found)
	if found != child.Process.Pid || !ok || p.Parent != os.Getpid() || p.Age > time.Minute || len(p.Args) != 3 {
		t.Errorf("found %d, want %d: %+v", found, child.Process.Pid, p)
	}
	if a := table.Ancestors(found); len(a) == 0 || a[0] != os.Getpid() {
		t.Errorf("ancestors %v", a)
	}
}
