// Package chaos_test runs the monitor as replicas under random faults, and audits what it did.
package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/fleet"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

const (
	nodes = 40
	short = 45 * time.Second
	// thorough is the threshold under chaos: long enough that no single fault hides a healthy node for all of it.
	thorough = 10 * time.Second
)

// length is how long faults happen: CHAOS_MINUTES, or a short time.
func length(t *testing.T) time.Duration {
	v := os.Getenv("CHAOS_MINUTES")
	if v == "" {
		return short
	}
	minutes, err := strconv.ParseFloat(v, 64)
	if err != nil || minutes <= 0 || minutes > 24*60 {
		t.Fatalf("CHAOS_MINUTES=%q: want a number of minutes", v)
	}
	return time.Duration(minutes * float64(time.Minute))
}

// seed is CHAOS_SEED, or another one each time; it chooses the faults, not their outcome.
func seed(t *testing.T) uint64 {
	v := os.Getenv("CHAOS_SEED")
	if v == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("CHAOS_SEED=%q: want a number", v)
	}
	return n
}

// Whatever happens to the replicas and between them: no acknowledged heartbeat is lost, the transitions are those of the
// reference, nobody is called down or lost who was not, every alert is told, and none twice but the frozen one.
func TestChaos(t *testing.T) {
	long, seed := length(t), seed(t)
	t.Logf("CHAOS_SEED=%d for %v", seed, long)
	w := start(t, options{threshold: thorough})
	f := fleet.New(fleet.Options{
		URLs: []string{w.Ingests[0].URL, w.Ingests[1].URL}, Secret: secret, Prefix: "chaos", Nodes: nodes,
		Interval: 1200 * time.Millisecond, Seed: seed,
	})
	stop := run(t.Context(), f)
	defer stop()
	time.Sleep(3 * time.Second)
	m := newMayhem(t, w, seed)
	m.run(long, f)
	w.Heal()
	// Whoever is silent by now is found within two thresholds and fifteen seconds, without help.
	time.Sleep(2*thorough + 15*time.Second)
	v := w.rest(t, stop, f)
	t.Logf("faults: %s", m)
	t.Logf("answers: %v", f.Answers())
	t.Log(v)
	for _, e := range v.Errors() {
		t.Error(e)
	}
	explained := m.explain(t, v.Repeats)
	if v.Acknowledged < nodes*int(long/(4*time.Second)) {
		t.Errorf("only %d heartbeats were acknowledged: this shows nothing", v.Acknowledged)
	}
	reliability.Report(t, reliability.Row{
		Group: "Everything at once", Fault: fmt.Sprintf("random faults for %v, %d nodes: %s", long, nodes, m),
		Must: "heartbeats lost 0, transitions lost 0 or doubled 0, false DOWN or LOST 0, alerts lost 0, repeats explained",
		Seen: v.String() + explained, Rounds: m.count(),
	})
}

// describe makes one line of counts.
func describe(counts map[string]int, names []string) string {
	parts := make([]string, 0, len(names))
	for _, n := range names {
		parts = append(parts, fmt.Sprintf("%d × %s", counts[n], n))
	}
	return strings.Join(parts, ", ")
}
