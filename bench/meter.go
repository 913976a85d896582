package bench

import (
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/bench/usage"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
)

// meter adds up the processor time of processes.
type meter struct {
	pids map[string]int
	at   map[string]time.Duration
}

func newMeter() *meter { return &meter{pids: make(map[string]int), at: make(map[string]time.Duration)} }

// of is a meter of all processes of a monitor, Postgres and nats-server among them.
func of(c *cluster.Cluster) *meter {
	m := newMeter()
	m.pids["nats-server"] = c.NATS.PID()
	for _, p := range c.Services() {
		m.pids[p.Name] = p.PID()
	}
	if len(c.Services()) > 1 { // ingest alone uses no database
		m.pids["postgres"] = c.Postgres.PID()
	}
	return m
}

// start forgets what was used so far.
func (m *meter) start() error {
	for name, pid := range m.pids {
		used, err := usage.CPU(pid)
		if err != nil {
			return err
		}
		m.at[name] = used
	}
	return nil
}

// read is what each process used since start, and all of them.
func (m *meter) read() (each map[string]time.Duration, all time.Duration, err error) {
	each = make(map[string]time.Duration)
	for name, pid := range m.pids {
		used, err := usage.CPU(pid)
		if err != nil {
			return nil, 0, err
		}
		each[name] = used - m.at[name]
		all += each[name]
	}
	return each, all, nil
}

// micros is the time for one of n, in µs.
func micros(d time.Duration, n int) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(max(n, 1))
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
