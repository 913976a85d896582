package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node/nodetest"
)

// script feeds messages to a fold and collects what it says.
type script struct {
	t      *testing.T
	fold   *node.Fold
	stamp  node.Stamp
	seq    uint64
	stored node.Snapshot // as a database would have it
	events []node.Event
}

const threshold = 180 * time.Second

func newScript(t *testing.T) *script {
	t.Helper()
	clock := node.Clock{
		Position: node.Position{Epoch: 1},
		Settings: node.Settings{Threshold: threshold, MaxNodes: 100},
	}
	return &script{
		t: t, fold: node.New(0, node.Snapshot{Clock: clock}),
		stamp: node.Stamp(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano()),
	}
}

// message folds m, stamped d after the one before.
func (s *script) message(d time.Duration, m node.Message) *script {
	s.apply(d, m)
	return s.take()
}

func (s *script) apply(d time.Duration, m node.Message) {
	s.stamp += node.Stamp(d)
	s.seq++
	m.Seq, m.Stamp = s.seq, s.stamp
	s.fold.Apply(m)
}

// take collects what the fold said since the last time.
func (s *script) take() *script {
	c := s.fold.Take()
	s.stored = nodetest.Store(s.stored, c)
	s.events = append(s.events, c.Events...)
	return s
}

// beat folds one batch in which the nodes report UP.
func (s *script) beat(d time.Duration, ids ...string) *script {
	var m node.Message
	for _, id := range ids {
		m.Heartbeats = append(m.Heartbeats, node.Heartbeat{NodeID: id})
	}
	return s.message(d, m)
}

func (s *script) send(d time.Duration, hs ...node.Heartbeat) *script {
	return s.message(d, node.Message{Heartbeats: hs})
}

func (s *script) command(d time.Duration, c node.Command) *script {
	return s.message(d, node.Message{Command: &c})
}

// pulse lets time pass in half seconds without heartbeats.
func (s *script) pulse(d time.Duration) *script {
	for ; d > 0; d -= 500 * time.Millisecond {
		s.message(min(d, 500*time.Millisecond), node.Message{})
	}
	return s
}

// alive lets time pass while the nodes report every 10 seconds.
func (s *script) alive(d time.Duration, ids ...string) *script {
	for ; d > 0; d -= 10 * time.Second {
		s.pulse(min(d, 10*time.Second)-500*time.Millisecond).beat(500*time.Millisecond, ids...)
	}
	return s
}

// clear forgets the events so far.
func (s *script) clear() *script { s.events = nil; return s }

// want compares the events since the last look: "kind node from>to reason", and "quiet" where it is.
func (s *script) want(lines ...string) *script {
	s.t.Helper()
	var got []string
	for _, e := range s.events {
		line := fmt.Sprintf("%s %s %s>%s %s", e.Kind, e.NodeID, e.From, e.To, e.Reason)
		if e.Quiet {
			line += " quiet"
		}
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, lines) {
		s.t.Fatalf("events:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
	return s.clear()
}

func TestRule1Order(t *testing.T) {
	s := newScript(t)
	s.beat(0, "b", "c", "a").want("joined b >up", "joined c >up", "joined a >up")
	// A heartbeat in the message that would reveal the silence comes first: b is not lost.
	s.alive(threshold, "x").clear()
	s.beat(time.Second, "b").want("changed a up>lost silent", "changed c up>lost silent")

	s = newScript(t).beat(0, "b", "a").alive(threshold-time.Second, "x").clear()
	s.seq = 41
	last := s.stamp + node.Stamp(5*time.Second)
	s.message(5*time.Second, node.Message{Heartbeats: []node.Heartbeat{{NodeID: "new"}}})
	for i, want := range []string{"1:0:42:0 joined new", "1:0:42:1 changed a", "1:0:42:2 changed b"} {
		e := s.events[i]
		if got := fmt.Sprintf("%s %s %s", e.ID, e.Kind, e.NodeID); got != want || e.At != last {
			t.Errorf("event %d is %q at %v, want %q at %v", i, got, e.At, want, last)
		}
	}
}

func TestRule1OrderByDeadline(t *testing.T) {
	s := newScript(t).beat(0, "z").beat(time.Second, "a").alive(threshold-2*time.Second, "x").clear()
	s.message(9*time.Second, node.Message{}) // both come due in one message, z before a
	s.want("changed z up>lost silent", "changed a up>lost silent")
}

func TestRule2Joining(t *testing.T) {
	s := newScript(t).beat(0, "a").want("joined a >up")
	s.send(time.Second, node.Heartbeat{NodeID: "b", Status: "DOWN", Reason: "no_process"}).want("joined b >down no_process")
	s.command(time.Second, node.Command{NodeID: "a", Delete: true, By: "anna"}).want("deleted a up> quiet")
	deleted := s.stamp
	s.command(time.Second, node.Command{NodeID: "a", Delete: true}).want()
	s.message(time.Second, node.Message{Heartbeats: []node.Heartbeat{{NodeID: "a"}}})
	if e := s.events[0]; e.Kind != node.Joined || e.Since != deleted || e.Lasted != 2*time.Second {
		t.Errorf("a deleted node that reports again: %+v, want it joined, deleted at %v", e, deleted)
	}
	s.clear().beat(time.Second, "a").want()
	s.command(time.Second, node.Command{NodeID: "b", Delete: true}).clear()
	if e := s.beat(time.Second, "a", "c").events[0]; e.Since != 0 {
		t.Errorf("an unknown node joined as deleted: %+v", e)
	}
}

func TestRule2MaxNodes(t *testing.T) {
	s := newScript(t)
	s.command(0, node.Command{Settings: &node.Settings{Threshold: threshold, MaxNodes: 2}})
	s.beat(time.Second, "a", "b", "c", "d").want("joined a >up", "joined b >up")
	s.beat(time.Second, "a", "c").want()
	if n, over := s.fold.Len(), s.fold.Clock().Overflow; n != 2 || over != 3 {
		t.Errorf("%d nodes and %d heartbeats beyond the limit, want 2 and 3", n, over)
	}
	s.command(time.Second, node.Command{NodeID: "a", Delete: true}).clear()
	s.beat(time.Second, "c").want("joined c >up")
}

func TestRule3Status(t *testing.T) {
	for status, want := range map[string]string{
		"UP": "up", "up": "up", "": "up", "Degraded": "degraded reported", "DOWN": "down reported",
		"dOwN": "down reported", "BROKEN": "down unknown_status", "UP ": "down unknown_status",
	} {
		s := newScript(t).send(0, node.Heartbeat{NodeID: "a", Status: status})
		s.want("joined a >" + want)
	}
	s := newScript(t).beat(0, "a").clear()
	s.send(time.Second, node.Heartbeat{NodeID: "a", Status: "DOWN", Meta: "gpu=1 reason=no_p2pd"})
	s.want("changed a up>down no_p2pd")
	s.send(time.Second, node.Heartbeat{NodeID: "a", Status: "DOWN", Reason: "stale_log", Evidence: "e"}).want()
	s.send(time.Second, node.Heartbeat{NodeID: "a", Status: "DEGRADED", Reason: "login"}).want("changed a down>degraded login")
	s.send(8*time.Second, node.Heartbeat{NodeID: "a"})
	if e := s.events[0]; e.Lasted != 10*time.Second || e.To != node.Up {
		t.Errorf("recovery %+v, want an incident of 10 s", e)
	}
}

func TestRule3OvertakenHeartbeatIsIgnored(t *testing.T) {
	s := newScript(t).send(0, node.Heartbeat{NodeID: "a", BootID: "1", Seq: 10}).clear()
	s.send(time.Second, node.Heartbeat{NodeID: "a", BootID: "1", Seq: 9, Status: "DOWN"}).want()
	s.send(time.Second, node.Heartbeat{NodeID: "a", BootID: "1", Seq: 10, Status: "DOWN"}).want("changed a up>down reported")
	s.send(time.Second, node.Heartbeat{NodeID: "a", BootID: "2", Seq: 1}).want("changed a down>up")
	s.send(time.Second, node.Heartbeat{NodeID: "a", Status: "DOWN"}).want("changed a up>down reported")
	// Ignored heartbeats keep nobody alive, but for one, which may be the first of a restored machine.
	s = newScript(t).send(0, node.Heartbeat{NodeID: "a", BootID: "1", Seq: 10}).clear()
	for range 26 {
		s.alive(10*time.Second, "x").send(0, node.Heartbeat{NodeID: "a", BootID: "1", Seq: 9})
	}
	s.want("joined x >up", "changed a up>lost silent")
}

func TestRule4ObservationClock(t *testing.T) {
	const g = 10 * time.Second
	for _, c := range []struct {
		d     time.Duration
		adds  time.Duration
		blind bool
	}{
		{0, 0, false}, {time.Second, time.Second, false}, {g, g, false}, {g + 1, 0, true}, {time.Hour, 0, true},
		{-1, 0, false}, {-g, 0, false}, {-g - 1, 0, true}, {-time.Hour, 0, true},
	} {
		s := newScript(t).pulse(time.Minute)
		before := s.fold.Clock().W
		s.message(c.d, node.Message{})
		if added := s.fold.Clock().W - before; added != c.adds || (len(s.events) > 0) != c.blind {
			t.Errorf("a step of %v added %v with events %v, want %v and blind %v", c.d, added, s.events, c.adds, c.blind)
		}
	}
	short := node.Settings{Threshold: 4 * time.Second, MaxNodes: 1}
	if g := short.Gap(); g != 2*time.Second {
		t.Errorf("G is %v at a threshold of 4 s, want 2 s", g)
	}
	if node.CheckThreshold(4*time.Second-1, short) == nil || node.CheckThreshold(4*time.Second, short) != nil {
		t.Error("a node's own threshold must be at least 2·G")
	}
}

func TestRule4CommandsDoNotMoveTheClock(t *testing.T) {
	// Ingest is off, somebody at the page is busy: nobody could have been heard.
	s := newScript(t).beat(0, "a").clear()
	for range 10 * int(threshold/time.Second) {
		s.command(time.Second, node.Command{NodeID: "a", Name: new("x")})
	}
	s.want()
	s.beat(time.Second, "b").want("blind >", "joined b >up")
	s.alive(threshold, "b").want()
	s.message(1, node.Message{}).want("changed a up>lost silent")
}

func TestRule4UnsureBatchesDoNotMoveTheClock(t *testing.T) {
	// A leader of JetStream that is cut off from the others stamps what ingest publishes, acknowledges nothing, and
	// stores it all when it is back. Agents were answered 503 meanwhile; one of them was stored all the same.
	s := newScript(t).beat(0, "a", "b", "c").clear()
	for range 2 * int(threshold/time.Second) {
		s.message(time.Second, node.Message{Unsure: true})
	}
	s.want()
	s.message(time.Second, node.Message{Unsure: true, Heartbeats: []node.Heartbeat{{NodeID: "c"}}}).want()
	s.message(time.Second, node.Message{}).want("blind >")
	s.alive(threshold, "b").want()
	s.message(1, node.Message{}).want("changed a up>lost silent", "changed c up>lost silent")
	// Beside an ingest that is sure, one that is not hides nobody's death.
	s.clear()
	for range int(threshold / time.Second) {
		s.message(time.Second/2, node.Message{Unsure: true}).message(time.Second/2, node.Message{Heartbeats: []node.Heartbeat{{NodeID: "x"}}})
	}
	s.message(time.Second, node.Message{}).want("joined x >up", "changed b up>lost silent")
}

func TestRule5Lost(t *testing.T) {
	s := newScript(t).beat(0, "a").beat(7*time.Second, "a").clear()
	s.alive(threshold, "x").want("joined x >up") // exactly the threshold is still up
	s.message(1, node.Message{}).want("changed a up>lost silent")
	s.alive(time.Hour, "x").want() // not told again
	s.beat(time.Second, "a").want("changed a lost>up")
	s.send(time.Second, node.Heartbeat{NodeID: "a", Status: "DOWN"}).want("changed a up>down reported")
	s.alive(2*threshold, "x").want("changed a down>lost silent quiet")
	s.send(time.Second, node.Heartbeat{NodeID: "a", Status: "DOWN"}).want("changed a lost>down reported quiet")
	s.beat(time.Second, "a").want("changed a down>up")
}

func TestRule5BlindSpanGivesAFullThreshold(t *testing.T) {
	s := newScript(t).beat(0, "a").alive(150*time.Second, "x").clear()
	s.beat(time.Hour, "x").want("blind >")
	s.alive(threshold, "x").want()
	s.message(1, node.Message{}).want("changed a up>lost silent")
}

func TestRule5BlindSpansDoNotHideADeathForEver(t *testing.T) {
	s := newScript(t).beat(0, "a").clear()
	var heard time.Duration
	for heard <= 2*threshold {
		s.alive(100*time.Second, "x").beat(time.Hour, "x")
		heard += 100 * time.Second
	}
	lost := 0
	for _, e := range s.events {
		if e.NodeID == "a" && e.To == node.Lost {
			lost++
		}
	}
	if lost != 1 {
		t.Fatalf("a dead node was told lost %d times after %v of observed silence, want once", lost, heard)
	}
}

func TestRule5EffectiveThreshold(t *testing.T) {
	s := newScript(t).send(0, node.Heartbeat{NodeID: "a", Interval: 100 * time.Second}).clear()
	s.alive(250*time.Second, "x").want("joined x >up")
	s.message(1, node.Message{}).want("changed a up>lost silent")

	s = newScript(t).beat(0, "a").command(0, node.Command{NodeID: "a", Threshold: new(30 * time.Second)}).clear()
	s.alive(30*time.Second, "x").want("joined x >up")
	s.message(1, node.Message{}).want("changed a up>lost silent")
}

func ids(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("n%02d", i))
	}
	return out
}

func TestRule6Deaf(t *testing.T) {
	nodes := ids(5)
	s := newScript(t).alive(time.Minute, nodes...).clear()
	heard := s.stamp
	refuse := node.Message{Refused: map[string]int{"401": 206}}
	s.pulse(threshold-time.Second).message(500*time.Millisecond, refuse).message(500*time.Millisecond, refuse).want()
	s.message(time.Second, node.Message{})
	if e := s.events[0]; e.Kind != node.Deaf || e.Quiet || e.Nodes != 5 || e.Refused["401"] != 412 || e.Since != heard {
		t.Fatalf("deaf event %+v: want 5 nodes, 412 × 401 and the last heartbeat at %v", e, heard)
	}
	s.want("deaf >", "changed n00 up>lost deaf quiet", "changed n01 up>lost deaf quiet", "changed n02 up>lost deaf quiet",
		"changed n03 up>lost deaf quiet", "changed n04 up>lost deaf quiet")
	s.pulse(time.Hour).want()
	// The first heartbeat ends it: who reports goes up without an alert, who does not has a full threshold.
	s.beat(time.Second, "n00").want("hearing >", "changed n00 lost>up quiet")
	s.alive(100*time.Second, "n00", "n01").want("changed n01 lost>up quiet")
	s.send(time.Second, node.Heartbeat{NodeID: "n02", Status: "DOWN"}).want("changed n02 lost>down reported")
	s.alive(threshold-101*time.Second, "n00", "n01", "n02").want("changed n02 down>up")
	s.message(1, node.Message{}).want("changed n03 lost>lost silent", "changed n04 lost>lost silent")
}

// The end of a deaf span turns the clock back, and with it the deadlines of nodes that are not lost: a fold in memory
// must find them when one that was just loaded does.
func TestRule6DeadlinesAreFoundAfterADeafSpan(t *testing.T) {
	s := newScript(t)
	s.alive(time.Minute, ids(4)...).beat(0, "patient")
	s.command(0, node.Command{NodeID: "patient", Threshold: new(2 * threshold)})
	s.pulse(threshold+time.Second).message(time.Hour, node.Message{}) // deaf, then blind within
	s.pulse(threshold).clear()
	s.beat(time.Second, ids(4)...).clear()
	loaded := newScript(t)
	loaded.fold, loaded.seq, loaded.stamp = node.New(0, s.stored), s.seq, s.stamp
	for _, f := range []*script{s, loaded} {
		f.alive(2*threshold+time.Minute, ids(4)...)
		var lost []string
		for _, e := range f.events {
			if e.To == node.Lost {
				lost = append(lost, e.ID.String()+" "+e.NodeID)
			}
		}
		if len(lost) != 1 || !strings.HasSuffix(lost[0], "patient") {
			t.Fatalf("lost %v, want the patient one", lost)
		}
		f.clear().events = append(f.events, node.Event{NodeID: lost[0]})
	}
	if a, b := s.events[0].NodeID, loaded.events[0].NodeID; a != b {
		t.Errorf("in memory it was lost as %s, loaded as %s", a, b)
	}
}

func TestRule6TwoNodesAreNoFrontDoor(t *testing.T) {
	s := newScript(t).alive(time.Minute, "a", "b").clear()
	s.pulse(threshold+time.Second).want("changed a up>lost silent", "changed b up>lost silent")
}

func TestRule6OneNodeStillHeardIsNotDeaf(t *testing.T) {
	s := newScript(t).alive(time.Minute, ids(5)...).clear()
	s.alive(threshold, "n04").message(1, node.Message{})
	s.want("changed n00 up>lost silent", "changed n01 up>lost silent", "changed n02 up>lost silent", "changed n03 up>lost silent")
}

func TestRule7BlindSpansAreToldFromHalfAThreshold(t *testing.T) {
	s := newScript(t).alive(time.Minute, "a").clear()
	s.beat(threshold/2-1, "a").want("blind > quiet")
	from := s.stamp
	s.beat(threshold/2, "a")
	if e := s.events[0]; e.Since != from || e.Lasted != threshold/2 {
		t.Errorf("blind span %+v, want it from %v for %v", e, from, threshold/2)
	}
	s.want("blind >")
	s.beat(-time.Hour, "a").want("blind > quiet")
}

func TestRule8LateIsNotBlind(t *testing.T) {
	// The evaluator was off; the stream was not. Nothing in the fold knows when it is folded.
	s := newScript(t).beat(0, "a")
	heard := s.stamp
	s.alive(threshold-time.Second, "x").clear()
	s.alive(10*time.Second, "x")
	revealed := heard + node.Stamp(threshold+500*time.Millisecond)
	if e := s.events[0]; e.To != node.Lost || e.At != revealed || e.Since != heard {
		t.Errorf("%+v: want a lost since %v, at the stamp of the message that revealed it, %v", e, heard, revealed)
	}
}

func TestRule9NATSOffIsBlind(t *testing.T) {
	s := newScript(t).alive(time.Minute, ids(20)...).clear()
	s.message(10*time.Minute, node.Message{}).want("blind >")
	s.alive(threshold-time.Second, ids(20)[:19]...).want()
	s.pulse(2 * time.Second).want("changed n19 up>lost silent")
}

func TestRule10Commands(t *testing.T) {
	s := newScript(t).beat(0, "a").clear()
	s.command(time.Second, node.Command{NodeID: "a", Name: new("Anna's box")}).want()
	s.command(time.Second, node.Command{NodeID: "nobody", Name: new("x")}).want()
	s.command(time.Second, node.Command{NodeID: "a", Threshold: new(time.Second)}).want() // refused: below 2·G
	s.alive(30*time.Second, "x").want("joined x >up")
	s.command(0, node.Command{Settings: &node.Settings{Threshold: 20 * time.Second, MaxNodes: 9}})
	if len(s.events) != 1 || s.events[0].Name != "Anna's box" {
		t.Errorf("events %+v, want a (Anna's box) lost by the shorter default", s.events)
	}
	s.command(0, node.Command{Settings: &node.Settings{Threshold: time.Second, MaxNodes: 9}})
	if got := s.fold.Settings().Threshold; got != 20*time.Second {
		t.Errorf("a default threshold of 1 s was accepted: %v", got)
	}
}

func TestRule12TornStreamBeginsAnEpoch(t *testing.T) {
	s := newScript(t).alive(time.Minute, "a", "b", "c").clear()
	s.fold.Tear(77)
	s.seq = 0
	s.beat(time.Second, "a", "b", "c").want("blind > quiet")
	if p := s.fold.Position(); p.Epoch != 2 || p.Seq != 1 || p.Created != 77 {
		t.Errorf("position %+v, want epoch 2 at the first message of the new stream", p)
	}
}

// Stamps may do what they like: nobody healthy is lost, and the dead are found in time.
func TestRandomStampsNoFalseLostAndDeathsFound(t *testing.T) {
	steps := []time.Duration{time.Hour, -time.Hour, 0, 0, 0, 0}
	for run := range 50 {
		s := newScript(t).beat(0, "dead").beat(0, "a", "b", "c", "d").clear()
		silence := time.Duration(0)
		for i := 0; silence < 2*threshold+15*time.Second; i++ {
			jitter := time.Duration((i*7919+run*104729)%11-5) * time.Millisecond
			s.beat(5*time.Second+jitter, "a", "b", "c", "d")
			silence += 5 * time.Second
			if silence%(171*time.Second) < 5*time.Second { // every 0.95 thresholds
				s.message(12*time.Second+steps[(i+run)%len(steps)], node.Message{})
			}
		}
		lost := []string{}
		for _, e := range s.events {
			if e.To == node.Lost {
				lost = append(lost, e.NodeID)
			}
		}
		if !slices.Equal(lost, []string{"dead"}) {
			t.Fatalf("run %d: lost %v, want the dead one alone", run, lost)
		}
	}
}
