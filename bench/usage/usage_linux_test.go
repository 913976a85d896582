package usage_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/usage"
)

// A shell that spins in a child: both count, also after the child has ended.
func TestTheTimeOfChildrenCounts(t *testing.T) {
	cmd := exec.Command("sh", "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo'; cat`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 1)) // the child has spun
	var used time.Duration
	for range 500 {
		if used, err = usage.CPU(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		if used > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	real := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if diff := (real - used).Abs(); used == 0 || diff > 60*time.Millisecond {
		t.Errorf("counted %v, the kernel says %v", used, real)
	}
}

func TestTheMachineWorks(t *testing.T) {
	before, stolen, err := usage.Machine()
	if err != nil || before <= 0 || stolen < 0 {
		t.Fatalf("%v worked, %v stolen, %v", before, stolen, err)
	}
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
	}
	after, stolenLater, err := usage.Machine()
	if err != nil || after-before+stolenLater-stolen < 200*time.Millisecond || stolenLater < stolen {
		t.Errorf("%v more, %v stolen meanwhile, %v: a loop ran for 300 ms", after-before, stolenLater-stolen, err)
	}
}

func TestMemory(t *testing.T) {
	ballast := make([]byte, 32<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	now, peak, err := usage.Memory(os.Getpid())
	if err != nil || now < 32<<20 || peak < now || now > 4<<30 {
		t.Errorf("%d bytes, %d at most, %v", now, peak, err)
	}
	_ = ballast[len(ballast)-1]
}

func TestNoSuchProcess(t *testing.T) {
	if _, err := usage.CPU(-1); err == nil {
		t.Error("no error")
	}
	if _, _, err := usage.Memory(-1); err == nil {
		t.Error("no error")
	}
}
