package evaluator

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// TestFiguresOfTheFold: what the owner committed stands in its figures, and a stand-by has none.
func TestFiguresOfTheFold(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newMetrics(registry)
	f := node.New(0, node.Snapshot{Clock: node.Clock{Settings: node.Settings{Threshold: 10 * time.Second, MaxNodes: 10}}})
	m.owns(7, f)
	begun := node.Stamp(1_700_000_000_000_000_000)
	apply := func(seq uint64, after time.Duration, heartbeats ...node.Heartbeat) {
		f.Apply(node.Message{Seq: seq, Stamp: begun + node.Stamp(after), Heartbeats: heartbeats})
		m.committed(f, f.Take())
	}
	expect := func(when string, want map[string]float64) {
		t.Helper()
		for series, v := range want {
			if got := sample(t, registry, series); got != v {
				t.Errorf("%s: %s is %v, want %v", when, series, got, v)
			}
		}
	}
	up := func(id string) node.Heartbeat { return node.Heartbeat{NodeID: id, Status: "UP"} }

	apply(1, 0, up("a"), up("b"), up("c"), node.Heartbeat{NodeID: "d", Status: "DOWN"})
	expect("after the first", map[string]float64{
		"lease_held": 1, "lease_term": 7, "committed_stamp_seconds": 1_700_000_000, "nodes up": 3, "nodes down": 1,
		"nodes lost": 0, "events_total changed lost": 0, "blind_seconds_total blind": 0, "deaf": 0,
	})
	apply(2, 7*time.Second) // more than G: a blind span
	expect("after a gap", map[string]float64{
		"committed_stamp_seconds": 1_700_000_007, "blind_seconds_total blind": 7, "blind_seconds_total deaf": 0,
	})
	for i := range uint64(15) { // pulses alone, until all are lost together
		apply(3+i, time.Duration(8+i)*time.Second)
	}
	expect("deaf", map[string]float64{"deaf": 1, "nodes up": 0, "nodes down": 0, "nodes lost": 4, "events_total changed lost": 4})
	apply(20, 23*time.Second, up("a"))
	expect("hearing again", map[string]float64{"deaf": 0, "blind_seconds_total deaf": 23, "nodes up": 1})
	m.standby()
	expect("stand-by", map[string]float64{
		"lease_held": 0, "lease_term": 0, "committed_stamp_seconds": 0, "nodes up": 0, "nodes lost": 0,
		"events_total changed lost": 4, "blind_seconds_total blind": 7,
	})
}

// sample is the value of a series: its name without the prefix, then its labels' values in order.
func sample(t *testing.T, r *prometheus.Registry, series string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()[len("gensyn_evaluator_"):]
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if name == series {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no series %q", series)
	return 0
}
