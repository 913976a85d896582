package node

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// minHeard is how many nodes must be serving before silence of all of them says something about the front door.
const minHeard = 3

// ThresholdOf is how much observed silence the node may keep.
func (s Settings) ThresholdOf(n *Node) time.Duration { return s.threshold(n.Threshold, n.Interval) }

func (s Settings) threshold(own, interval time.Duration) time.Duration {
	t := s.Threshold
	if own != 0 {
		t = own
	}
	// A gap below 2·G could hide two heartbeats of a node with a short threshold.
	return max(t, 2*s.Gap(), interval*5/2)
}

func (f *Fold) thresholdOf(n *record) time.Duration {
	return f.clock.Settings.threshold(n.threshold, n.interval)
}

// deadline is the last reading of the observation clock at which the node is not lost yet.
// A blind span gives a full threshold again, but not for ever: twice the threshold of observed silence is enough.
func (f *Fold) deadline(n *record) time.Duration {
	t := f.thresholdOf(n)
	return min(max(n.heardW, f.clock.BlindEnd)+t, n.heardW+2*t)
}

// expire finds the nodes whose silence has grown too long.
func (f *Fold) expire() {
	due := f.takeDue()
	if len(due) == 0 {
		return
	}
	reason := ReasonSilent
	if f.suspectFrontDoor() {
		reason = ReasonDeaf
	}
	f.pending.events, f.pending.changes = slices.Grow(f.pending.events, len(due)), slices.Grow(f.pending.changes, len(due))
	for _, n := range due {
		f.enter(n, Lost, reason, "")
	}
}

// takeDue removes the nodes that are due from the heap, in the order in which they are told.
// Deadlines in the heap may be too early, since heartbeats do not move them: those that are go back.
func (f *Fold) takeDue() []*record {
	var out []*record
	w := f.clock.W
	for {
		n := f.due.first()
		if n == nil || n.due >= w {
			break
		}
		n.due = f.deadline(n)
		if n.due >= w {
			heap.Fix(&f.due, 0)
			continue
		}
		f.disarm(n)
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.due, b.due), bytes.Compare(f.nodes.texts.get(a.texts, textID), f.nodes.texts.get(b.texts, textID)))
	})
	return out
}

// suspectFrontDoor reports whether the silence is everybody's, and begins a deaf span when it is.
func (f *Fold) suspectFrontDoor() bool {
	c := &f.clock
	if c.Deaf {
		return true
	}
	serving := f.counts[Up] + f.counts[Degraded]
	if serving < minHeard || c.W-c.AcceptedW < c.Settings.Threshold/2 {
		return false
	}
	c.Deaf = true
	at := c.Position.Stamp
	f.emit(Event{
		Kind: Deaf, At: at, Since: c.Accepted, Lasted: at.Since(c.Accepted),
		Nodes: f.nodes.size - f.counts[Lost], Refused: c.clone().Refused,
	})
	return true
}

// dueHeap orders nodes by the earliest reading of the clock at which they may be lost, which they have themselves.
type dueHeap struct {
	nodes *table
	order []uint32 // numbers in it
}

// first is nil when there is none.
func (h *dueHeap) first() *record {
	if len(h.order) == 0 {
		return nil
	}
	return h.at(0)
}

func (h *dueHeap) at(i int) *record { return h.nodes.at(h.order[i]) }

func (h *dueHeap) Len() int           { return len(h.order) }
func (h *dueHeap) Less(i, j int) bool { return h.at(i).due < h.at(j).due }
func (h *dueHeap) Swap(i, j int) {
	h.order[i], h.order[j] = h.order[j], h.order[i]
	h.at(i).armed, h.at(j).armed = uint32(i+1), uint32(j+1)
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	n := x.(*record)
	h.order = append(h.order, n.self)
	n.armed = uint32(len(h.order))
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(h.order) - 1
	n := h.at(last)
	n.armed = 0
	h.order = h.order[:last]
	return n
}

// arm makes sure that the node's deadline is found. A deadline that moved away is left where it was: takeDue
// puts it right when it comes up, so a heartbeat costs nothing here.
func (f *Fold) arm(n *record) {
	if n.State() == Lost && (!f.undecided(n) || f.clock.Deaf) {
		f.disarm(n)
		return
	}
	at := f.deadline(n)
	switch {
	case n.armed == 0:
		n.due = at
		heap.Push(&f.due, n)
	case at < n.due:
		n.due = at
		heap.Fix(&f.due, int(n.armed-1))
	}
}

func (f *Fold) disarm(n *record) {
	if n.armed != 0 {
		heap.Remove(&f.due, int(n.armed-1))
	}
}
