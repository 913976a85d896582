package notifier

import (
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// A node that changes flapChanges times within flapWindow is flapping: that is told once, and its changes are held. It
// ends after flapWindow without a change; as long as it lasts, every flapSum sums up.
const (
	flapChanges = 5
	flapWindow  = 30 * time.Minute
	flapSum     = 6 * time.Hour
)

// flap is what is known of a node that is flapping; the zero value, that it is not.
type flap struct{ since, last node.Stamp }

// changes takes one more change, whose fourth last predecessor was at fourth (0 for none). It returns what becomes of
// the alert.
func (f *flap) changes(at, fourth node.Stamp) nodestore.Choice {
	switch {
	case f.since != 0 && at-f.last < node.Stamp(flapWindow):
		f.last = at
		return nodestore.Choice{Held: nodestore.Flapping}
	case fourth != 0 && at-fourth <= node.Stamp(flapWindow):
		*f = flap{at, at}
		return nodestore.Choice{Mark: nodestore.Flapping}
	}
	*f = flap{}
	return nodestore.Choice{}
}

// unflap decides about a node that is due: it has not changed for long, or has flapped for long.
func unflap(h nodestore.Held, silenced bool, now node.Stamp) nodestore.Release {
	r := nodestore.Release{NodeID: h.NodeID, Held: nodestore.Flapping, Mark: nodestore.Flapping, FlapSince: now}
	if now-h.FlapLast >= node.Stamp(flapWindow) {
		r.Mark, r.EndFlap = nodestore.Flapped, true
	}
	if silenced {
		r.Mark, r.Hold = "", nodestore.Silenced
	}
	return r
}
