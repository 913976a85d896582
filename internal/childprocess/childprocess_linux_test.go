package childprocess_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gensyn-monitor/gensyn-monitor/internal/childprocess"
)

// parentVar makes this test binary a program that starts sleepers, tells their process ids and waits.
const parentVar = "CHILDPROCESS_PARENT"

const sleepers = 5

func TestMain(m *testing.M) {
	if os.Getenv(parentVar) != "" {
		parent()
	}
	goleak.VerifyTestMain(m)
}

// parent starts the sleepers from goroutines whose threads end right after, as a test's may.
func parent() {
	pids := make(chan int)
	for range sleepers {
		go func() {
			runtime.LockOSThread()
			cmd := exec.Command("sleep", "1000")
			if _, err := childprocess.Start(cmd, syscall.SIGKILL); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			pids <- cmd.Process.Pid
		}()
	}
	for range sleepers {
		fmt.Println(<-pids)
	}
	select {}
}

// runs reports whether there is a process that is not a zombie.
func runs(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var name string
	var state byte
	if _, err := fmt.Sscanf(string(stat), "%d %s %c", &n, &name, &state); err != nil {
		t.Fatal(err)
	}
	return state != 'Z' && state != 'X'
}

// Children live while their parent does, although the threads of those who asked for them are gone, and no longer,
// however it ends.
func TestChildrenEndWithAKilledParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), parentVar+"=1"), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var pids []int
	for lines := bufio.NewScanner(out); len(pids) < sleepers && lines.Scan(); {
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != sleepers {
		t.Fatalf("%d children of %d", len(pids), sleepers)
	}
	// A child whose thread has ended would be dead within moments.
	time.Sleep(300 * time.Millisecond)
	for _, pid := range pids {
		if !runs(t, pid) {
			t.Errorf("child %d ended before its parent", pid)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := 0
		for _, pid := range pids {
			if runs(t, pid) {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("%d of %d children outlived their parent", left, sleepers)
		}
	}
}

func TestHowAChildEndedIsKnown(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c, err := childprocess.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	var status *exec.ExitError
	if err := c.Err(); !errors.As(err, &status) || status.ExitCode() != 3 || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("it ended with %v, want exit status 3", err)
	}
	if !cmd.SysProcAttr.Setpgid {
		t.Error("it was not started as the caller asked")
	}
	if err := childprocess.Run(exec.Command("/nonexistent"), syscall.SIGKILL); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}
