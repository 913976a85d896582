package storefaults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

func (m *member) owns(t *testing.T) bool {
	t.Helper()
	return m.figure(t, "gensyn_evaluator_lease_held", "") == 1
}

// owner waits until exactly one member folds, and returns it and another.
func (w *world) owner() (owner, other *member) {
	w.t.Helper()
	await(w.t, 30*time.Second, "one evaluator folds", func() bool {
		owner, other = nil, nil
		for _, m := range w.members {
			if m.owns(w.t) {
				owner = m
			} else {
				other = m
			}
		}
		return owner != nil && other != nil
	})
	return owner, other
}

func (w *world) term() int64 {
	w.t.Helper()
	s := w.open()
	defer s.Close()
	term, _, err := s.Committed(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return term
}

// The owner's own connection to NATS is cut, and it keeps that to the database: the stand-by must fold.
func TestOwnerWithoutNATSLeavesTheLease(t *testing.T) {
	w := newWorld(t)
	w.add(pace(), "")
	w.add(pace(), "")
	w.awaitFolded()
	var took []time.Duration
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		owner, other := w.owner()
		before := w.term()
		owner.nats.Refuse(true)
		took = append(took, await(t, 30*time.Second, "the stand-by folds", func() bool { return other.owns(t) }))
		w.awaitFolded()
		if !strings.Contains(owner.ready("NATS"), "NATS is unavailable") || owner.figure(t, "gensyn_evaluator_lease_left_total", "") != 1 {
			t.Errorf("readiness says %q of NATS, and the figure must count 1", owner.ready("NATS"))
		}
		if n := w.term() - before; n != 1 {
			t.Errorf("%d take-overs, want 1", n)
		}
		owner.nats.Refuse(false)
		await(t, 15*time.Second, "readiness again", func() bool { return owner.ready("NATS") == "" })
	}
	for _, d := range took {
		if d < 9*time.Second || d > 16*time.Second {
			t.Errorf("taken over after %v, want about 10 s: a short cut costs no take-over", d)
		}
	}
	accepted, transitions := w.accepted(), w.verify()
	reliability.Report(t, reliability.Row{
		Group: "Evaluator", Fault: "the owner's own connection to NATS is cut; it still has the database, and a stand-by has both", Rounds: rounds,
		Must: "the owner leaves the lease after 10 s, the stand-by folds; /readyz names NATS; no transition lost or doubled",
		Seen: fmt.Sprintf("the stand-by folds after %s, one take-over each; %d transitions, all as the reference says; %d heartbeats answered 200, 0 not",
			spread(took), transitions, accepted),
	})
}

// No evaluator reaches NATS: the lease does not go to and fro, and somebody is there to tell that nothing comes.
func TestNobodyReachesNATS(t *testing.T) {
	p := pace()
	p.Alone, p.LastResort, p.Stalled = 2*time.Second, time.Second, 5*time.Second
	w := newWorld(t)
	w.add(p, "")
	w.add(p, "")
	w.awaitFolded()
	w.owner()
	before, began := w.term(), time.Now()
	for _, m := range w.members {
		m.nats.Refuse(true)
	}
	told := await(t, 15*time.Second, "it is told that nothing comes", func() bool { return w.stalled() > 0 })
	// A replica that takes over begins to listen then: it cannot know what the owner before it heard.
	if limit := p.Alone + p.LastResort + p.Stalled + 2500*time.Millisecond; told > limit {
		t.Errorf("told after %v, want within %v", told, limit)
	}
	time.Sleep(time.Until(began.Add(12 * time.Second))) // the length of the fault, not a hope
	terms := w.term() - before
	if terms != 1 { // the next offer comes 12 s after the last resort took it
		t.Errorf("the lease changed hands %d times in 12 s, want once", terms)
	}
	for _, m := range w.members {
		m.nats.Refuse(false)
	}
	took := w.awaitFolded()
	if n := w.stalled(); n != 1 {
		t.Errorf("told %d times that nothing comes, want once", n)
	}
	accepted, transitions := w.accepted(), w.verify()
	reliability.Report(t, reliability.Row{
		Group: "Evaluator", Fault: "no evaluator reaches NATS for 12 s (one gives up after 2 s here, 10 s else)", Rounds: 1,
		Must: "the lease does not go to and fro; that nothing comes is told once, within the 3 s of handing over and the limit of 5 s here; no transition lost or doubled",
		Seen: fmt.Sprintf("%d take-overs; told once, %v after the cut; folded %v after the end; %d transitions, all as the reference says; %d heartbeats answered 200, 0 not",
			terms, round(told), round(took), transitions, accepted),
	})
}

// The only evaluator does not reach NATS. It offers the lease, takes it again, and its silence goes on meanwhile.
func TestTheOnlyEvaluatorDoesNotReachNATS(t *testing.T) {
	p := pace()
	p.Alone, p.LastResort, p.Stalled = 2*time.Second, 2*time.Second, 6*time.Second
	w := newWorld(t)
	m := w.add(p, "")
	w.awaitFolded()
	m.nats.Refuse(true)
	told := await(t, 20*time.Second, "it is told that nothing comes", func() bool { return w.stalled() > 0 })
	if told > p.Stalled+2500*time.Millisecond || m.figure(t, "gensyn_evaluator_lease_left_total", "") != 1 {
		t.Errorf("told after %v with a limit of %v, the lease left %v times; want once", told, p.Stalled, m.figure(t, "gensyn_evaluator_lease_left_total", ""))
	}
	t.Logf("told after %v, limit %v", round(told), p.Stalled)
	m.nats.Refuse(false)
	w.awaitFolded()
	w.accepted()
	w.verify()
}

// stalled is how often it was told that nothing comes.
func (w *world) stalled() (n int) {
	w.t.Helper()
	s := w.open()
	defer s.Close()
	events, err := s.Events(w.t.Context(), "", 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == "stalled" {
			n++
		}
	}
	return n
}
