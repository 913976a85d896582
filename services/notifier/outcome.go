package notifier

import (
	"cmp"
	"slices"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Entry is what became of one node, or of one kind of monitor event: the last of its alerts, and what was before.
type Entry struct {
	nodestore.Alert            // Known and ReplyTo are what the chat knew before the first
	Alerts          int        // how many it stands for
	First           node.Stamp // time of the first
	// Back: the node is up, as the chat knows it, and was not meanwhile.
	Back bool
}

// entryKey is what alerts of one entry have in common.
type entryKey struct {
	kind node.Kind
	node string
}

func keyOf(e node.Event) entryKey {
	switch {
	case e.Kind == node.Joined, e.Kind == node.Changed && e.NodeID != "":
		return entryKey{node.Changed, e.NodeID}
	case e.Kind == node.Hearing:
		return entryKey{node.Deaf, ""}
	}
	return entryKey{e.Kind, e.NodeID}
}

// outcomes makes one entry of all alerts about a node, the important ones first. It is a pure function.
func outcomes(alerts []nodestore.Alert) []Entry {
	var out []Entry
	at := make(map[entryKey]int)
	for _, a := range alerts {
		k := keyOf(a.Event)
		i, known := at[k]
		if !known {
			at[k] = len(out)
			out = append(out, Entry{Alert: a, Alerts: 1, First: a.At})
			continue
		}
		out[i].add(a)
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return cmp.Compare(a.rank(), b.rank()) })
	return out
}

// add takes the next alert of the same entry.
func (e *Entry) add(a nodestore.Alert) {
	before := *e
	e.Alert = a
	e.Known, e.ReplyTo, e.Alerts = before.Known, before.ReplyTo, before.Alerts+1
	e.Mark = cmp.Or(flapMark(a.Mark), flapMark(before.Mark), a.Mark, before.Mark)
	switch {
	case before.Kind == node.Joined: // it is new all the same
		e.Kind, e.Since = node.Joined, before.Since
	case a.Kind == node.Changed && a.To == node.Up:
		e.Back = e.Known == ""
	default:
		e.Back = false
	}
}

// flapMark is the mark if it speaks of flapping: that matters more than a silence.
func flapMark(mark string) string {
	if mark == nodestore.Silenced {
		return ""
	}
	return mark
}

// wasSilenced reports whether the entry says that a node is still down, since a silence of it is over.
func (e Entry) wasSilenced() bool {
	return e.Kind == node.Changed && e.Mark == nodestore.Silenced && e.To != node.Up && e.Incident != 0
}

// rank puts first what somebody has to act on.
func (e Entry) rank() int {
	switch {
	case e.Kind == node.Deaf, e.Kind == node.Stalled, e.Kind == node.Outdated:
		return 0
	case e.failing() && e.To != node.Degraded:
		return 1
	case e.failing():
		return 2
	case e.Kind == node.Changed && !e.Back:
		return 4
	case e.Back:
		return 6
	case e.Kind == node.Joined && e.Since == 0:
		return 5
	}
	return 3
}

// failing reports whether the entry leaves its node in failure.
func (e Entry) failing() bool { return failure(e.Kind, e.To) }

// failure reports whether an event of this kind, to this state, leaves its node in failure.
func failure(kind node.Kind, to node.State) bool {
	return (kind == node.Changed || kind == node.Joined) && to != node.Up && to != ""
}
