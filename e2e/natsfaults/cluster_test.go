package natsfaults_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/cluster"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// answerLimit is how long anybody waits for 200 or 503: 2 s, and what a busy machine adds to the slowest of thousands.
const answerLimit = 4 * time.Second

// A cluster of three with three replicas survives the loss of any one server, and waits out the loss of two.
func TestClusterOfThree(t *testing.T) {
	w := start(t, 3, bus.StreamLimits{MaxBytes: 256 << 20, Replicas: 3})
	if err := w.own.FewReplicas(t.Context(), 0, 3); err != nil {
		t.Error(err)
	}
	t.Run("the leader is killed", func(t *testing.T) { w.testServerAway(t, true) })
	t.Run("another server is restarted", func(t *testing.T) { w.testServerAway(t, false) })
	t.Run("no majority for 20 s", w.testNoMajority)
	t.Run("all servers at once", w.testAllServers)
	t.Run("audit", w.testAudit)
}

func (w *world) awaitLeader(t *testing.T) (p *cluster.Process) {
	t.Helper()
	await(t, 30*time.Second, "a leader of the stream", func() bool { p = w.leader(); return p != nil })
	return p
}

func (w *world) testServerAway(t *testing.T, leads bool) {
	const rounds, limit = 2, 6 * time.Second
	var took, chosen []time.Duration
	fault, must := "one server of three, the stream's leader, is killed and comes back", "ingest and evaluator go on by themselves within 6 s of the election's end, the same epoch, no healthy node LOST"
	if !leads {
		fault = "one server of three that does not lead is stopped and comes back"
	}
	for range rounds {
		p := w.awaitLeader(t)
		if leads {
			p.Kill()
		} else {
			p = w.others(p)[0]
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		away := time.Now()
		led := make(chan time.Duration, 1)
		go func() { led <- w.awaitLed(away, p) }()
		w.awaitFolded()
		folded := time.Since(away)
		election := <-led
		took, chosen = append(took, folded), append(chosen, election)
		if folded-election > limit {
			t.Errorf("folding again after %v, %v after the election", folded, folded-election)
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.awaitFolded()
	}
	w.wantSame(t)
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: fault, Must: must, Rounds: rounds,
		Seen: fmt.Sprintf("leaders after %s; folding again after %s; epoch %d, LOST %d", spread(chosen), spread(took), w.position().Epoch, w.count(node.Changed, node.Lost)),
	})
}

// awaitLed returns how long after the given time both the heartbeats stream and the cluster itself were led, by other
// servers than the one that went away then. How long the servers take to choose is theirs: 4 to 9 s, twice that when none wins.
func (w *world) awaitLed(away time.Time, gone *cluster.Process) time.Duration {
	for time.Since(away) < time.Minute {
		ctx, cancel := context.WithTimeout(w.t.Context(), 500*time.Millisecond)
		_, err := w.js.AccountInfo(ctx)
		cancel()
		if p := w.leader(); err == nil && p != nil && p != gone {
			return time.Since(away)
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Error("no leader is chosen within a minute")
	return time.Minute
}

// wantSame fails when the fold believes in another stream, or in dead nodes.
func (w *world) wantSame(t *testing.T) {
	t.Helper()
	if e, lost := w.position().Epoch, w.count(node.Changed, node.Lost); e != 1 || lost != 0 {
		t.Errorf("epoch %d, %d times LOST, want 1 and 0:\n%s", e, lost, w.history())
	}
}

// outage takes servers away for 20 s, and brings them back.
func (w *world) outage(t *testing.T, servers []*cluster.Process) (refused, folded time.Duration) {
	t.Helper()
	for _, p := range servers {
		p.Kill()
	}
	began := time.Now()
	await(t, 10*time.Second, "503", func() bool { return w.fleet.refused(began) })
	refused = time.Since(began)
	await(t, 30*time.Second, "readiness names NATS", func() bool { return w.problem("NATS") != "" && w.problem("stream") != "" })
	time.Sleep(time.Until(began.Add(20 * time.Second))) // the length of the fault, not a hope
	t.Logf("while away: NATS: %s; stream: %s", w.problem("NATS"), w.problem("stream"))
	began = time.Now()
	if err := cluster.StartTogether(t.Context(), servers...); err != nil {
		t.Fatal(err)
	}
	w.awaitFolded()
	folded = time.Since(began)
	await(t, 10*time.Second, "readiness again", func() bool { return w.problem("NATS") == "" && w.problem("stream") == "" })
	return refused, folded
}

func (w *world) testNoMajority(t *testing.T) {
	_, folded := w.outage(t, w.others(w.awaitLeader(t)))
	w.wantSame(t)
	took, odd := w.fleet.slowest()
	if took > answerLimit || odd > 0 {
		t.Errorf("the slowest answer took %v, %d were neither 200 nor 503", took, odd)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "two servers of three are away for 20 s: no majority",
		Must: "503 within 2 s, the same epoch, no healthy node LOST, going on by itself; /readyz names NATS", Rounds: 1,
		Seen: fmt.Sprintf("slowest answer %v; folding %v after the start; epoch %d, LOST %d",
			took.Round(10*time.Millisecond), folded.Round(10*time.Millisecond), w.position().Epoch, w.count(node.Changed, node.Lost)),
	})
}

func (w *world) testAllServers(t *testing.T) {
	_, folded := w.outage(t, w.servers)
	w.wantSame(t)
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "all three servers are killed, and started 20 s later",
		Must: "no stream is made anew while they recover: the same epoch; no healthy node LOST", Rounds: 1,
		Seen: fmt.Sprintf("folding %v after the start; epoch %d, LOST %d",
			folded.Round(10*time.Millisecond), w.position().Epoch, w.count(node.Changed, node.Lost)),
	})
}

func (w *world) testAudit(t *testing.T) {
	acked, lost, refused, landed := w.audit()
	if lost != 0 {
		t.Errorf("%d of %d acknowledged heartbeats are not in the stream", lost, acked)
	}
	reliability.Report(t, reliability.Row{
		Group: "NATS", Fault: "all of that in a cluster of three, counted at the end",
		Must: "nothing acknowledged is lost; what was answered 503 may be stored (JetStream may commit what it did not acknowledge)", Rounds: 1,
		Seen: fmt.Sprintf("%d acknowledged, %d lost; %d answered 503, %d of them stored", acked, lost, refused, landed),
	})
}
