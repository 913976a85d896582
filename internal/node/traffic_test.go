package node_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// arrival is a heartbeat and when it reaches the monitor.
type arrival struct {
	at time.Duration
	node.Heartbeat
}

// machine sends heartbeats of one node as an agent does, through a network that does what networks do.
type machine struct {
	rng      *rand.Rand
	name     string
	old      bool // an agent that sends no boot id
	interval time.Duration
	now      time.Duration
	booted   time.Duration // seq counts milliseconds from here
	boots    int
	address  int
	twoWays  bool
	out      []arrival

	reboots, addresses, overtaken, twice, restored, heldBack int
}

func newMachine(rng *rand.Rand, name string, old bool) *machine {
	intervals := []time.Duration{10 * time.Second, 30 * time.Second, time.Minute}
	if !old { // it says so, and its threshold follows
		intervals = append(intervals, 2*time.Minute, 10*time.Minute)
	}
	m := &machine{rng: rng, name: name, old: old, interval: intervals[rng.IntN(len(intervals))], twoWays: rng.IntN(4) == 0}
	m.now = time.Duration(rng.Int64N(int64(m.interval)))
	m.booted = m.now - time.Duration(rng.Int64N(int64(30*24*time.Hour)))
	return m
}

func (m *machine) chance(percent int) bool { return m.rng.IntN(100) < percent }

func (m *machine) upTo(most time.Duration) time.Duration {
	return time.Duration(m.rng.Int64N(int64(most)))
}

func (m *machine) collect() node.Heartbeat {
	h := node.Heartbeat{NodeID: "a", IP: fmt.Sprintf("203.0.%d.%d", len(m.name), m.address%250)}
	if m.twoWays && m.chance(50) {
		h.IP = "2001:db8::" + m.name
		if !m.old {
			h.IP = "198.51.100.1" // of the same kind: the boot id tells
		}
	}
	if !m.old {
		h.BootID, h.Seq = fmt.Sprint(m.name, m.boots), (m.now - m.booted).Milliseconds()
		h.Interval = m.interval
	}
	return h
}

// report sends one heartbeat, or several when it gets no answer: then the first ones may arrive up to a minute late.
func (m *machine) report() {
	begun := m.now
	for m.chance(5) {
		late := m.upTo(50 * time.Second)
		m.out = append(m.out, arrival{m.now + late, m.collect()})
		m.overtaken++
		m.now += 10*time.Second + m.upTo(3*time.Second)
	}
	a := arrival{m.now + m.upTo(3*time.Second), m.collect()}
	m.out = append(m.out, a)
	if m.chance(2) {
		m.twice++
		m.out = append(m.out, arrival{a.at + m.upTo(20*time.Second), a.Heartbeat})
	}
	stray := time.Duration(float64(m.interval) * 0.05 * (2*m.rng.Float64() - 1))
	m.now = max(begun+m.interval+stray, m.now)
}

// live is the machine's life for so long.
func (m *machine) live(d time.Duration, trouble func(m *machine)) {
	for end := m.now + d; m.now < end; {
		m.report()
		if trouble != nil {
			trouble(m)
		}
	}
}

func (m *machine) reboot() {
	m.reboots++
	m.boots++
	m.now += 5*time.Second + m.upTo(2*time.Minute)
	m.booted = m.now - 3*time.Second
}

func (m *machine) restore() {
	m.restored++
	m.now += m.upTo(time.Minute)
	m.booted += m.upTo(min(m.now-m.booted, 7*24*time.Hour))
}

// everyday is what happens to a machine once in a while; it does not add a sender.
func everyday(m *machine) {
	switch m.rng.IntN(60) {
	case 0:
		m.reboot()
	case 1:
		m.address++
		m.addresses++
	case 2:
		m.restore()
	}
}

// hold lets an ingest freeze now and then: half of what is sent meanwhile arrives in one go when it thaws.
func (m *machine) hold() {
	for at := m.upTo(time.Hour); at < m.now; at += 20*time.Minute + m.upTo(time.Hour) {
		thaw := at + m.upTo(5*time.Minute)
		for i := range m.out {
			if a := &m.out[i]; a.at >= at && a.at < thaw && m.chance(50) {
				a.at = thaw
				m.heldBack++
			}
		}
	}
}

// arrive folds what reaches the monitor, from anybody.
func (s *script) arrive(all ...[]arrival) *script {
	arrivals := slices.Concat(all...)
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	begun := s.stamp
	for _, a := range arrivals {
		wait := a.at - time.Duration(s.stamp-begun)
		for ; wait > 5*time.Second; wait -= 5 * time.Second {
			s.apply(5*time.Second, node.Message{})
		}
		s.apply(max(wait, 0), node.Message{Heartbeats: []node.Heartbeat{a.Heartbeat}})
	}
	return s.take()
}

// count is how many events of a kind there were, to a state, or to any for "".
func (s *script) count(kind node.Kind, to node.State) (n int) {
	for _, e := range s.events {
		if e.Kind == kind && (to == "" || e.To == to) {
			n++
		}
	}
	return n
}

func TestEverydayTroubleIsNeverTakenForTwoSenders(t *testing.T) {
	const rounds = 200
	var all machine
	for seed := range uint64(rounds) {
		m := newMachine(rand.New(rand.NewPCG(seed, 21)), "m", seed%4 == 0)
		m.live(12*time.Hour, everyday)
		m.hold()
		s := newScript(t).arrive(m.out)
		if n := s.count(node.Doubled, ""); n > 0 {
			t.Fatalf("seed %d: one machine was told %d times as two", seed, n)
		}
		all.reboots += m.reboots
		all.addresses += m.addresses
		all.overtaken += m.overtaken
		all.twice += m.twice
		all.restored += m.restored
		all.heldBack += m.heldBack
	}
	reliability.Report(t, reliability.Row{
		Group: "Senders", Fault: "one machine: reboots, changed addresses, two ways out, late and repeated heartbeats, restored snapshots",
		Must: "never told as two senders", Rounds: rounds,
		Seen: fmt.Sprintf("0 told in %d streams of 12 h with %d reboots, %d changed addresses, %d overtaken, %d repeated and %d held back heartbeats, %d restored snapshots",
			rounds, all.reboots, all.addresses, all.overtaken, all.twice, all.heldBack, all.restored),
	})
}

func TestTwoMachinesAreToldOnce(t *testing.T) {
	const rounds = 100
	var took []time.Duration
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 22))
		old := seed%4 == 0
		a, b := newMachine(rng, "m", old), newMachine(rng, "nn", old)
		if old { // IPv4 and IPv6 by turns hide them for some minutes more
			a.twoWays, b.twoWays = false, false
		}
		b.now += 10 * time.Minute
		begun := b.now
		mild := func(m *machine) { // what was told stays told while they are started anew now and then
			if m.now > begun+3*time.Hour && m.upTo(time.Hour) < m.interval {
				m.reboot()
			}
		}
		a.live(6*time.Hour, mild)
		b.live(6*time.Hour, mild)
		s := newScript(t)
		start := s.stamp
		s.arrive(a.out, b.out)
		i := slices.IndexFunc(s.events, func(e node.Event) bool { return e.Kind == node.Doubled })
		if n := s.count(node.Doubled, ""); n != 1 {
			t.Fatalf("seed %d: told %d times, want once (intervals %v and %v)", seed, n, a.interval, b.interval)
		}
		took = append(took, time.Duration(s.events[i].At-start)-begun)
		slower := max(a.interval, b.interval)
		if last := took[len(took)-1]; last > 5*time.Minute+6*slower {
			t.Errorf("seed %d: told after %v (intervals %v and %v)", seed, last, a.interval, b.interval)
		}
	}
	slices.Sort(took)
	reliability.Report(t, reliability.Row{
		Group: "Senders", Fault: "two machines send under one node_id, at intervals from 10 s to 10 min", Rounds: rounds,
		Must: "told once, within 5 min and 6 of the longer interval",
		Seen: fmt.Sprintf("told once in each stream of 6 h, after %v (median), %v at most",
			took[rounds/2].Round(time.Second), took[rounds-1].Round(time.Second)),
	})
}

// Clones of one snapshot have one boot id, and counts of seq that are as far apart as they were started.
func TestClonesAreToldOnce(t *testing.T) {
	const rounds = 100
	var took []time.Duration
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 24))
		a := newMachine(rng, "m", false)
		b := *a
		b.address, b.now = 1, a.now+10*time.Minute+b.upTo(a.interval)
		apart := 3*a.interval + 2*time.Minute + b.upTo(24*time.Hour)
		b.booted += min(apart, b.now-b.booted)
		begun := b.now
		a.live(6*time.Hour, nil)
		b.live(6*time.Hour, nil)
		s := newScript(t)
		start := s.stamp
		s.arrive(a.out, b.out)
		i := slices.IndexFunc(s.events, func(e node.Event) bool { return e.Kind == node.Doubled })
		if n := s.count(node.Doubled, ""); n != 1 {
			t.Fatalf("seed %d: told %d times, want once (interval %v, %v apart)", seed, n, a.interval, apart)
		}
		took = append(took, time.Duration(s.events[i].At-start)-begun)
		if last := took[len(took)-1]; last > 5*time.Minute+8*a.interval {
			t.Errorf("seed %d: told after %v (interval %v)", seed, last, a.interval)
		}
	}
	slices.Sort(took)
	reliability.Report(t, reliability.Row{
		Group: "Senders", Fault: "two clones of one snapshot, resumed minutes or hours apart, send under one node_id", Rounds: rounds,
		Must: "told once, within 5 min and 8 intervals",
		Seen: fmt.Sprintf("told once in each stream of 6 h, after %v (median), %v at most",
			took[rounds/2].Round(time.Second), took[rounds-1].Round(time.Second)),
	})
}

func TestRestoredMachineIsNotLost(t *testing.T) {
	const rounds = 200
	var silent []time.Duration
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 23))
		m := newMachine(rng, "m", false)
		m.live(time.Hour+m.upTo(time.Hour), nil)
		m.restore()
		at := m.now
		m.live(3*time.Hour, nil)
		s := newScript(t)
		begun := s.stamp
		before := slices.IndexFunc(m.out, func(a arrival) bool { return a.at > at })
		s.arrive(m.out[:before])
		heard := s.stored.Nodes[0].Heard
		for _, a := range m.out[before:] {
			s.arrive([]arrival{{max(a.at-time.Duration(s.stamp-begun), 0), a.Heartbeat}})
			if now := s.stored.Nodes[0].Heard; now > heard {
				silent = append(silent, max(0, time.Duration(now-begun)-at))
				break
			}
		}
		if n := s.count(node.Changed, node.Lost); n > 0 {
			t.Errorf("seed %d: lost %d times, although it never stopped for more than a minute (interval %v)", seed, n, m.interval)
		}
	}
	slices.Sort(silent)
	reliability.Report(t, reliability.Row{
		Group: "Senders", Fault: "a machine is restored from a snapshot up to a week old, off for up to a minute: seq goes back",
		Must: "heard again before it is lost", Rounds: rounds,
		Seen: fmt.Sprintf("0 lost; heard again %v (median), %v at most after it was back, at intervals up to 10 min",
			silent[len(silent)/2].Round(time.Second), silent[len(silent)-1].Round(time.Second)),
	})
}
