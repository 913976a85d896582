package node

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// minHeard is how many nodes must be serving before silence of all of them says something about the front door.
const minHeard = 3

// ThresholdOf is how much observed silence the node may keep.
func (s Settings) ThresholdOf(n *Node) time.Duration {
	t := s.Threshold
	if n.Threshold != 0 {
		t = n.Threshold
	}
	// A gap below 2·G could hide two heartbeats of a node with a short threshold.
	return max(t, 2*s.Gap(), n.Interval*5/2)
}

// deadline is the last reading of the observation clock at which the node is not lost yet.
// A blind span gives a full threshold again, but not for ever: twice the threshold of observed silence is enough.
func (f *Fold) deadline(n *Node) time.Duration {
	t := f.clock.Settings.ThresholdOf(n)
	return min(max(n.HeardW, f.clock.BlindEnd)+t, n.HeardW+2*t)
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
	f.pending.events = slices.Grow(f.pending.events, len(due))
	for _, n := range due {
		f.enter(n.node, Lost, reason, "")
	}
}

// takeDue removes the nodes that are due from the heap, in the order in which they are told.
// Deadlines in the heap may be too early, since heartbeats do not move them: those that are go back.
func (f *Fold) takeDue() []*due {
	var out []*due
	w := f.clock.W
	for len(f.due.items) > 0 && f.due.items[0].at < w {
		d := f.due.items[0]
		if at := f.deadline(d.node); at >= w {
			d.at = at
			heap.Fix(&f.due, 0)
			continue
		} else {
			d.at = at
		}
		f.disarm(d.node)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *due) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.node.ID, b.node.ID))
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
		Nodes: len(f.nodes) - f.counts[Lost], Refused: c.clone().Refused,
	})
	return true
}

// due is a place in the heap: the node is not lost before at.
type due struct {
	at    time.Duration
	node  *Node
	index int
}

// dueHeap orders nodes by the earliest reading of the clock at which they may be lost.
type dueHeap struct {
	items []*due
	of    map[*Node]*due
}

func (h *dueHeap) Len() int           { return len(h.items) }
func (h *dueHeap) Less(i, j int) bool { return h.items[i].at < h.items[j].at }
func (h *dueHeap) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	d := x.(*due)
	d.index = len(h.items)
	h.items = append(h.items, d)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(h.items) - 1
	d := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	return d
}

// arm makes sure that the node's deadline is found. A deadline that moved away is left where it was: takeDue
// puts it right when it comes up, so a heartbeat costs nothing here.
func (f *Fold) arm(n *Node) {
	_, undecided := f.deaf[n]
	if n.State == Lost && (!undecided || f.clock.Deaf) {
		f.disarm(n)
		return
	}
	at := f.deadline(n)
	d := f.due.of[n]
	switch {
	case d == nil:
		if f.due.of == nil {
			f.due.of = make(map[*Node]*due)
		}
		d = &due{at: at, node: n}
		f.due.of[n] = d
		heap.Push(&f.due, d)
	case at < d.at:
		d.at = at
		heap.Fix(&f.due, d.index)
	}
}

func (f *Fold) disarm(n *Node) {
	d := f.due.of[n]
	if d == nil {
		return
	}
	heap.Remove(&f.due, d.index)
	delete(f.due.of, n)
}
