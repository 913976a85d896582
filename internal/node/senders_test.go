package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// from is a heartbeat of node a.
func from(bootID, ip string, seq int64) node.Heartbeat {
	return node.Heartbeat{NodeID: "a", BootID: bootID, IP: ip, Seq: seq}
}

// turns sends heartbeats one after the other, each 30 seconds after the one before, rounds times. The seq grows.
func (s *script) turns(rounds int, hs ...node.Heartbeat) *script {
	for range rounds {
		for _, h := range hs {
			s.pulse(29 * time.Second)
			h.Seq += int64(s.seq) * 1000
			s.send(time.Second, h)
		}
	}
	return s
}

// marked checks what the page shows of node a: "" or the reason and the addresses.
func (s *script) marked(want string) *script {
	s.t.Helper()
	got := ""
	clock := s.fold.Clock()
	for _, n := range s.stored.Nodes {
		if d, ok := n.Doubled(clock.W); ok && n.ID == "a" {
			got = d.Reason + " " + strings.Join(d.Addresses, " ")
		}
	}
	if got != want {
		s.t.Fatalf("shown %q, want %q", got, want)
	}
	return s
}

func TestTwoSendersAreShownAndToldOnce(t *testing.T) {
	for name, c := range map[string]struct {
		a, b     node.Heartbeat
		reason   string
		evidence string
	}{
		"two machines":           {from("1", "203.0.113.9", 0), from("2", "203.0.113.5", 0), "boot_ids", "203.0.113.5, 203.0.113.9"},
		"two behind one address": {from("1", "203.0.113.5", 0), from("2", "203.0.113.5", 0), "boot_ids", "203.0.113.5"},
		"two of no address":      {from("1", "", 0), from("2", "", 0), "boot_ids", ""},
		"two old agents":         {from("", "203.0.113.9", 0), from("", "203.0.113.5", 0), "addresses", "203.0.113.5, 203.0.113.9"},
		"an old agent and a new": {from("1", "203.0.113.9", 0), from("", "203.0.113.9", 0), "boot_ids", "203.0.113.9"},
		"a clone":                {from("1", "203.0.113.9", 9e9), from("1", "203.0.113.5", 0), "seq", "203.0.113.5, 203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t).turns(1, c.a, c.b).want("joined a >up").marked("")
			for i := 0; len(s.events) == 0 && i < 20; i++ {
				s.turns(1, c.a, c.b)
			}
			if e := s.events[0]; e.Kind != node.Doubled || e.Evidence != c.evidence || e.Quiet {
				t.Fatalf("told %+v, want the addresses %q", e, c.evidence)
			}
			s.want("doubled a up>up " + c.reason)
			shown := strings.TrimSpace(c.reason + " " + strings.ReplaceAll(c.evidence, ",", ""))
			if c.evidence == "" {
				shown = c.reason + " "
			}
			s.turns(200, c.a, c.b).want().marked(shown)
		})
	}
}

// Two that report every ten minutes are told as soon as each of them returned twice; one that is slow, and one that is
// not, too.
func TestSlowSendersAreTold(t *testing.T) {
	slow := func(id string) node.Heartbeat {
		return node.Heartbeat{NodeID: "a", BootID: id, Interval: 10 * time.Minute}
	}
	s := newScript(t)
	for range 2 {
		s.send(0, slow("1")).pulse(5*time.Minute).send(0, slow("2")).pulse(5 * time.Minute)
	}
	s.send(0, slow("1")).want("joined a >up").pulse(5*time.Minute).send(0, slow("2")).want("doubled a up>up boot_ids")

	s = newScript(t)
	for range 6 {
		s.send(0, slow("1")).turns(20, node.Heartbeat{NodeID: "a", BootID: "2", Interval: 30 * time.Second})
	}
	s.want("joined a >up", "doubled a up>up boot_ids")
}

func TestDoubledEndsAnHourAfterTheLastReturn(t *testing.T) {
	a, b := from("1", "203.0.113.5", 0), from("2", "203.0.113.9", 0)
	s := newScript(t).turns(10, a, b).clear()
	s.turns(119, a).marked("boot_ids 203.0.113.5 203.0.113.9") // the last return was the first of these
	s.turns(3, a).marked("").want()
	if senders := s.stored.Nodes[0].Senders; senders != "" {
		t.Errorf("one sender is left, and the node remembers %s", senders)
	}
	s.turns(10, a, b).want("doubled a up>up boot_ids") // it came back: told again
}

func TestDeletingTheNodeForgetsItsSenders(t *testing.T) {
	a, b := from("1", "203.0.113.5", 0), from("2", "203.0.113.9", 0)
	s := newScript(t).turns(10, a, b).command(0, node.Command{NodeID: "a", Delete: true}).clear()
	s.turns(1, a).marked("").want("joined a >up")
	s.turns(10, b, a).want("doubled a up>up boot_ids")
}

func TestOneSenderIsNeverTakenForTwo(t *testing.T) {
	var reboots, leases []node.Heartbeat
	for i := range 40 {
		reboots = append(reboots, from(fmt.Sprint("boot", i), "203.0.113.5", 0))
		leases = append(leases, from("", fmt.Sprint("203.0.113.", i), 0))
	}
	for name, hs := range map[string][]node.Heartbeat{
		"reboots":                             reboots,
		"another address each time":           leases,
		"two ways out, with a boot id":        {from("1", "203.0.113.5", 0), from("1", "198.51.100.7", 0)},
		"IPv4 and IPv6 of an old agent":       {from("", "203.0.113.5", 0), from("", "2001:db8::5", 0)},
		"an address that cannot be looked up": {from("", "203.0.113.5", 0), from("", "10.0.0.5", 0), from("", "", 0)},
	} {
		t.Run(name, func(t *testing.T) {
			newScript(t).turns(400/len(hs), hs...).want("joined a >up").marked("")
		})
	}
}

// A machine that is started from one snapshot again and again, and restarted each time.
func TestRestoredAndRebootedIsNotDoubled(t *testing.T) {
	s := newScript(t)
	for i := range 50 {
		s.turns(2, from("snapshot", "203.0.113.5", 0)).turns(3, from(fmt.Sprint("boot", i), "203.0.113.5", 0))
	}
	s.want("joined a >up").marked("")
}

// What a dead boot had sent arrives up to a minute after the new one's first, in any order, or later in one go.
func TestOvertakenByARebootIsNotDoubled(t *testing.T) {
	s := newScript(t).turns(5, from("old", "203.0.113.5", 0)).clear()
	for i := range 12 {
		s.send(2500*time.Millisecond, from("new", "203.0.113.6", int64(10*i)))
		s.send(2500*time.Millisecond, from("old", "203.0.113.5", int64(1e6+i)))
	}
	s.turns(5, from("new", "203.0.113.6", 1000))
	for range 10 {
		s.send(0, from("old", "203.0.113.5", 2e6))
	}
	s.turns(5, from("new", "203.0.113.6", 1000)).want().marked("")
}

func TestRule3RestoredMachineIsTakenUp(t *testing.T) {
	// A day of seq is lost; the machine was off for 20 s and reports every 30 s.
	s := newScript(t).send(0, from("1", "", 86_400_000)).clear()
	heard := func() node.Stamp { return s.stored.Nodes[0].Heard }
	var late []string
	for i := range 6 {
		s.pulse(29*time.Second).send(time.Second, from("1", "", int64(1000+30_000*i)))
		late = append(late, fmt.Sprint(heard() == s.stamp))
	}
	// Within a minute they may have been overtaken; the third cannot have been.
	if want := []string{"false", "false", "true", "true", "true", "true"}; !slices.Equal(late, want) {
		t.Errorf("taken up: %v, want %v", late, want)
	}
	s.want()
	// At once, when nothing was folded for so long that only the second is waited for.
	s.pulse(150*time.Second).send(0, from("1", "", 500)).send(15*time.Second, from("1", "", 15_500))
	if s.pulse(170 * time.Second); heard() == 0 {
		t.Error("never heard")
	}
	s.want("blind > quiet")
}

// Heartbeats that a frozen ingest held back arrive in one go, in order, long after: they are still overtaken.
func TestRule3HeldBackHeartbeatsAreNoRestoredMachine(t *testing.T) {
	s := newScript(t).send(0, from("1", "", 86_400_000)).clear()
	s.pulse(100 * time.Second)
	for i := range 10 {
		h := from("1", "", int64(1000+i))
		h.Status = "DOWN"
		s.send(0, h)
	}
	s.want()
}

// Any lateness up to a minute, however often, is no clone.
func TestOvertakenIsNoClone(t *testing.T) {
	s := newScript(t)
	for i := range int64(400) {
		s.send(5*time.Second, from("1", "203.0.113.5", 10*i))
		s.send(5*time.Second, from("1", "203.0.113.6", 10*(i-5)+1)) // 50 s late
	}
	s.want("joined a >up").marked("")
}

func TestOneSenderCostsNothing(t *testing.T) {
	s := newScript(t).send(0, from("1", "203.0.113.5", 1))
	m := node.Message{Stamp: s.stamp, Heartbeats: []node.Heartbeat{from("1", "203.0.113.5", 2)}}
	if n := testing.AllocsPerRun(100, func() { s.fold.Apply(m) }); n > 0 {
		t.Errorf("%v allocations for a heartbeat", n)
	}
	s.turns(3, from("1", "203.0.113.5", 2))
	if senders := s.stored.Nodes[0].Senders; senders != "" {
		t.Errorf("the node remembers %s", senders)
	}
}

func BenchmarkHeartbeatOfOneSender(b *testing.B) {
	settings := node.Settings{Threshold: threshold, MaxNodes: 10}
	f := node.New(0, node.Snapshot{Clock: node.Clock{Settings: settings}})
	m := node.Message{Heartbeats: []node.Heartbeat{from("5f0c2d5e-8a53-4c60-9b3e-6f7a3c1f0b11", "203.0.113.5", 1)}}
	for b.Loop() {
		m.Seq++
		m.Heartbeats[0].Seq++
		f.Apply(m)
	}
}
