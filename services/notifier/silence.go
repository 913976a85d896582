package notifier

import (
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// remembered is how long a silence that is over still counts for alerts that come to light later.
const remembered = 24 * time.Hour

// silences are those that are not over, and those that were not long ago.
type silences []nodestore.Silence

// active reports whether a silence holds at the given time.
func active(s nodestore.Silence, at time.Time) bool {
	return !at.Before(s.From) && at.Before(s.Until) && (s.Ended.IsZero() || at.Before(s.Ended))
}

// now are those that hold at the given time. One that was ended does not, whatever clock wrote when.
func (all silences) now(at time.Time) (out silences) {
	for _, s := range all {
		if s.Ended.IsZero() && active(s, at) {
			out = append(out, s)
		}
	}
	return out
}

// of reports whether any of them is about a node.
func (all silences) of(nodeID, meta string) bool {
	return slices.ContainsFunc(all, func(s nodestore.Silence) bool { return s.Covers(nodeID, meta) })
}

// hold reports whether an alert is not to be told: a silence covers its node now, or did when it happened.
func (all silences) hold(e node.Event, now time.Time) bool {
	return slices.ContainsFunc(all, func(s nodestore.Silence) bool {
		return s.Covers(e.NodeID, e.Meta) && (s.Ended.IsZero() && active(s, now) || active(s, e.At.Time()))
	})
}

// ids tell one set of silences from another.
func (all silences) ids() (out []int64) {
	for _, s := range all {
		out = append(out, s.ID)
	}
	return out
}

// unsilence decides what becomes of a node's held alerts once no silence covers it: what the chat does not know is
// told, a node that is as the chat knows it is not.
func unsilence(h nodestore.Held) nodestore.Release {
	r := nodestore.Release{NodeID: h.NodeID, Held: nodestore.Silenced}
	gone := h.Incident == 0
	switch {
	case h.Kind == node.Changed && h.To == node.Up && h.Known == "", h.Kind == node.Changed && h.To != node.Up && gone:
		r.Untold = nodestore.Silenced
	case h.To != node.Up:
		r.Mark = nodestore.Silenced
	}
	return r
}
