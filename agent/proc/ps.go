//go:build unix

package proc

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// listPS asks ps, which is the same on all systems that follow POSIX.
func listPS(ctx context.Context) ([]listing, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ps", "-A", "-ww", "-o", "pid=,ppid=,pgid=,rss=,etime=,command=")
	cmd.WaitDelay = time.Second / 4
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var all []listing
	for line := range strings.Lines(string(out)) {
		if l, ok := parsePS(line); ok && l.PID != cmd.Process.Pid {
			all = append(all, l)
		}
	}
	return all, nil
}

// parsePS reads a line of ps: five columns and a command line.
func parsePS(line string) (listing, bool) {
	var columns [5]string
	rest := line
	for i := range columns {
		var ok bool
		if columns[i], rest, ok = strings.Cut(strings.TrimLeft(rest, " "), " "); !ok {
			return listing{}, false
		}
	}
	n := func(i int) int {
		v, _ := strconv.Atoi(columns[i])
		return v
	}
	rest = strings.TrimSpace(rest)
	l := listing{line: rest}
	l.Process = Process{
		PID: n(0), Parent: n(1), Group: n(2), RSS: int64(n(3)) << 10, Age: elapsed(columns[4]), Args: strings.Fields(rest),
	}
	return l, l.PID > 0 && rest != ""
}

// elapsed reads [[DD-]hh:]mm:ss.
func elapsed(s string) time.Duration {
	days, clock, ok := strings.Cut(s, "-")
	if !ok {
		days, clock = "0", s
	}
	total, _ := strconv.Atoi(days)
	total *= 24
	parts := strings.Split(clock, ":")
	if len(parts) == 2 {
		parts = append([]string{"0"}, parts...)
	}
	for i, p := range parts {
		v, _ := strconv.Atoi(p)
		if i > 0 {
			total *= 60
		}
		total += v
	}
	return time.Duration(total) * time.Second
}
