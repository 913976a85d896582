// Package usage reads from /proc what processes have used: Linux only.
package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is what /proc/PID/stat counts in: USER_HZ, 100 on every Linux that Go runs on (proc(5), sysconf(3)).
const tick = 10 * time.Millisecond

// CPU is the time, user and system, that a process and its children used so far: those that live, and those that ended
// and were waited for. Postgres needs it: it is a process for each connection.
func CPU(pid int) (total time.Duration, err error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("usage of %d: %w", pid, err)
		}
		total += time.Duration(n) * tick
	}
	children, err := Children(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range children {
		n, err := CPU(child)
		if err == nil { // else it ended meanwhile, and is its parent's at the next look
			total += n
		}
	}
	return total, nil
}

// stat is /proc/PID/stat from the third field, the state, on: the second is a name with any characters, in brackets.
func stat(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("usage of %d: /proc/%d/stat is %q", pid, pid, data)
	}
	return fields, nil
}

// Machine is what all processors did since the start, and how long they wanted to work meanwhile and could not, since the
// host of this virtual machine let others work: "steal" in proc(5). Of what a process used, it is no part where the kernel
// tells them apart (CONFIG_PARAVIRT_TIME_ACCOUNTING).
func Machine() (worked, stolen time.Duration, err error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("usage: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("usage: /proc/stat begins with %q", line)
	}
	for i, to := range map[int]*time.Duration{1: &worked, 2: &worked, 3: &worked, 6: &worked, 7: &worked, 8: &stolen} { // user nice system irq softirq steal
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("usage: /proc/stat: %w", err)
		}
		*to += time.Duration(n) * tick
	}
	return worked, stolen, nil
}

// Children are the processes that a process started, and that live.
func Children(pid int) (pids []int, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	for _, field := range strings.Fields(string(data)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("usage of %d: %w", pid, err)
		}
		pids = append(pids, n)
	}
	return pids, nil
}

// Memory is what a process has in memory, in bytes: now (VmRSS), and at most so far (VmHWM).
func Memory(pid int) (resident, peak int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("usage: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &resident, "VmHWM": &peak}[name]
		if to == nil {
			continue
		}
		if *to, err = strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("usage of %d: %w", pid, err)
		}
		*to <<= 10
	}
	return resident, peak, nil
}
