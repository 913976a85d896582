// Package host measures the machine it runs on.
package host

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/agent/gpu"
	"github.com/gensyn-monitor/gensyn-monitor/contract"
)

// Reader measures one machine. It is used by one goroutine at a time.
type Reader struct {
	proc string
	last cpuTimes
}

// New makes a reader; proc is the proc file system, "" for /proc.
func New(proc string) *Reader {
	if proc == "" {
		proc = "/proc"
	}
	return &Reader{proc: proc}
}

// Metrics measures. What cannot be known on this system is left out. CPU use is that since the call before; the first
// call has none. It takes at most
// some seconds, when the program that asks the GPUs hangs, and returns soon after ctx ends.
func (r *Reader) Metrics(ctx context.Context) contract.Metrics {
	m := contract.Metrics{CPUs: runtime.NumCPU(), Disk: Disk(systemDisk()), GPUs: gpu.Read(ctx, "/sys")}
	r.system(&m)
	r.cpu(&m)
	r.memory(&m)
	r.load(&m)
	if v, ok := number(field(r.read("vmstat"), "oom_kill")); ok {
		m.OOMKills = &v
	}
	if fields := strings.Fields(r.read("uptime")); len(fields) > 0 {
		m.UptimeSec, _ = strconv.ParseFloat(fields[0], 64)
	}
	return m
}

// Disk measures the file system that a path is on, nil when it cannot.
func Disk(path string) *contract.Disk {
	total, free, ok := space(path)
	if !ok || total <= 0 {
		return nil
	}
	return &contract.Disk{Path: path, TotalBytes: total, FreeBytes: free}
}

func (r *Reader) read(name string) string {
	data, err := os.ReadFile(filepath.Join(r.proc, name))
	if err != nil {
		return ""
	}
	return string(data)
}

// cpuTimes counts time slices of all CPUs since boot.
type cpuTimes struct{ idle, all int64 }

// cpu reads the first line of stat: user nice system idle iowait irq softirq steal. Those of guests are part of the
// first ones.
func (r *Reader) cpu(m *contract.Metrics) {
	line, _, _ := strings.Cut(r.read("stat"), "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return
	}
	var now cpuTimes
	for i, f := range fields[1:min(len(fields), 9)] {
		v, _ := strconv.ParseInt(f, 10, 64)
		now.all += v
		if i == 3 || i == 4 {
			now.idle += v
		}
	}
	r.use(m, now)
}

// use compares counts with those of the call before.
func (r *Reader) use(m *contract.Metrics, now cpuTimes) {
	before := r.last
	r.last = now
	// Counters of waiting for disks may run backwards.
	if all := now.all - before.all; before.all > 0 && all > 0 {
		idle := min(max(now.idle-before.idle, 0), all)
		percent := round(100 * float64(all-idle) / float64(all))
		m.CPUPercent = &percent
	}
}

func (r *Reader) memory(m *contract.Metrics) {
	text := r.read("meminfo")
	kib := func(name string) int64 {
		v, _ := number(strings.TrimSuffix(field(text, name+":"), " kB"))
		return v << 10
	}
	total := kib("MemTotal")
	if total == 0 {
		return
	}
	m.MemTotalBytes = total
	if available := kib("MemAvailable"); available > 0 {
		m.MemUsedBytes = m.MemTotalBytes - available
	}
	m.SwapTotalBytes = kib("SwapTotal")
	m.SwapUsedBytes = m.SwapTotalBytes - kib("SwapFree")
}

func (r *Reader) load(m *contract.Metrics) {
	fields := strings.Fields(r.read("loadavg"))
	for i, to := range []**float64{&m.Load1, &m.Load5, &m.Load15} {
		if i >= len(fields) {
			return
		}
		if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
			*to = &v
		}
	}
}

// field is what follows a name that begins a line of text.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func number(s string) (int64, bool) {
	v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return v, err == nil
}

// round keeps one digit: more is noise on the wire.
func round(v float64) float64 { return float64(int64(v*10+0.5)) / 10 }
