package stepclock_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/rig"
)

// When the clock of the NATS host steps by an hour, forward or back, no node changes its state, at most a blind span
// is told, and nodes that died before or after the step are found.
func TestTheClockOfNATSSteps(t *testing.T) {
	m := start(t, nil)
	steps := []time.Duration{time.Hour, -time.Hour, -24 * time.Hour, 24 * time.Hour}
	if testing.Short() {
		steps = steps[:2]
	}
	victims := m.join(t, 2*len(steps)) // all at once: a chat gets 20 messages a minute
	for i, step := range steps {
		before, after := victims[2*i], victims[2*i+1]
		m.fleet.Silence(before)
		time.Sleep(time.Second) // it dies a second before the step, the other right after it
		m.clocks["nats"].Step(step)
		m.fleet.Silence(after)
		m.awaitLost(t, before)
		m.awaitLost(t, after)
	}
	n, median, most := m.figures()
	wrong := m.wrongly()
	for _, w := range wrong {
		t.Errorf("a healthy node was told after a step:\n%s", w.Plain)
	}
	blind, told := m.checkRecord(t)
	if blind < len(steps) {
		t.Errorf("%d blind spans, want one for each of %d steps", blind, len(steps))
	}
	reliability.Report(t, reliability.Row{
		Group: "Clocks", Rounds: len(steps), Fault: fmt.Sprintf("the clock of the NATS host steps while nodes report: %v", steps),
		Must: fmt.Sprintf("no healthy node is told, blind spans at most; nodes that die before or after a step are told within %v", found),
		Seen: fmt.Sprintf("%d healthy nodes told, %d blind spans recorded, %d of them told; %d deaths told after %.1f s (median), %.1f s at most",
			len(wrong), blind, told, n, median.Seconds(), most.Seconds()),
	})
}

// A clock that trembles by 5 ms, back and forth, fifty times a second, changes nothing at all.
func TestTheClockOfNATSTrembles(t *testing.T) {
	m := start(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	var trembling sync.WaitGroup
	times := 0
	trembling.Go(func() { times = tremble(ctx, m) })
	began := time.Now()
	deaths := 3
	if testing.Short() {
		deaths = 1
	}
	for _, id := range m.join(t, deaths) {
		m.fleet.Silence(id)
		m.awaitLost(t, id)
	}
	lasted := time.Since(began)
	stop()
	trembling.Wait()
	n, median, most := m.figures()
	wrong := m.wrongly()
	if len(wrong) > 0 {
		t.Errorf("healthy nodes were told: %v", wrong)
	}
	blind, told := m.checkRecord(t)
	reliability.Report(t, reliability.Row{
		Group: "Clocks", Rounds: times, Fault: "the clock of the NATS host trembles by ±5 ms, fifty times a second",
		Must: fmt.Sprintf("nothing but the deaths is told, each within %v", found),
		Seen: fmt.Sprintf("in %.0f s: %d healthy nodes told, %d blind spans recorded, %d of them told; %d deaths told after %.1f s (median), %.1f s at most",
			lasted.Seconds(), len(wrong), blind, told, n, median.Seconds(), most.Seconds()),
	})
}

func tremble(ctx context.Context, m *monitor) (times int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d := 5 * time.Millisecond; ; d = -d {
		select {
		case <-ctx.Done():
			return times
		case <-tick.C:
		}
		m.clocks["nats"].Step(d)
		times++
	}
}

// A server that starts again three days ahead throws away every message, also those that nobody has folded: the limit
// of the stream's age is 48 hours. That is a blind span, and nothing worse; and so is the way back.
func TestNATSStartsAgainDaysAhead(t *testing.T) {
	m := start(t, nil)
	victims := m.join(t, 3)
	dead, second, third := victims[0], victims[1], victims[2]
	evaluator := m.services["evaluator"]
	evaluator.Kill()
	m.fleet.Silence(dead)
	time.Sleep(2 * time.Second) // of heartbeats that the evaluator has not seen
	m.restartNATS(t, 72*time.Hour)
	must(t, evaluator.Restart(t.Context()))
	m.awaitLost(t, dead)
	m.fleet.Silence(second)
	m.restartNATS(t, -72*time.Hour)
	m.awaitLost(t, second)
	m.fleet.Silence(third)
	m.awaitLost(t, third)
	n, median, most := m.figures()
	wrong := m.wrongly()
	if len(wrong) > 0 {
		t.Errorf("healthy nodes were told:\n%s", show(wrong))
	}
	spans := holding(m.telegram.Messages(), []string{"was blind"})
	if len(spans) == 0 {
		t.Error("the lost messages were not told as a blind span")
	}
	if epoch := m.checkHealthy(t).Position.Epoch; epoch != 2 {
		t.Errorf("epoch %d, want 2: messages were deleted before they were folded", epoch)
	}
	reliability.Report(t, reliability.Row{
		Group: "Clocks", Rounds: 2,
		Fault: "nats-server starts again three days ahead, deletes what was not folded yet, and later starts again three days back",
		Must:  fmt.Sprintf("a blind span is told, no healthy node; the dead are told within %v", found),
		Seen: fmt.Sprintf("%d blind spans told, %d healthy nodes told; %d deaths told after %.1f s (median), %.1f s at most",
			len(spans), len(wrong), n, median.Seconds(), most.Seconds()),
	})
}

// Then the clock is put right, and more than right. What is acknowledged now has stamps before the last folded one, and
// is folded all the same when the evaluator comes back.
func TestStampsBeforeADiscardedPositionAreFolded(t *testing.T) {
	m := start(t, nil)
	evaluator, ingest := m.services["evaluator"], m.services["ingest"]
	evaluator.Kill()
	must(t, ingest.Stop())
	m.restartNATS(t, 72*time.Hour)
	m.restartNATS(t, -73*time.Hour)
	must(t, ingest.Restart(t.Context()))
	m.fleet.Set("late", "DOWN")
	for deadline := time.Now().Add(20 * time.Second); m.fleet.Last("late").IsZero(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("ingest does not take heartbeats")
		}
	}
	m.fleet.Silence("late")
	must(t, evaluator.Restart(t.Context()))
	began := time.Now()
	took := m.told(t, found, "late", "DOWN").At.Sub(began)
	wrong := m.wrongly()
	if len(wrong) > 0 {
		t.Errorf("healthy nodes were told:\n%s", show(wrong))
	}
	if epoch := m.checkHealthy(t).Position.Epoch; epoch != 2 {
		t.Errorf("epoch %d, want 2: the position was discarded", epoch)
	}
	reliability.Report(t, reliability.Row{
		Group: "Clocks", Rounds: 1,
		Fault: "all that was folded is deleted by a clock three days ahead, which is then set back by three days and an hour, while the evaluator is off",
		Must:  "what is acknowledged then is folded, though its stamps are before the last folded one",
		Seen:  fmt.Sprintf("a heartbeat acknowledged meanwhile was told %.1f s after the evaluator was back, %d healthy nodes told", took.Seconds(), len(wrong)),
	})
}

func (m *monitor) restartNATS(t *testing.T, step time.Duration) {
	t.Helper()
	m.NATS.Kill()
	m.clocks["nats"].Step(step)
	must(t, m.NATS.Start(t.Context()))
}

// checkHealthy looks into the database: no healthy node has ever changed its state.
func (m *monitor) checkHealthy(t *testing.T) *rig.Record {
	t.Helper()
	r := m.record(t)
	for _, e := range r.Events {
		if strings.HasPrefix(e.NodeID, "steady-") && e.To != "up" {
			t.Errorf("a healthy node changed its state: %+v", e.Event)
		}
	}
	return r
}
