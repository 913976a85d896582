package natsfaults_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/smalldisk"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// TestDiskFull fills the disk of a nats-server of its own, for longer than two thresholds.
func TestDiskFull(t *testing.T) {
	const rounds, lasts = 2, 2*threshold + 2*time.Second
	w := define(t, 1)
	disk := smalldisk.Mount(t, filepath.Join(w.dir, w.servers[0].Name), 24)
	w.run(bus.StreamLimits{MaxBytes: 256 << 20})
	var refused, folded []time.Duration
	for range rounds {
		w.awaitAccepted(t, time.Now(), 2*fleetSize)
		disk.Fill()
		began := time.Now()
		await(t, 15*time.Second, "503", func() bool { return w.fleet.refused(began) })
		refused = append(refused, time.Since(began))
		await(t, 10*time.Second, "readiness says that the disk is full and what helps", func() bool {
			why := w.problem("stream")
			return strings.Contains(why, "its disk is full") && strings.Contains(why, "make room on it, then restart nats-server")
		})
		time.Sleep(time.Until(began.Add(lasts))) // the length of the fault, not a hope
		from := time.Now()
		await(t, 5*time.Second, "answers while the disk is full", func() bool { return len(w.fleet.since(from)) >= fleetSize })
		if all := w.fleet.since(from); slices.ContainsFunc(all, func(a answer) bool { return a.status != 503 }) {
			t.Errorf("some of %d heartbeats were not answered 503 while the disk was full", len(all))
		}
		disk.Free()
		// What /readyz says would be wrong if room alone helped.
		from = time.Now()
		await(t, 10*time.Second, "answers while there is room again", func() bool { return len(w.fleet.since(from)) >= fleetSize })
		if slices.ContainsFunc(w.fleet.since(from), func(a answer) bool { return a.status == 200 }) {
			t.Error("nats-server stores again without a restart: say so in /readyz, and here")
		}
		if err := w.servers[0].Stop(); err != nil {
			t.Error(err)
		}
		began = time.Now()
		if err := w.servers[0].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.awaitFolded()
		folded = append(folded, time.Since(began))
		await(t, 10*time.Second, "readiness again", func() bool { return w.problem("stream") == "" && w.problem("NATS") == "" })
	}
	// The first message that is stored again comes from an ingest that is unsure: the next one ends the span.
	await(t, 10*time.Second, "the blind spans", func() bool { return w.count(node.Blind, "") >= rounds })
	w.wantSame(t)
	blind := w.count(node.Blind, "")
	if blind != rounds {
		t.Errorf("%d blind spans, want %d", blind, rounds)
	}
	took, odd := w.fleet.slowest()
	if took > answerLimit || odd > 0 {
		t.Errorf("the slowest answer took %v, %d were neither 200 nor 503", took, odd)
	}
	acked, lost, failed, landed := w.audit()
	if lost != 0 || landed != 0 {
		t.Errorf("%d of %d acknowledged are not in the stream; %d of %d answered 503 are", lost, acked, landed, failed)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Rounds: rounds,
		Fault: fmt.Sprintf("the disk of nats-server is full for %v; then there is room again, and nats-server is restarted", lasts),
		Must:  "503 within 2 s, and /readyz says what helps; nothing acknowledged is lost, nothing answered 503 lands later; the span is blind, no healthy node LOST",
		Seen: fmt.Sprintf("first 503 after %s, slowest answer %v; folding %s after the restart; %d acknowledged, %d lost; %d answered 503, %d of them stored; blind spans %d, LOST %d",
			spread(refused), took.Round(10*time.Millisecond), spread(folded), acked, lost, failed, landed, blind, w.count(node.Changed, node.Lost)),
	})
}
