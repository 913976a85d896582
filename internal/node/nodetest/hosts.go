package nodetest

import (
	"fmt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// host sends heartbeats of one node.
type host struct {
	boot, ip, otherIP string
	seq               int64
}

// sent is a heartbeat of one of the hosts that send for node i, without id and status. Nodes with an odd number have
// old agents, which send no boot id.
func (g *generator) sent(i int) node.Heartbeat {
	if len(g.hosts[i]) == 0 || g.chance(1) && len(g.hosts[i]) < 3 {
		g.hosts[i] = append(g.hosts[i], g.newHost())
	}
	if n := len(g.hosts[i]); n > 1 && g.chance(1) {
		g.hosts[i] = g.hosts[i][:n-1]
	}
	h := g.hosts[i][g.rng.IntN(len(g.hosts[i]))]
	g.happen(h, g.hosts[i])
	h.seq += 10
	out := node.Heartbeat{IP: h.ip, BootID: h.boot, Seq: h.seq}
	if g.chance(4) { // overtaken
		out.Seq -= int64(g.rng.IntN(40))
	}
	if g.chance(20) {
		out.IP = h.otherIP
	}
	if i%2 == 1 {
		out.BootID, out.Seq = "", 0
	}
	return out
}

func (g *generator) happen(h *host, all []*host) {
	switch {
	case g.chance(2):
		h.boot, h.seq = g.newHost().boot, 0
	case g.chance(2):
		h.ip = g.address()
	case g.chance(1.5):
		h.seq = max(0, h.seq-int64(g.rng.IntN(3000))) // restored
	case g.chance(2): // restored from a snapshot of another
		other := all[g.rng.IntN(len(all))]
		h.boot, h.seq = other.boot, other.seq/2
	case g.chance(1):
		h.boot = "" // its agent was replaced by an old one
	}
}

func (g *generator) newHost() *host {
	g.boots++
	h := &host{boot: fmt.Sprintf("boot-%d", g.boots), ip: g.address()}
	h.otherIP = []string{h.ip, h.ip, g.address()}[g.rng.IntN(3)]
	return h
}

func (g *generator) address() string {
	n := g.rng.IntN(12)
	return []string{fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("198.51.100.%d", n), "10.0.0.7", "2001:db8::7", ""}[g.rng.IntN(5)]
}
