package node_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// flipping folds pulses for so long of true time, one every so often, each stamped off by what offset says.
func (s *script) flipping(d, every time.Duration, offset func() time.Duration) *script {
	begun := s.stamp
	for at := every; at <= d; at += every {
		s.apply(time.Duration(begun-s.stamp)+at+offset(), node.Message{})
	}
	return s.take()
}

// If each step forward were added, and none taken away, W would be at 16 min after these 3, and the node long lost.
func TestRule4StampsThatFlipDoNotHurryTheClock(t *testing.T) {
	const off = 5 * time.Millisecond
	s := newScript(t).beat(0, "a").clear()
	sign := off
	s.flipping(threshold-2*off, time.Millisecond, func() time.Duration { sign = -sign; return sign })
	w := s.fold.Clock().W
	if ahead := w - threshold; ahead > off || ahead < -4*off {
		t.Errorf("after %v of flipping stamps W is %v", threshold, w)
	}
	s.want()
	s.flipping(4*off, time.Millisecond, func() time.Duration { return 0 }).want("changed a up>lost silent")
}

// Whatever stamps do within G of true time, W is as far from true time as they are, and no span is blind.
func TestRule4RandomStampsWithinTheGap(t *testing.T) {
	const rounds, lasts = 200, time.Hour
	worst, added := time.Duration(0), time.Duration(0)
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 41))
		most := time.Duration(1+rng.IntN(4900)) * time.Millisecond // either way: from one to the other is less than G
		every := time.Duration(1+rng.IntN(100)) * time.Millisecond
		s, forward, last := newScript(t).pulse(time.Second), time.Duration(0), time.Duration(0)
		before := s.fold.Clock().W
		s.flipping(lasts, max(every, lasts/50_000), func() time.Duration {
			d := time.Duration(rng.Int64N(int64(2*most))) - most
			forward += max(0, d-last)
			last = d
			return d
		})
		if len(s.events) != 0 {
			t.Fatalf("seed %d: stamps off by up to %v made events %+v", seed, most, s.events)
		}
		w := s.fold.Clock().W - before
		if off := (w - lasts).Abs(); off > most+time.Second {
			t.Fatalf("seed %d: W is %v after %v, with stamps off by up to %v", seed, w, lasts, most)
		} else if off > worst {
			worst = off
		}
		added = max(added, forward)
	}
	reliability.Report(t, reliability.Row{
		Group: "Clocks", Fault: "the stamps of NATS flip back and forth at every message, by up to 4.9 s", Rounds: rounds,
		Must: "the observation clock stays as near true time as the stamps: nobody is lost early, or never",
		Seen: fmt.Sprintf("off by %v at most after %v each (all steps forward together: %v)",
			worst.Round(time.Millisecond), lasts, added.Round(time.Minute)),
	})
}

// A true step back within G makes the clock wait, G at most: a death is found that much later.
func TestRule4AStepBackWithinTheGapWaitsOnce(t *testing.T) {
	s := newScript(t).beat(0, "a").pulse(time.Minute).clear()
	before := s.fold.Clock().W
	s.message(-8*time.Second, node.Message{}).pulse(8 * time.Second).want()
	if w := s.fold.Clock().W; w != before {
		t.Errorf("while the stamps caught up W advanced by %v", w-before)
	}
	s.pulse(threshold-time.Minute).want().message(1, node.Message{}).want("changed a up>lost silent")
}

// Steps back that add up to more than G are a blind span, and the clock goes on from there at once: it is never behind
// by more than G, and nobody gains by walking down and jumping up.
func TestRule4StepsBackAddUpToABlindSpan(t *testing.T) {
	s := newScript(t).beat(0, "a").pulse(time.Minute).clear()
	before := s.fold.Clock().W
	s.message(-6*time.Second, node.Message{}).message(-4*time.Second, node.Message{}).want()
	s.message(-1, node.Message{}).want("blind > quiet")
	s.pulse(time.Second)
	if w := s.fold.Clock().W; w != before+time.Second {
		t.Errorf("after the blind span W advanced by %v, want 1s", w-before)
	}
}

// A gap is judged from message to message: that the stamps are behind does not hide it.
func TestRule4AGapIsBlindBehindTheHighestStampToo(t *testing.T) {
	s := newScript(t).beat(0, "a").pulse(time.Minute).clear()
	s.message(-8*time.Second, node.Message{}).want()
	s.message(10*time.Second+1, node.Message{}).want("blind > quiet") // 2 s above the highest
}

// The dead are found in time although the clock is set back within G again and again, as a bad time daemon does.
func TestRule4StepsBackDoNotHideADeath(t *testing.T) {
	for back := time.Duration(0); back <= 10*time.Second; back += 500 * time.Millisecond {
		s := newScript(t).beat(0, "dead").beat(0, "a", "b", "c", "d").clear()
		for silent := time.Duration(0); silent <= 2*threshold+15*time.Second; silent += 5 * time.Second {
			d := 5 * time.Second
			if silent%time.Minute == 0 {
				d = -back
			}
			s.beat(d, "a", "b", "c", "d")
		}
		lost := slices.DeleteFunc(s.events, func(e node.Event) bool { return e.To != node.Lost })
		if len(lost) != 1 || lost[0].NodeID != "dead" {
			t.Errorf("set back by %v every minute: lost %+v, want the dead one alone", back, lost)
		}
	}
}
