package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Limits of what an agent may cost.
const (
	maxResident = 10_000_000            // bytes, between heartbeats
	maxPeak     = 11_500_000            // bytes while one is sent: 10.2 million were seen on a busy machine
	maxBinary   = 7_000_000             // bytes
	maxCPU      = 60 * time.Millisecond // of each heartbeat: 0.1 % of a core at one a minute
)

// TestFootprint builds the program as it is released and runs it against a server that speaks TLS, the dearest thing an
// agent does. FOOTPRINT_BEATS=60 is an hour of heartbeats at one a second; the figures are printed with -v.
func TestFootprint(t *testing.T) {
	beats := 15
	if n, err := strconv.Atoi(os.Getenv("FOOTPRINT_BEATS")); err == nil {
		beats = n
	}
	program := filepath.Join(t.TempDir(), "gensyn-agent")
	build(t, program, "linux", runtime.GOARCH)
	m := &monitor{}
	got := make(chan int, 1000)
	m.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		accept(w, r)
		got <- int(n)
	}))
	t.Cleanup(m.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
	if err := os.WriteFile(ca, data, 0o600); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(program, "run", "--config", settings(t, m.URL, "INTERVAL_SEC=1", "PROFILE=rl-swarm", "CA_FILE="+ca))
	var log bytes.Buffer
	agent.Stderr = &log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill() })
	next := func() {
		t.Helper()
		select {
		case <-got:
		case <-time.After(20 * time.Second):
			t.Fatalf("no heartbeat\n%s", log.String())
		}
	}
	next()
	next()
	first := memory(t, agent.Process.Pid, "VmHWM")
	// From here on the peak is that of heartbeats, without that of the start. Where the kernel does not let us, it is of all.
	_ = os.WriteFile(filepath.Join("/proc", strconv.Itoa(agent.Process.Pid), "clear_refs"), []byte("5"), 0)
	before := cpuTime(t, agent.Process.Pid)
	for range beats {
		next()
	}
	// A heartbeat has just arrived: what it cost is given back before the next.
	time.Sleep(400 * time.Millisecond)
	each := (cpuTime(t, agent.Process.Pid) - before) / time.Duration(beats)
	resident, peak := memory(t, agent.Process.Pid, "VmRSS"), memory(t, agent.Process.Pid, "VmHWM")
	t.Logf("after %d heartbeats: resident %.1f MB (of its own %.1f MB), at most %.1f MB during one, %.1f MB in the first; CPU %v a heartbeat, %.4f %% of a core at one a minute",
		beats+2, resident/1e6, memory(t, agent.Process.Pid, "RssAnon")/1e6, peak/1e6, first/1e6, each.Round(time.Microsecond/10),
		100*each.Seconds()/60)
	if resident > maxResident {
		t.Errorf("resident %.0f bytes, at most %d", resident, maxResident)
	}
	if peak > maxPeak {
		t.Errorf("%.0f bytes during a heartbeat, at most %d", peak, maxPeak)
	}
	if each > maxCPU {
		t.Errorf("%v of CPU a heartbeat, at most %v", each, maxCPU)
	}
}

// TestTheLargestBinary is that for Windows, which nothing else here builds as it is released.
func TestTheLargestBinary(t *testing.T) {
	build(t, filepath.Join(t.TempDir(), "gensyn-agent.exe"), "windows", "amd64")
}

// build makes a program as it is released, and looks at its size.
func build(t *testing.T, program, goos, goarch string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-gcflags=all=-l", "-ldflags", "-s -w", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s/%s: %d bytes", goos, goarch, info.Size())
	if info.Size() > maxBinary {
		t.Errorf("%s/%s: %d bytes, at most %d", goos, goarch, info.Size(), maxBinary)
	}
}

// memory is a line of /proc/PID/status in bytes.
func memory(t *testing.T, pid int, name string) float64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name+":" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib * 1024
		}
	}
	t.Fatalf("no %s in\n%s", name, data)
	return 0
}

// cpuTime is what all threads of a process that live have used, and the children it waited for.
func cpuTime(t *testing.T, pid int) (total time.Duration) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "schedstat"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // it has just ended
		}
		first, _, _ := strings.Cut(string(data), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(n)
	}
	return total
}
