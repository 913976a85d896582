package notifier

import (
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// choose decides about events, in their order, what one chat is told of them. It is a pure function.
func choose(a audience, all silences, now time.Time, events []nodestore.Candidate) []nodestore.Choice {
	c := chooser{audience: a, silences: all, now: now, flaps: make(map[string]flap), owed: make(map[string]bool)}
	out := make([]nodestore.Choice, len(events))
	for i, e := range events {
		out[i] = c.choose(e)
	}
	return out
}

// chooser remembers what the events before have changed.
type chooser struct {
	audience
	silences silences
	now      time.Time
	flaps    map[string]flap
	owed     map[string]bool // the chat has a delivery of a failure of the node that is not over
}

func (c *chooser) choose(e nodestore.Candidate) nodestore.Choice {
	if e.NodeID == "" {
		return nodestore.Choice{Skip: !c.monitor()}
	}
	owed := e.Kind == node.Changed && e.To == node.Up && (e.Owed || c.owed[e.NodeID])
	if !c.node(e.Meta) && !owed {
		return nodestore.Choice{Skip: true}
	}
	if e.Kind == node.Changed || e.Kind == node.Joined {
		c.owed[e.NodeID] = e.To != node.Up
	}
	if c.silences.hold(e.Event, c.now) {
		return nodestore.Choice{Held: nodestore.Silenced}
	}
	if e.Kind != node.Changed {
		return nodestore.Choice{}
	}
	f, seen := c.flaps[e.NodeID]
	if !seen {
		f = flap{e.FlapSince, e.FlapLast}
	}
	choice := f.changes(e.At, e.Fourth)
	c.flaps[e.NodeID] = f
	return choice
}
