package nodetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// GenerateSettings are those that Generate's streams are made for.
func GenerateSettings() node.Settings { return node.Settings{Threshold: 20 * time.Second, MaxNodes: 7} }

// Generate makes a random stream: batches full and empty, nodes that die and come back, a front door that closes,
// gaps, stamps that step, retries out of order, several senders of one node, reboots, changed addresses, restored
// snapshots, commands, discarded messages and streams made anew.
func Generate(rng *rand.Rand, length int) []Step {
	g := generator{rng: rng, stamp: node.Stamp(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()), alive: map[int]bool{}, hosts: map[int][]*host{}}
	steps := make([]Step, 0, length)
	for range length {
		steps = append(steps, g.step())
	}
	return steps
}

type generator struct {
	rng    *rand.Rand
	stamp  node.Stamp
	steps  int
	seq    uint64
	alive  map[int]bool
	closed bool // the front door
	unsure bool // nothing that ingest publishes is acknowledged
	slow   bool // long steps: hours pass
	flips  bool // stamps go back at every other message
	hosts  map[int][]*host
	boots  int
}

func (g *generator) chance(percent float64) bool { return g.rng.Float64()*100 < percent }

func (g *generator) step() Step {
	var st Step
	g.steps++
	if g.chance(0.3) && g.seq > 0 {
		st.Torn, g.seq = true, uint64(g.rng.IntN(50))
	}
	g.seq++
	if g.chance(1) {
		g.seq += uint64(g.rng.IntN(20))
	}
	g.stamp += node.Stamp(g.elapsed())
	st.Seq, st.Stamp = g.seq, g.stamp
	g.live()
	switch {
	case g.chance(2):
		st.Command = g.command()
	case g.closed:
		st.Refused = map[string]int{"401": 1 + g.rng.IntN(5)}
	case g.chance(60):
		st.Heartbeats = g.batch()
	}
	st.Unsure = st.Command == nil && (g.unsure || g.chance(1))
	return st
}

func (g *generator) elapsed() time.Duration {
	switch {
	case g.chance(0.7):
		return time.Hour
	case g.chance(0.7):
		return -time.Hour
	case g.chance(1.5), g.closed && g.chance(8):
		return time.Duration(g.rng.IntN(25000)) * time.Millisecond
	case g.chance(3):
		return -time.Duration(g.rng.IntN(5)) * time.Millisecond
	case g.chance(3), g.flips && g.chance(45): // within G, and now and then a little beyond it
		return -time.Duration(g.rng.IntN(11000)) * time.Millisecond
	}
	if g.slow {
		return time.Duration(7000+g.rng.IntN(3000)) * time.Millisecond
	}
	return time.Duration(500+g.rng.IntN(2500)) * time.Millisecond
}

const population = 9

func (g *generator) live() {
	if g.chance(4) {
		i := g.rng.IntN(population)
		g.alive[i] = !g.alive[i]
	}
	if g.chance(0.8) {
		g.closed = !g.closed
	}
	if g.chance(1) {
		g.unsure = !g.unsure && g.chance(30)
	}
	if g.chance(0.3) {
		g.slow = !g.slow
	}
	if g.chance(0.5) {
		g.flips = !g.flips
	}
}

func (g *generator) batch() []node.Heartbeat {
	var out []node.Heartbeat
	for i := range population {
		if !g.alive[i] || g.chance(50) {
			continue
		}
		h := g.sent(i)
		h.NodeID, h.Status = id(i), g.status()
		g.tell(&h)
		if i%3 == 0 {
			h.Interval = time.Duration(g.rng.IntN(15)) * time.Second
		}
		out = append(out, h)
	}
	return out
}

// tell adds what every heartbeat says anew, and what it says mostly as before.
func (g *generator) tell(h *node.Heartbeat) {
	h.Metrics, h.Workload = fmt.Sprintf(`{"load1":%d}`, g.steps), fmt.Sprintf(`{"round":%d}`, 1+g.steps)
	h.Meta, h.AgentVersion = fmt.Sprint("rack ", g.steps/40), fmt.Sprint("1.", g.steps/100)
	h.Evidence = fmt.Sprint("line ", g.steps/3)
	h.OS, h.Arch = []string{"linux", "windows"}[g.steps/70%2], []string{"amd64", "arm64"}[g.steps/150%2]
}

func id(i int) string { return fmt.Sprintf("node-%d", i) }

func (g *generator) status() string {
	if g.chance(90) {
		return "UP"
	}
	return []string{"DOWN", "down", "Degraded", "", "BROKEN"}[g.rng.IntN(5)]
}

// imported is one of more nodes than report.
func (g *generator) imported() node.Imported {
	return node.Imported{
		NodeID: id(g.rng.IntN(population + 3)), IP: g.address(),
		State: []node.State{node.Up, node.Up, node.Degraded, node.Down, node.Lost}[g.rng.IntN(5)],
		Heard: g.stamp - node.Stamp(g.rng.IntN(int(48*time.Hour))),
	}
}

func (g *generator) command() *node.Command {
	c := &node.Command{NodeID: id(g.rng.IntN(population)), By: "test"}
	switch g.rng.IntN(5) {
	case 0:
		c.Delete = true
	case 4:
		c.NodeID = ""
		for range 1 + g.rng.IntN(4) {
			c.Import = append(c.Import, g.imported())
		}
	case 1:
		c.Name = new("shown")
	case 2:
		c.Threshold = new(time.Duration(g.rng.IntN(60)) * time.Second)
	case 3:
		c.Settings = &node.Settings{Threshold: time.Duration(1+g.rng.IntN(40)) * time.Second, MaxNodes: 5 + g.rng.IntN(5)}
	}
	return c
}
