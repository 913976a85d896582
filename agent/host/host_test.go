package host_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/host"
)

func write(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMetrics(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there it asks the kernel")
	}
	root := t.TempDir()
	write(t, root, "stat", "cpu  100 10 40 800 50 0 0 0 7 7\ncpu0 1 1 1 1\n")
	write(t, root, "meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\nSwapTotal: 64 kB\nSwapFree: 16 kB\n")
	write(t, root, "loadavg", "0.00 1.25 2.5 1/234 5678\n")
	write(t, root, "vmstat", "nr_free_pages 1\noom_kill_other 9\noom_kill 3\n")
	write(t, root, "uptime", "3600.25 7000.00\n")
	r := host.New(root)
	m := r.Metrics(t.Context())
	if m.CPUPercent != nil {
		t.Errorf("CPU use of no span: %v", *m.CPUPercent)
	}
	if *m.Load1 != 0 || *m.Load5 != 1.25 || *m.Load15 != 2.5 || *m.OOMKills != 3 || m.UptimeSec != 3600.25 {
		t.Errorf("%s", encoded(t, m))
	}
	if m.MemTotalBytes != 1000<<10 || m.MemUsedBytes != 600<<10 || m.SwapTotalBytes != 64<<10 || m.SwapUsedBytes != 48<<10 {
		t.Errorf("memory: %s", encoded(t, m))
	}
	// 50 slices of work among 200: the 90 of idle and 60 of waiting are none.
	write(t, root, "stat", "cpu  130 10 60 890 110 0 0 0 99 99\n")
	if m = r.Metrics(t.Context()); m.CPUPercent == nil || *m.CPUPercent != 25 {
		t.Errorf("CPU use %s, want 25", encoded(t, m.CPUPercent))
	}
	write(t, root, "stat", "cpu  131 10 60 889 110 0 0 0\n") // idle ran backwards; nothing passed
	if m = r.Metrics(t.Context()); m.CPUPercent != nil {
		t.Errorf("CPU use %v of no span", *m.CPUPercent)
	}
}

func TestMetricsOfASystemWithoutProc(t *testing.T) {
	m := host.New(filepath.Join(t.TempDir(), "none")).Metrics(t.Context())
	m.CPUs, m.Disk, m.GPUs = 0, nil, nil
	if runtime.GOOS == "windows" {
		m.MemTotalBytes, m.MemUsedBytes, m.UptimeSec = 0, 0, 0
	}
	if got := encoded(t, m); got != "{}" {
		t.Errorf("it knows %s", got)
	}
}

func TestMetricsOfThisMachine(t *testing.T) {
	m := host.New("").Metrics(t.Context())
	if m.Disk == nil || m.Disk.FreeBytes <= 0 || m.Disk.TotalBytes < m.Disk.FreeBytes {
		t.Errorf("disk %s", encoded(t, m.Disk))
	}
	known := runtime.GOOS == "linux" || runtime.GOOS == "windows"
	if known && (m.MemUsedBytes <= 0 || m.MemUsedBytes >= m.MemTotalBytes || m.UptimeSec <= 0) || runtime.GOOS == "linux" && m.OOMKills == nil {
		t.Errorf("%s", encoded(t, m))
	}
	if strings.Contains(encoded(t, m), "null") {
		t.Errorf("unknown fields are there: %s", encoded(t, m))
	}
}

func TestDiskOfNothing(t *testing.T) {
	if d := host.Disk(filepath.Join(t.TempDir(), "none")); d != nil {
		t.Errorf("%+v", d)
	}
}
